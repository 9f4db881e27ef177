"""`tidegate write --dry-run` shows what would be sent, says whether it may be, and sends nothing."""

import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from tidegate.acquire.permission import forbidden, value_of
from tidegate.cli.main import group
from tidegate.errors import ConfigError
from tidegate.model.tag import Tag, Type

CONFIG = """
[gateway]
name = "g1"
state = "state"

[tables.press]
file = "press.csv"

[[device]]
name = "press1"
table = "press"
address = "tcp://127.0.0.1:{port}"
unit = 7

[[device]]
name = "sim1"
driver = "simulator"
address = "sim://hall"
table = "sim"

[tables.sim]
file = "sim.csv"

[[target]]
name = "local"
url = "mqtt://127.0.0.1"
"""
PRESS = """name,address,type,scale,low,high,access,order,unit
setpoint,HR16,int16,0.1,0,80,write,,bar
speed,HR20,float32,,,,write,CDAB,
pressure,HR30,int16,0.1,,,,,bar
measured,IR0,int16,,,,write,,
"""
SIM = "name,address,type,access\ncounter,counter,int64,write\n"


@pytest.fixture
def press(tmp_path: Path) -> Iterator[tuple[Path, socket.socket]]:
    """A configuration, and the socket of its machine, which nobody should call."""
    with socket.create_server(("127.0.0.1", 0)) as machine:
        (tmp_path / "gateway.toml").write_text(CONFIG.format(port=machine.getsockname()[1]))
        (tmp_path / "press.csv").write_text(PRESS)
        (tmp_path / "sim.csv").write_text(SIM)
        machine.setblocking(False)
        yield tmp_path / "gateway.toml", machine


def write(*words: object) -> Result:
    return CliRunner().invoke(group, ["write", *map(str, words)])


def test_it_shows_request_reply_and_read_back_and_connects_to_nothing(press: tuple[Path, socket.socket]) -> None:
    config, machine = press
    ran = write("--dry-run", config, "press1", "setpoint", "21.5")
    expected = [
        "  unit 7, function 6 (write register), address 0x0010 (16)",
        "  request 06 00 10 00 D7",
        "  right reply 06 00 10 00 D7, nothing else",
        "  the device would then hold 21.5 bar",
        "  read back with function 3, address 0x0010: 00 D7 is expected",
        "allowed; nothing was sent (dry run)",
    ]

    assert (0, expected) == (ran.exit_code, ran.output.splitlines())
    with pytest.raises(BlockingIOError):
        machine.accept()


def test_a_negative_value_is_a_value(press: tuple[Path, socket.socket]) -> None:
    ran = write("--dry-run", press[0], "press1", "speed", "-1.5")

    assert 0 == ran.exit_code
    assert "request 10 00 14 00 02 04 00 00 BF C0" in ran.output


@pytest.mark.parametrize(("tag", "value", "why"), [
    ("pressure", "1", "access of pressure is read"),
    ("setpoint", "80.1", "80.1 is outside of the range of setpoint, 0 to 80"),
    ("setpoint", "-0.1", "-0.1 is outside of the range of setpoint, 0 to 80"),
    ("setpoint", "21.55", "21.55 is not among the values that the device can hold: next to it are 21.5 and 21.6"),
    ("setpoint", "hot", "'hot' is no number"),
    ("measured", "1", "input registers can't be written"),
])  # fmt: skip
def test_what_is_not_allowed_is_said_with_the_reason(
    press: tuple[Path, socket.socket], tag: str, value: str, why: str
) -> None:
    ran = write("--dry-run", press[0], "press1", tag, value)

    assert 3 == ran.exit_code
    assert f"not allowed: {why}" in ran.output


def test_a_driver_that_can_not_write_is_said(press: tuple[Path, socket.socket]) -> None:
    ran = write("--dry-run", press[0], "sim1", "counter", "1")

    assert (3, "not allowed: the driver simulator can't write\n") == (ran.exit_code, ran.output)


def test_without_dry_run_it_refuses_and_says_why(press: tuple[Path, socket.socket]) -> None:
    ran = write(press[0], "press1", "setpoint", "21.5")

    assert 2 == ran.exit_code
    assert "a real write does not exist yet" in ran.output


@pytest.mark.parametrize(
    ("device", "tag", "hint"), [("press2", "setpoint", "press1"), ("press1", "setpont", "setpoint")]
)
def test_a_name_that_is_not_there_is_answered_with_one_that_is(
    press: tuple[Path, socket.socket], device: str, tag: str, hint: str
) -> None:
    ran = write("--dry-run", press[0], device, tag, "1")

    assert 2 == ran.exit_code
    assert hint in ran.output


def test_a_configuration_that_can_not_be_used_is_refused(tmp_path: Path) -> None:
    ran = write("--dry-run", tmp_path / "none.toml", "press1", "setpoint", "1")

    assert isinstance(ran.exception, ConfigError)


@given(value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_no_value_is_allowed_for_a_tag_without_write_access(value: Decimal) -> None:
    assert forbidden(Tag("t", Type.FLOAT64, Type.FLOAT64), value)


@given(value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_a_value_is_allowed_within_the_range_and_nowhere_else(value: Decimal) -> None:
    one = Tag("t", Type.FLOAT64, Type.FLOAT64, range=(-0.5, 10.1), access="write")

    assert (Decimal("-0.5") <= value <= Decimal("10.1")) == (forbidden(one, value) == "")


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_0", "1e500", "0x10", "1" * 100, "true"])
def test_a_text_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        value_of(Tag("t", Type.FLOAT64, Type.FLOAT64), text)
