"""`tidegate profile simulate` is a device of its profile, and `tidegate profile identify` finds out which."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tidegate.cli.main import group
from tidegate.errors import NoAnswer, NotConnected

STOP_DEADLINE_S = 20.0
CONFIGURATION = """[gateway]
name = "g"
state = "state"

[[device]]
name = "meter"
table = "{table}"
address = "{address}"
unit = 7

[[target]]
name = "t"
url = "mqtt://127.0.0.1"
"""


@contextmanager
def simulated(*words: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """The address of a device that `simulate` is, and its process."""
    script = "from tidegate.cli.main import main; main()"
    command = [sys.executable, "-c", script, "profile", "simulate", "--unit", "7", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"tcp://127\.0\.0\.1:\d+/7", process.stdout.readline())
        assert found is not None
        yield found[0], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_DEADLINE_S)


def identify(*words: str) -> Result:
    return CliRunner().invoke(group, ["profile", "identify", *words])


def test_a_simulated_device_is_identified_and_ends_when_it_is_told() -> None:
    with simulated("carlo-gavazzi/em340@sample", "--firmware", "3.4") as (address, process):
        ran = identify(address, "--timeout", "10s")

    assert ran.exit_code == 0
    assert ran.output.splitlines()[-3:-1] == [
        "is      carlo-gavazzi/em340: Carlo Gavazzi EM340, firmware 3.4 (vendor document)",
        "use     table = carlo-gavazzi/em340@sample (model 330 or 340)",
    ]
    assert process.returncode == 0


def test_a_simulated_device_reads_as_its_first_vectors_say(tmp_path: Path) -> None:
    with simulated("abb/b23", "--change", "1h") as (address, _):
        path = tmp_path / "gateway.toml"
        path.write_text(CONFIGURATION.format(table="abb/b23", address=address.rpartition("/")[0]))
        ran = CliRunner().invoke(group, ["read", str(path), "meter"])

    assert ran.exit_code == 0, ran.output
    assert re.search(r"U_L1 +230\.3  V +Good", ran.output)
    assert re.search(r"E_import +12346\.29  kWh +Good", ran.output)


def test_a_device_of_no_profile_says_what_it_says_of_itself() -> None:
    with simulated("victron/gx") as (address, _):
        ran = identify(address, "--timeout", "10s")

    assert ran.exit_code == 3
    assert ran.output.splitlines()[-1].endswith("profiles that fit: 0")


def test_a_unit_that_does_not_answer_is_told() -> None:
    with simulated("abb/b23") as (address, _):
        ran = identify(address.replace("/7", "/8"), "--timeout", "10ms")

    assert isinstance(ran.exception, NoAnswer)
    assert "unit 8 at 127.0.0.1:" in str(ran.exception)


def test_nobody_there_is_told() -> None:
    with simulated("abb/b23") as (address, process):
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_DEADLINE_S)
        ran = identify(address)

    assert isinstance(ran.exception, NotConnected)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("10.0.0.7",), "is no address of a Modbus device. Write tcp://10.0.0.7:502"),
        (("rtu:///dev/ttyUSB0", "--set", "baud=9601"), "baud"),
        (("tcp://127.0.0.1", "--set", "baud"), "write COLUMN=TEXT, such as baud=9600"),
        (("tcp://127.0.0.1", "--timeout", "2"), "write 100ms, 1s, 10min or 1h"),
        (("tcp://127.0.0.1", "--timeout", "2h"), "at most 60 s"),
    ],
)
def test_what_can_not_be_asked_is_told(words: tuple[str, ...], told: str) -> None:
    ran = identify(*words)

    assert ran.exit_code == 2
    assert told in " ".join(ran.output.replace("│", " ").split())


def test_control_characters_of_a_device_are_shown_and_not_obeyed() -> None:
    with simulated("abb/b23", "--firmware", "1.2\x1b[2J") as (address, _):
        ran = identify(address, "--timeout", "10s")

    assert r"1.2\x1b[2J" in ran.output
    assert "\x1b" not in ran.output
