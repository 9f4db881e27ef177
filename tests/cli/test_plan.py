"""`tidegate plan` shows what docs/commissioning.md says it shows, and tells a machine by its exit code."""

import json
import re
import subprocess
import sys
from pathlib import Path

from tests.cli.test_check import check

ROOT = Path(__file__).parent.parent.parent
SLOW = ROOT / "tests" / "cli" / "slow_line" / "gateway.toml"
DOCUMENT = (ROOT / "docs" / "commissioning.md").read_text()


def plan(*arguments: object) -> tuple[int, str]:
    """Exit code and output."""
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "plan", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    return ran.returncode, ran.stdout


def test_a_line_that_is_too_slow_is_told_as_the_document_shows_and_exits_with_1() -> None:
    code, output = plan(SLOW)
    shown = re.search(r"^    bus /dev/ttyUSB0.*?can hold what is asked of them$", DOCUMENT, re.M | re.S)

    assert code == 1
    assert shown is not None
    assert [line.removeprefix("    ") for line in shown[0].splitlines()] == output.splitlines()


def test_the_example_can_be_held() -> None:
    code, output = plan("docs/example/gateway.toml")

    assert code == 0
    assert output.splitlines()[-1] == "4 of 4 buses can hold what is asked of them"


def test_tags_are_named_with_the_request_that_brings_them() -> None:
    _, output = plan("docs/example/gateway.toml", "--tags")

    assert re.search(r"holding 0x0000 to 0x000C .*3 tags, .*\n      pressure, ", output)


def test_a_machine_gets_all_of_it() -> None:
    code, output = plan(SLOW, "--json")
    told = json.loads(output)
    line, tcp = told["buses"]

    assert (code, told["holds"], line["holds"], tcp["holds"]) == (1, False, False, True)
    assert (line["bus"], line["kind"], len(line["groups"])) == ("/dev/ttyUSB0", "line", 8)
    assert line["what"] == "this line cannot hold 1 s: it needs 2 s"
    assert line["load"] == sum(group["load"] for group in line["groups"])
    assert set(line["groups"][0]["requests"][0]) == {"what", "size", "wasted", "unit", "tags", "time_s"}


def test_the_check_warns_of_the_same_and_passes() -> None:
    code, lines, _ = check(SLOW)
    (warning,) = [line for line in lines if "cannot hold" in line]

    assert code == 0
    assert "devices.csv:2 meter1: /dev/ttyUSB0: this line cannot hold 1 s: it needs 2 s. Do this: write" in warning


def test_a_driver_without_a_plan_is_said_to_have_none(tmp_path: Path) -> None:
    sample = ROOT / "drivers" / "tidegate_drivers" / "simulator" / "sample.toml"
    code, output = plan(sample)

    assert code == 0
    assert "the driver simulator has no plan that it could tell" in output


def test_a_configuration_that_cannot_be_used_exits_with_78() -> None:
    assert plan(ROOT / "tests" / "config" / "broken" / "gateway.toml")[0] == 78
