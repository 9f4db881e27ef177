"""Numbers in decimal digits of four bits: the digits that a person reads off the registers, or none."""

import struct
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import status
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus import _refine_c, _refine_py, codec
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.point import Point
from tidegate_drivers.modbus.tags import parse_tag

DIGITS = {Type.UINT16: 4, Type.UINT32: 8, Type.UINT64: 16}
TWINS = (_refine_c, _refine_py)


def point(kind: Type, **options: str) -> Point:
    found, problems = parse_tag(Tag("a", kind, kind, "HR0", tuple({"coding": "bcd", **options}.items())))
    assert found is not None, problems
    return found


def read(twin: ModuleType, wanted: Point, block: bytes) -> tuple[int, list[int]]:
    """The number in the slot, and the statuses that struck."""
    values = bytearray(8)
    codec.decode(block, codec.step(0, wanted, 0), values)
    rules = codec.rules(0, wanted)
    struck = twin.refine(values, b"".join(rule for rule, _ in rules))
    return int.from_bytes(values, "little"), [rules[number][1] for number in struck]


@given(st.sampled_from(list(DIGITS)), st.integers(0, 10**16 - 1))
def test_the_digits_on_the_wire_are_the_digits_of_the_number(kind: Type, number: int) -> None:
    digits = f"{number % 10 ** DIGITS[kind]:0{DIGITS[kind]}d}"

    assert [read(twin, point(kind), bytes.fromhex(digits)) for twin in TWINS] == [(int(digits), [])] * 2


@given(st.sampled_from(list(DIGITS)), st.binary(min_size=8, max_size=8))
def test_what_has_a_nibble_that_is_no_digit_is_no_number(kind: Type, block: bytes) -> None:
    shown = block[: DIGITS[kind] // 2].hex()
    expected = (int(shown), []) if shown.isdecimal() else (0, [status.BAD_DECODING_ERROR])

    assert [read(twin, point(kind), bytes.fromhex(shown)) for twin in TWINS] == [expected] * 2


@pytest.mark.parametrize("twin", TWINS, ids=["compiled", "pure"])
def test_registers_are_put_in_order_before_their_digits_are_read(twin: ModuleType) -> None:
    assert read(twin, point(Type.UINT32, order="CDAB"), bytes.fromhex("56781234")) == (12345678, [])


@pytest.mark.parametrize("twin", TWINS, ids=["compiled", "pure"])
@pytest.mark.parametrize(("na", "wire"), [("0xFFFF", "ffff"), ("9999", "9999"), ("0xEEEE 7", "0007")])
def test_a_value_that_means_not_available_is_told_before_its_digits(twin: ModuleType, na: str, wire: str) -> None:
    assert read(twin, point(Type.UINT16, na=na), bytes.fromhex(wire)) == (0, [status.BAD_NO_DATA])


@pytest.mark.parametrize(
    ("kind", "options", "column"),
    [
        (Type.INT16, {"coding": "bcd"}, "coding"),
        (Type.FLOAT32, {"coding": "bcd"}, "coding"),
        (Type.BOOL, {"coding": "bcd"}, "coding"),
        (Type.UINT16, {"coding": "gray"}, "coding"),
        (Type.UINT16, {"coding": "bcd", "na": "12345"}, "na"),
        (Type.UINT16, {"coding": "bcd", "na": "-1"}, "na"),
    ],
)
def test_what_can_not_be_made_of_digits_is_one_problem(kind: Type, options: dict[str, str], column: str) -> None:
    problems = ModbusDriver.check([_device(Tag("a", kind, kind, "HR0", tuple(options.items()), row=2))])

    assert [(p.row, p.column, bool(p.remedy)) for p in problems] == [(2, column, True)]


def _device(tag: Tag) -> Device:
    group = Group("m1", "default", 1.0, 1.0, (0,))
    return Device("m1", "modbus", "tcp://10.0.0.7:502", 1, TagTable("m1", (tag,)), (group,), {})


def test_describe_says_that_it_is_bcd() -> None:
    assert str(point(Type.UINT32)) == "holding 0x0000, 2 registers, uint32 ABCD, BCD"


def test_a_number_that_is_none_is_bad_and_its_neighbours_are_good(rig: Any) -> None:
    plc = rig.machine({0: 0x1234, 1: 0x12A4, 2: 0x12A4})
    coded = [Tag(f"b{a}", Type.UINT16, Type.UINT16, f"HR{a}", (("coding", "bcd"),)) for a in (0, 1)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [status.GOOD, status.BAD_DECODING_ERROR, status.GOOD]
        assert struct.unpack("<3q", frame.values) == (1234, 0, 0x12A4)

    rig.against(plc, [*coded, *rig.words(1, start=2)], story)
