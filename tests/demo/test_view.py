"""What the demo shows is what the subscriber reported and logged, line by line."""

import json
from pathlib import Path

from rich.console import Console

from demo.view import Scene, picture, plain, spark
from demo.watch import Lines, Watch


def watch(folder: Path) -> Watch:
    made = Watch(folder / "report.jsonl", folder / "log.jsonl", folder / "truth.log", folder / "state")
    made._asked_at = float("inf")  # no gateway runs here that could be asked
    return made


def append(path: Path, *lines: object) -> None:
    with path.open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def logged(folder: Path) -> None:
    table = {"tags": [{"name": "polls", "unit": ""}, {"name": "oil_temperature", "unit": "°C"}]}
    frame = {"seq": 1, "dev": "press-7", "table": "ab", "t": 5, "tags": [0, 1], "v": [17, None], "st": [0, 0x80310000]}
    append(
        folder / "log.jsonl",
        {"topic": "tidegate/demo/view/table/ab", "at_us": 1, "payload": table},
        {"topic": "tidegate/demo/view/live", "at_us": 2, "payload": {"frames": [frame]}},
    )


def test_the_last_values_are_those_of_the_log(tmp_path: Path) -> None:
    looking = watch(tmp_path)
    logged(tmp_path)
    looking.look()
    console = Console(width=100, record=True, file=(tmp_path / "screen").open("w"))
    console.print(picture(Scene(3.0, "now", "mosquitto", True), looking))
    screen = console.export_text()

    assert looking.counted == {17}
    assert "bad (0x80310000)" in screen
    assert "°C" in screen


def test_the_line_says_what_the_subscriber_reported(tmp_path: Path) -> None:
    looking = watch(tmp_path)
    append(tmp_path / "report.jsonl", {"readings": 1234, "missing": 2, "asked": 3, "duplicates": 4, "gaps": 0,
                                       "delay_ms": 510.0, "complete": False, "epochs": {}})  # fmt: skip
    looking.look()
    line = plain(Scene(7.0, "now", "amqtt", False), looking)

    assert "broker DOWN" in line
    assert "received   1,234  missing 2  asked again 3  duplicates 4  delay 0.51 s" in line


def test_a_line_that_is_half_written_waits_for_its_end(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "growing")
    with (tmp_path / "growing").open("w") as file:
        file.write("one\ntw")
        file.flush()
        first = lines.new()
        file.write("o\n")

    assert first == [b"one"]
    assert lines.new() == [b"two"]


def test_bars_reach_from_nothing_to_the_highest() -> None:
    assert spark([0, 1, 50, 100]) == " ▁▄█"
    assert spark([0, 0]) == "  "
