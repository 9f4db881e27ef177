"""The simulated plant, read by a foreign Modbus client: what it serves is what the meters' manuals say."""

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyModbusTCP.client import ModbusClient

from demo.child import start_plant
from demo.machines import load_word


@pytest.fixture(scope="module")
def meters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    child, ports = start_plant(tmp_path_factory.mktemp("plant"))
    yield ports[0]
    child.kill()


def floats(registers: list[int] | None) -> list[float]:
    assert registers is not None
    raw = struct.pack(f">{len(registers)}H", *registers)
    return list(struct.unpack(f">{len(registers) // 2}f", raw))


def unit(port: int, number: int) -> ModbusClient:
    return ModbusClient(host="127.0.0.1", port=port, unit_id=number, auto_open=True, timeout=5)


def test_an_sdm630_measures_three_phases(meters: int) -> None:
    volts = floats(unit(meters, 1).read_input_registers(0x00, 6))
    hertz, imported_kwh = floats(unit(meters, 1).read_input_registers(0x46, 4))

    assert all(220 < u < 240 for u in volts)
    assert 49 < hertz < 51
    assert imported_kwh > 900


@pytest.mark.parametrize(("address", "count"), [(0, 62), (0, 3), (1, 2)], ids=["too many", "odd", "odd address"])
def test_an_sdm630_refuses_what_a_real_one_refuses(meters: int, address: int, count: int) -> None:
    assert unit(meters, 1).read_input_registers(address, count) is None


def test_a_pac3200_counts_energy_as_float64(meters: int) -> None:
    client = unit(meters, 2)
    registers = client.read_holding_registers(801, 4)
    energy_wh = struct.unpack(">d", struct.pack(">4H", *registers or []))[0]
    hertz = floats(client.read_input_registers(55, 2))[0]

    assert energy_wh > 900_000
    assert 49 < hertz < 51


def test_a_press_counts_the_replies_it_gave(meters: int) -> None:
    client = unit(meters, 3)
    polls = [struct.unpack(">I", struct.pack(">2H", *client.read_holding_registers(0, 2) or []))[0] for _ in range(3)]

    assert polls == [polls[0], polls[0] + 1, polls[0] + 2]
    assert client.read_coils(0, 2) == [True, False]


def test_a_unit_that_is_not_there_is_named(meters: int) -> None:
    client = unit(meters, 77)

    assert client.read_holding_registers(0, 1) is None
    assert client.last_except == 0x0B


def test_every_reply_of_a_load_unit_is_in_the_truth_log(tmp_path: Path) -> None:
    child, ports = start_plant(tmp_path, "--units", "2", "--registers", "125", "--ports", "2")
    replies = [unit(port, 2).read_holding_registers(0, 125) or [] for port in ports * 2]
    child.stop()
    lines = [line.split() for line in (tmp_path / "truth.log").read_text().splitlines()]

    assert [(int(u), int(poll)) for u, poll, _ in lines] == [(2, 1), (2, 2), (2, 3), (2, 4)]
    for poll, registers in enumerate(replies, 1):
        assert registers == [0, poll, *(load_word(2, poll, i) for i in range(2, 125))]
