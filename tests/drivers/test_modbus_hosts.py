"""Addresses of a scan: single ones, networks and ranges; absurd ones are refused before anything is sent."""

import pytest

from tidegate_drivers.modbus.framing import RTU
from tidegate_drivers.modbus.hosts import Hosts, parse_hosts
from tidegate_drivers.modbus.wishes import Wishes


@pytest.mark.parametrize(
    ("address", "hosts", "port"),
    [
        ("tcp://10.0.0.7", ("10.0.0.7",), 502),
        ("tcp://10.0.0.0/30:1502", ("10.0.0.1", "10.0.0.2"), 1502),
        ("tcp://10.0.0.9/32", ("10.0.0.9",), 502),
        ("tcp://10.0.0.8/31", ("10.0.0.8", "10.0.0.9"), 502),
        ("tcp://10.0.0.254-10.0.1.1", ("10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"), 502),
        ("tcp://10.0.0.5-6:503", ("10.0.0.5", "10.0.0.6"), 503),
        ("tcp://[FD00::7]:503", ("fd00::7",), 503),
        ("tcp://plc-7.local", ("plc-7.local",), 502),
    ],
)
def test_an_address_is_so_many_hosts(address: str, hosts: tuple[str, ...], port: int) -> None:
    assert Hosts(hosts, port) == parse_hosts(address, False)


def test_a_serial_port_and_a_serial_server_are_lines() -> None:
    assert Hosts((), 0, True, "/dev/ttyUSB0") == parse_hosts("rtu:///dev/ttyUSB0", False)
    assert Hosts(("10.0.0.7",), 4001, True) == parse_hosts("rtu+tcp://10.0.0.7:4001", False)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("tcp://10.0.0.0/8", "16777214 addresses, more than 4096; --large"),
        ("tcp://10.0.0.0/19", "8190 addresses"),
        ("tcp://10.0.0.9-5", "ends before it begins"),
        ("tcp://10.0.0.0/33", "write tcp"),
        ("tcp://10.0.0.300-400", "write tcp"),
        ("tcp://10.0.0.0/28:99999", "no TCP port"),
        ("tcp://[fd00::]/64", "write tcp"),
        ("tcp://", "write tcp"),
    ],
)
def test_what_is_no_sensible_range_is_told(address: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        parse_hosts(address, False)


def test_many_addresses_need_to_be_meant_and_have_an_end_all_the_same() -> None:
    assert 8190 == len(parse_hosts("tcp://10.0.0.0/19", True).hosts)
    with pytest.raises(ValueError, match=r"more than 1048576$"):
        parse_hosts("tcp://10.0.0.0/8", True)


@pytest.mark.parametrize(
    ("text", "units"), [("1-3", (1, 2, 3)), ("7", (7,)), ("5,1-2,5", (5, 1, 2)), ("0,255", (0, 255))]
)
def test_units_are_numbers_and_ranges(text: str, units: tuple[int, ...]) -> None:
    assert units == Wishes({"units": text}).units("1")


@pytest.mark.parametrize("text", ["x", "1-", "-3", "3-1", "1-256", "1,,2"])
def test_what_are_no_units_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="--units"):
        Wishes({"units": text}).units("1")


def test_settings_are_the_usual_ones_or_those_that_are_named() -> None:
    assert "9600 baud, 8N1" == str(Wishes({}).lines(True, RTU)[0])
    assert ["4800 baud, 8O1"] == [str(line) for line in Wishes({"baud": "4800", "parity": "o"}).lines(True, RTU)]
    assert {"1200 baud, 8N1", "1200 baud, 8E1"} == {str(line) for line in Wishes({"baud": "1200"}).lines(True, RTU)}
    assert {9600, 19200} == {line.baud for line in Wishes({"parity": "o"}).lines(True, RTU)}
    assert {2} == {line.stop for line in Wishes({"stop": "2"}).lines(True, RTU)}
