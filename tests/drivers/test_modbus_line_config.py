"""Lines in the device list: what their columns mean, and what is wrong with them, with a remedy."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.model.device import Device
from tidegate_drivers.modbus.address import parse_place
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.settings import parse_device


@pytest.fixture
def port(tmp_path: Path) -> str:
    """A file where a port would be."""
    path = tmp_path / "ttyUSB0"
    path.touch()
    return f"rtu://{path}"


def made(rig: Any, address: str, unit: int = 1, name: str = "m1", **options: str) -> Device:
    device: Device = rig.device(address, rig.words(1), unit, name, **options)
    return device


def said(*devices: Device) -> list[tuple[str | None, bool]]:
    problems = ModbusDriver.check(devices)

    assert all(problem.remedy for problem in problems)
    return [(problem.column, problem.fatal) for problem in problems]


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, "19200 baud, 8E1"),
        ({"baud": "9600", "parity": "none"}, "9600 baud, 8N1"),
        ({"parity": "O", "stop": "2"}, "19200 baud, 8O2"),
        ({"baud": "115200", "parity": "8n1"}, "115200 baud, 8N1"),
    ],
)
def test_a_line_is_set_as_its_columns_say(rig: Any, port: str, options: dict[str, str], meant: str) -> None:
    settings, problems = parse_device(made(rig, port, **options))

    assert settings is not None
    assert (str(settings.line), problems) == (meant, [])


def test_the_time_that_frames_travel_is_no_silence_of_the_unit(rig: Any, port: str) -> None:
    slow, fast = (parse_device(made(rig, port, baud=baud, timeout="1s"))[0] for baud in ("1200", "115200"))

    assert slow is not None
    assert fast is not None
    assert (slow.timeout_s, fast.timeout_s) == pytest.approx((1 + 264 * 11 / 1200, 1 + 264 * 11 / 115200))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"baud": "9601"}, ("baud", True)),
        ({"parity": "mark"}, ("parity", True)),
        ({"stop": "3"}, ("stop", True)),
        ({"turnaround": "5"}, ("turnaround", True)),
        ({"echo": "perhaps"}, ("echo", True)),
        ({"connections": "2"}, ("connections", False)),
        ({"in_flight": "4"}, ("in_flight", False)),
        ({"unit": "0"}, ("unit", True)),
        ({"unit": "248"}, ("unit", False)),
    ],
)
def test_what_a_line_can_not_have_is_a_problem(
    rig: Any, port: str, options: dict[str, str], expected: tuple[str, bool]
) -> None:
    unit = int(options.pop("unit", "1"))

    assert said(made(rig, port, unit, **options)) == [expected]


def test_a_port_that_is_not_there_is_a_warning_once_a_line(rig: Any) -> None:
    devices = [made(rig, "rtu:///dev/no-such-port", unit, f"m{unit}") for unit in (1, 2)]

    assert said(*devices) == [("address", False)]
    assert "not there now" in ModbusDriver.check(devices)[0].what


def test_two_settings_on_one_line_are_a_problem(rig: Any, port: str) -> None:
    assert said(made(rig, port), made(rig, port, 2, "m2", baud="9600")) == [("baud", True)]


def test_one_address_is_not_modbus_tcp_and_a_line_at_once(rig: Any) -> None:
    assert said(made(rig, "tcp://h:4001"), made(rig, "rtu+tcp://h:4001", 2, "m2")) == [("baud", True)]


def test_settings_of_a_serial_server_are_not_ours(rig: Any) -> None:
    assert said(made(rig, "rtu+tcp://h:4001", baud="9600", turnaround="20ms")) == [("baud", False)]


def test_a_default_for_lines_only_warns_where_there_is_none(rig: Any) -> None:
    assert said(made(rig, "tcp://h", parity="N", echo="true")) == [("parity", False), ("echo", False)]


def test_ipv6_serial_servers_have_one_spelling() -> None:
    places = {parse_place(address).bus for address in ("rtu+tcp://[::1]:4001", "rtu+tcp://[0:0:0:0:0:0:0:1]:4001/")}

    assert places == {"[::1]:4001"}


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, "19200 baud, 7E1, ASCII"),
        ({"bits": "8", "parity": "N", "baud": "9600"}, "9600 baud, 8N1, ASCII"),
        ({"parity": "8N1"}, "19200 baud, 8N1, ASCII"),
        ({"parity": "7O1", "bits": "7", "stop": "2"}, "19200 baud, 7O2, ASCII"),
    ],
)
def test_ascii_has_seven_bits_or_eight(rig: Any, port: str, options: dict[str, str], meant: str) -> None:
    settings, problems = parse_device(made(rig, port.replace("rtu", "ascii", 1), **options))

    assert settings is not None
    assert (str(settings.line), problems) == (meant, [])


@pytest.mark.parametrize(
    ("scheme", "options"),
    [("rtu", {"bits": "7"}), ("rtu", {"parity": "7E1"}), ("ascii", {"bits": "8", "parity": "7E1"}),
     ("ascii", {"bits": "9"})],
)  # fmt: skip
def test_bits_that_a_line_can_not_have_are_a_problem(rig: Any, port: str, scheme: str, options: dict[str, str]) -> None:
    assert said(made(rig, port.replace("rtu", scheme, 1), **options)) == [("bits", True)]


def test_one_port_does_not_speak_rtu_and_ascii_at_once(rig: Any, port: str) -> None:
    assert said(made(rig, port), made(rig, port.replace("rtu", "ascii", 1), 2, "m2")) == [("baud", True)]


def test_a_reply_in_ascii_takes_twice_its_time(rig: Any, port: str) -> None:
    lines = [parse_device(made(rig, f"{scheme}{port[3:]}", bits="8"))[0] for scheme in ("rtu", "ascii")]
    per_byte = [settings.limits.cost.byte_s for settings in lines if settings]

    assert per_byte[1] == pytest.approx(2 * per_byte[0])


def test_a_serial_server_in_ascii_needs_its_port(rig: Any) -> None:
    assert parse_place("ascii+tcp://h:4001").bus == "h:4001"
    assert said(made(rig, "ascii+tcp://h")) == [("address", True)]
