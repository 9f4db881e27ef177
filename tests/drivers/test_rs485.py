"""RS-485 direction: the bytes that the kernel is told, and what is made of a driver that took others."""

import errno
from struct import pack
from typing import Any

import pytest

from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.rs485 import NoDirection, Rs485, direct
from tidegate_drivers.modbus.settings import parse_device

ADDRESS = "rtu:///dev/null"


@pytest.mark.parametrize(
    ("wanted", "echo", "words"),
    [
        (Rs485("rts"), False, (0b00011, 0, 0)),
        (Rs485("rts", 1, 2), True, (0b10011, 1, 2)),
        (Rs485("rts-inverted", 0, 5), False, (0b00101, 0, 5)),
        (Rs485("off"), True, (0, 0, 0)),
    ],
    ids=["rts", "rts with delays and echo", "inverted", "off"],
)
def test_the_kernel_is_told_in_its_own_structure(wanted: Rs485, echo: bool, words: tuple[int, int, int]) -> None:
    heard = []
    direct(7, wanted, echo, lambda *told: heard.append((told[0], told[1], bytes(told[2]))))

    assert heard == [(7, 0x542F, pack("=8I", *words, 0, 0, 0, 0, 0))]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        ((0, 0, 0), "can't do rs485 = rts"),
        ((0b101, 1, 2), "the other of rts and rts-inverted"),
        ((0b011, 1, 0), "its driver made 1 ms and 0 ms"),
    ],
    ids=["switched off", "only the other way", "no delay behind"],
)
def test_what_the_driver_made_of_it_is_looked_at(taken: tuple[int, int, int], said: str) -> None:
    def control(descriptor: int, request: int, packed: bytearray) -> None:
        packed[:] = pack("=8I", *taken, 0, 0, 0, 0, 0)

    with pytest.raises(NoDirection, match=said):
        direct(7, Rs485("rts", 1, 2), False, control)


def test_a_port_that_is_pulled_out_meanwhile_is_an_error_even_for_off() -> None:
    def control(descriptor: int, request: int, packed: bytearray) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="TIOCSRS485"):
        direct(7, Rs485("off"), False, control)


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, None),
        ({"rs485": "off"}, Rs485("off")),
        ({"rs485": "RTS"}, Rs485("rts")),
        ({"rs485": "rts-inverted", "rs485_before": "1ms", "rs485_after": "2ms"}, Rs485("rts-inverted", 1, 2)),
    ],
)
def test_columns_say_who_switches(rig: Any, options: dict[str, str], meant: Rs485 | None) -> None:
    settings, problems = parse_device(rig.device(ADDRESS, rig.words(1), 1, "m1", **options))

    assert settings is not None
    assert settings.line is not None
    assert (settings.line.rs485, problems) == (meant, [])


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ({"rs485": "yes"}, "rs485"),
        ({"rs485_before": "1ms"}, "rs485_before"),
        ({"rs485": "rts", "rs485_after": "1s"}, "rs485_after"),
        ({"rs485": "rts", "rs485_after": "1.5ms"}, "rs485_after"),
    ],
)
def test_what_the_kernel_can_not_do_is_a_problem(rig: Any, options: dict[str, str], column: str) -> None:
    problems = ModbusDriver.check([rig.device(ADDRESS, rig.words(1), 1, "m1", **options)])

    assert [(problem.column, problem.fatal) for problem in problems] == [(column, True)]
