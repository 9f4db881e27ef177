"""`tidegate check` tells everything at once, and what the configuration amounts to when it is fine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.certificates import certificates

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "docs" / "example" / "gateway.toml"
BROKEN = ROOT / "tests" / "config" / "broken" / "gateway.toml"


def check(*arguments: object, cwd: Path = ROOT, **env: str) -> tuple[int, list[str], str]:
    """Exit code, lines of output, and what went to standard error."""
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "check", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=60)
    return ran.returncode, ran.stdout.splitlines(), ran.stderr


def test_the_example_passes_and_is_summed_up() -> None:
    code, lines, errors = check(EXAMPLE)

    assert (code, errors) == (0, "")
    assert lines[0] == "plant-7: 4 devices, 77 tags, 3 groups, 1 target, 137.1 readings/s"
    assert lines[1] == "target local: mqtt://127.0.0.1:1883, MQTT 5"


def test_the_example_says_what_goes_over_the_wire_for_each_tag() -> None:
    code, lines, _ = check(EXAMPLE, "--wire")

    assert code == 0
    assert "press1  pressure     holding 0x0000, 1 register, int16" in lines
    assert "press1  running      discrete 0x0000, 1 bit" in lines
    assert sum(line.startswith("press2  ") for line in lines) == 7


def test_what_the_example_shows_as_comments_can_be_used(tmp_path: Path) -> None:
    for file in EXAMPLE.parent.glob("*.*"):
        text = file.read_text()
        if file.suffix == ".toml":
            text = uncommented(text)
        (tmp_path / file.name).write_text(text)
    made = certificates()
    for name, file in (("ca.pem", made.authority), ("gateway.pem", made.client), ("gateway.key", made.client_key)):
        (tmp_path / name).write_bytes(file.read_bytes())
        (tmp_path / name).chmod(0o600)
    (tmp_path / "credentials").mkdir(mode=0o700)
    for name in ("cloud", "proxy"):
        (tmp_path / "credentials" / name).write_text("s3cret")
        (tmp_path / "credentials" / name).chmod(0o600)
    code, lines, _ = check(tmp_path / "gateway.toml", SITE="hall-b")

    assert code == 0
    assert "4 devices, 77 tags, 3 groups, 2 targets" in lines[0]
    assert lines[2] == "target cloud: mqtts://broker.example.com:8883, MQTT 5"


def uncommented(text: str) -> str:
    """The file with every key in a comment made a real one, but not those that exclude others."""
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_key = line.startswith("# ") and (" = " in bare.split("#")[0] or bare == "[[target]]")
        skipped = bare.startswith(("sheet", "commit_interval", "insecure", "Every", "client_id"))
        lines.append(bare if is_key and not skipped else line)
    return "\n".join(lines) + "\n"


def test_every_problem_is_printed_and_counted_with_exit_78() -> None:
    code, lines, errors = check(BROKEN)

    assert (code, errors) == (78, "")
    assert len(lines) == len((BROKEN.parent / "expected.txt").read_text().splitlines()) + 1
    assert lines[-1] == "49 problems"


def test_paths_are_printed_as_they_were_given() -> None:
    _, lines, _ = check("gateway.toml", cwd=BROKEN.parent)

    assert lines[0].startswith("gateway.toml:2 ")
    assert any(line.startswith("press.csv:2 ") for line in lines)


def test_a_file_that_is_not_there_is_a_problem_like_any_other() -> None:
    code, lines, _ = check("none.toml")

    assert code == 78
    assert lines == ["none.toml: does not exist. Correct the path, or make the file", "1 problem"]


@pytest.mark.parametrize(("flags", "expected"), [((), 3 + 1 + 1), (("--all",), 200 + 1)], ids=["short", "all"])
def test_a_mistake_that_many_rows_share_is_cut_short_unless_asked(
    tmp_path: Path, flags: tuple[str, ...], expected: int
) -> None:
    (tmp_path / "gateway.toml").write_text(
        '[gateway]\nname = "g"\nstate = "s"\n[devices]\nfile = "d.csv"\n[[target]]\nname = "t"\nurl = "mqtt://[::1]"\n'
    )
    rows = [f"d{n},eastron/sdm630,tcp://10.0.0.{n},3" for n in range(200)]
    (tmp_path / "d.csv").write_text("\n".join(["name,table,address,retries", *rows]))
    code, lines, _ = check(tmp_path / "gateway.toml", *flags)

    assert code == 78
    assert len(lines) == expected
    assert lines[-1] == "200 problems"


def test_warnings_are_printed_as_such_and_the_configuration_is_fine(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(
        '[gateway]\nname = "g"\nstate = "s"\n[[device]]\nname = "d"\ntable = "eastron/sdm630"\naddress = "tcp://a"\n'
    )
    code, lines, _ = check(tmp_path / "gateway.toml")

    assert code == 0
    assert lines[0].startswith("warning: ")
    assert "0 targets" in lines[1]


@pytest.mark.parametrize(
    ("section", "window"),
    [
        ("", "commits each 1 s (normal), or 4,000 readings"),
        ('policy = "strict"', "commits each 0.1 s (strict), or 4,000 readings"),
        ('policy = "flash-saver"', "commits each 5 s (flash-saver), or 100,000 readings"),
        ('commit_interval = "2s"\ncommit_readings = 900', "commits each 2 s, or 900 readings"),
    ],
    ids=["normal", "strict", "flash-saver", "own"],
)
def test_the_loss_window_and_the_wear_of_the_policy_are_one_line(tmp_path: Path, section: str, window: str) -> None:
    (tmp_path / "gateway.toml").write_text(
        f'[gateway]\nname = "g"\nstate = "s"\n[buffer]\n{section}\n[[target]]\nname = "t"\nurl = "mqtt://[::1]"\n'
        '[[device]]\nname = "d"\ntable = "eastron/sdm630"\naddress = "tcp://a"\n'
    )
    _, lines, _ = check(tmp_path / "gateway.toml")
    (line,) = [line for line in lines if line.startswith("commits")]

    assert line.startswith(window)
    assert re.search(r": a power cut costs at most that; writes about [0-9.]+ GB a day \(", line)
    for name, loss in {"strict": "0.1 s", "normal": "1 s", "flash-saver": "5 s"}.items():
        assert f"({name})" in line or re.search(rf"[(, ]{name} {loss} and [0-9.]+ GB[,)]", line)
