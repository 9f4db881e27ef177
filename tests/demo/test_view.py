"""What the demo shows is what the subscriber reported and logged, line by line."""

import json
from collections import deque
from pathlib import Path

from rich.console import Console

from demo.view import Scene, picture, plain, spark
from demo.watch import Lines, Value, Watch


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
    console.print(picture(Scene(3.0, "now", "mosquitto", True), looking, 100))
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


def test_a_terminal_of_80_columns_and_24_rows_shows_all_of_it_at_its_worst(tmp_path: Path) -> None:
    looking = watch(tmp_path)
    tags = {"main-meter": ["U_L1"] * 4, "oven-meter": ["U_L12"] * 4, "press-7": ["oil_temperature"] * 7}
    for device, names in tags.items():
        for i, name in enumerate(names):
            number, unit = (18014398509000012, "1/min") if device == "press-7" else (230.51, "V")
            looking.values[device, str(i)] = Value(device, name, number, unit, 0, 1)
    looking.backlog, looking.backlogs = 1_234, deque(range(120))
    looking.target = ("waiting", "mqtt://127.0.0.1:28750: Connection refused")
    looking.report.readings, looking.report.delay_ms = 123_456, 12_345.0
    console = Console(width=80, record=True, file=(tmp_path / "screen").open("w"))
    console.print(picture(Scene(100.0, "The broker is stopped.", "mosquitto", False), looking, 80))
    rows = console.export_text().splitlines()

    assert len(rows) <= 24
    assert rows[-1].strip() == "The broker is stopped."
    assert "…" not in "".join(rows)
    assert sum("18014398509000012" in row for row in rows) == 7
