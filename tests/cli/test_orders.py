"""`tidegate orders` shows a value in every type and order, from given bytes and from a foreign server."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pyModbusTCP.server import ModbusServer

from demo.broker import free_port
from tidegate.cli.main import group
from tidegate.errors import ConfigError, NoAnswer

CONFIG = """
[gateway]
name = "g1"
state = "state"

[tables.press]
file = "press.csv"
base = "modicon"

[[device]]
name = "press1"
table = "press"
address = "tcp://127.0.0.1:{port}"
unit = 1

[[target]]
name = "local"
url = "mqtt://127.0.0.1"
"""
PRESS = """name,address,type,order
pressure,40001,float32,ABCD
last,465535,uint32,
"""


def orders(*words: object) -> Result:
    return CliRunner().invoke(group, ["orders", *map(str, words)])


@pytest.fixture
def press(tmp_path: Path) -> Iterator[Path]:
    """The configuration of a machine that keeps 230.25 with its registers swapped."""
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True)
    server.start()
    low, high = reversed(struct.unpack(">HH", struct.pack(">f", 230.25)))
    server.data_bank.set_holding_registers(0, [low, high, 0, 0])
    server.data_bank.set_holding_registers(0xFFFE, [0x0000, 0x0007])
    (tmp_path / "gateway.toml").write_text(CONFIG.format(port=port))
    (tmp_path / "press.csv").write_text(PRESS)
    try:
        yield tmp_path / "gateway.toml"
    finally:
        server.stop()


def test_bytes_are_shown_in_every_order_and_the_row_is_said() -> None:
    ran = orders("--hex", "9A3C4366", "--expect", "230")

    assert (0, ["   name,address,type,order", "   name,HR0,float32,CDAB"]) == (
        ran.exit_code, ran.output.splitlines()[-2:]
    )  # fmt: skip
    assert any(line.startswith("** float32     CDAB ") for line in ran.output.splitlines())


@pytest.mark.parametrize("point", ["pressure", "40001", "HR0"])
def test_a_tag_or_address_of_a_machine_is_read_and_its_order_found(press: Path, point: str) -> None:
    ran = orders(press, "press1", point, "--expect", "230")

    assert ran.exit_code == 0, ran.output
    assert "4 registers as they came: 4000 4366 0000 0000" in ran.output
    assert ",float32,CDAB" in ran.output.splitlines()[-1]


def test_registers_at_the_end_are_read_though_none_lie_behind_them(press: Path) -> None:
    ran = orders(press, "press1", "HR65534")

    assert ran.exit_code == 0, ran.output
    assert "2 registers as they came: 0000 0007" in ran.output


def test_what_is_no_address_is_told(press: Path) -> None:
    ran = orders(press, "press1", "presure")

    assert isinstance(ran.exception, ConfigError)


def test_an_unknown_device_is_answered_with_those_that_are_known(press: Path) -> None:
    ran = orders(press, "press2", "HR0")

    assert (2, True) == (ran.exit_code, "press1" in ran.output)


def test_a_machine_that_is_off_is_told(press: Path) -> None:
    press.write_text(CONFIG.format(port=free_port()))
    ran = orders(press, "press1", "HR0")

    assert isinstance(ran.exception, NoAnswer)


def test_nothing_plausible_is_told_by_the_exit_code() -> None:
    ran = orders("--hex", "0000")

    assert (3, True) == (ran.exit_code, "Every byte is 0" in ran.output)


def test_json_holds_no_nan() -> None:
    ran = orders("--hex", "7fc00000", "--json")

    assert "7fc00000" == json.loads(ran.output, parse_constant=pytest.fail)["bytes"]


@pytest.mark.parametrize("words", [(), ("--hex", "abc"), ("--hex", "xx"), ("--hex", "")])
def test_what_can_not_be_shown_is_told(words: tuple[str, ...]) -> None:
    assert 2 == orders(*words).exit_code
