"""Registers into slots: exact for every type and order, and the same by both twins."""

import math
import struct
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.frame import unpack_value
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus import _codec_c, _codec_py, codec
from tidegate_drivers.modbus.point import SWAP_BYTES, Function, Point
from tidegate_drivers.modbus.tags import parse_tag

TWINS = pytest.mark.parametrize("twin", [_codec_c, _codec_py], ids=["compiled", "pure"])
# 0x0102030405060708 as each order puts it on the wire.
WIRE = {
    "ABCD": ("0102", "01020304", "0102030405060708"),
    "BADC": ("0201", "02010403", "0201040306050807"),
    "CDAB": ("0102", "03040102", "0708050603040102"),
    "DCBA": ("0201", "04030201", "0807060504030201"),
}
ORDERS = {"ABCD": 0, "BADC": 1, "CDAB": 2, "DCBA": 3}


def read(twin: ModuleType, point: Point, block: bytes, start: int = 0) -> bytes:
    values = bytearray(8)
    twin.decode(block, codec.step(0, point, start), values)
    return bytes(values)


def holding(kind: Type, order: int = 0, bit: int | None = None, address: int = 0) -> Point:
    return Point(Function.HOLDING, address, {8: 4, 9: 4, 11: 4, 6: 2, 7: 2, 10: 2}.get(kind, 1), kind, order, bit)


@TWINS
@pytest.mark.parametrize("order", WIRE)
def test_every_order_gives_back_the_same_number(twin: ModuleType, order: str) -> None:
    kinds = (Type.UINT16, Type.UINT32, Type.UINT64)
    found = [
        int.from_bytes(read(twin, holding(kind, ORDERS[order]), bytes.fromhex(wire)), "little")
        for kind, wire in zip(kinds, WIRE[order], strict=True)
    ]

    assert found == [0x0102, 0x01020304, 0x0102030405060708]


@TWINS
@pytest.mark.parametrize(
    ("kind", "wire", "expected"),
    [
        (Type.INT8, "0080", -128),
        (Type.INT8, "7fff", -1),
        (Type.UINT8, "01ff", 255),
        (Type.INT16, "8000", -32768),
        (Type.UINT16, "ffff", 65535),
        (Type.INT32, "80000000", -(2**31)),
        (Type.UINT32, "ffffffff", 2**32 - 1),
        (Type.INT64, "8000000000000000", -(2**63)),
        (Type.UINT64, "ffffffffffffffff", 2**64 - 1),
        (Type.FLOAT32, "00000001", 1.401298464324817e-45),
        (Type.FLOAT64, "0000000000000001", 5e-324),
        (Type.FLOAT32, "7f800000", math.inf),
        (Type.BOOL, "0100", True),
        (Type.BOOL, "0000", False),
    ],
)
def test_the_ends_of_every_type_are_exact(twin: ModuleType, kind: Type, wire: str, expected: float) -> None:
    assert unpack_value(kind, read(twin, holding(kind), bytes.fromhex(wire))) == expected


@TWINS
@pytest.mark.parametrize("bits", ["7fc00001", "ffc12345", "80000000", "7f800001"])
def test_floats_keep_every_bit_of_nan_and_minus_zero(twin: ModuleType, bits: str) -> None:
    slot = read(twin, holding(Type.FLOAT32), bytes.fromhex(bits))

    assert slot == bytes.fromhex(bits)[::-1] + bytes(4)


@TWINS
def test_each_bit_of_a_register_is_found_from_the_least_significant_on(twin: ModuleType) -> None:
    found = [unpack_value(Type.BOOL, read(twin, holding(Type.BOOL, bit=b), bytes.fromhex("8005"))) for b in range(16)]

    assert found == [True, False, True, *[False] * 12, True]


@TWINS
def test_a_bit_of_a_swapped_register_is_that_of_its_number(twin: ModuleType) -> None:
    assert unpack_value(Type.BOOL, read(twin, holding(Type.BOOL, SWAP_BYTES, bit=0), bytes.fromhex("0100")))


@TWINS
def test_coils_come_least_significant_bit_first(twin: ModuleType) -> None:
    # Modbus Application Protocol V1.1b3, §6.1: coils 20 to 38 are CD 6B 05.
    block = bytes.fromhex("cd6b05")
    found = "".join(
        str(int.from_bytes(read(twin, Point(Function.COIL, 19 + i, 1, Type.BOOL), block, 19), "little"))
        for i in range(19)
    )

    assert found == "1011001111010110101"


@TWINS
@pytest.mark.parametrize(
    ("steps", "block_bytes", "values_bytes"),
    [
        (_codec_py.STEP.pack(0, 1, _codec_py.UINT16, 0), 2, 8),
        (_codec_py.STEP.pack(0, 0, _codec_py.WIDE, 0), 7, 8),
        (_codec_py.STEP.pack(0, 8, _codec_py.BIT, 0), 1, 8),
        (_codec_py.STEP.pack(1, 0, _codec_py.UINT16, 0), 2, 8),
        (_codec_py.STEP.pack(2**32 - 1, 0, _codec_py.UINT16, 0), 2, 8),
        (_codec_py.STEP.pack(0, 0, 10, 0), 8, 8),
        (_codec_py.STEP.pack(0, 0, _codec_py.REGISTER_BIT, 16), 8, 8),
        (b"\0" * 7, 8, 8),
    ],
)
def test_a_step_never_leads_outside(twin: ModuleType, steps: bytes, block_bytes: int, values_bytes: int) -> None:
    with pytest.raises(ValueError, match="step"):
        twin.decode(bytes(block_bytes), steps, bytearray(values_bytes))


STEPS = st.builds(
    _codec_py.STEP.pack,
    st.integers(0, 5),
    st.integers(0, 40),
    st.sampled_from([c | s for c in range(11) for s in range(0, 0x80, 0x10)]),
    st.integers(0, 16),
)


@given(st.binary(max_size=32), st.lists(STEPS, max_size=6).map(b"".join))
def test_the_twins_agree_on_any_steps(block: bytes, steps: bytes) -> None:
    filled, said = [], []
    for twin in (_codec_c, _codec_py):
        values = bytearray(32)
        try:
            twin.decode(block, steps, values)
        except ValueError as wrong:
            said.append(str(wrong))
        filled.append(bytes(values))

    assert filled[0] == filled[1]
    assert len(said) in (0, 2)
    assert len(set(said)) <= 1


LETTERS = ("ABCDEFGH", "BADCFEHG", "GHEFCDAB", "HGFEDCBA", "EFGHABCD", "FEHGBADC", "CDABGHEF", "DCBAHGFE")


@given(
    st.sampled_from(LETTERS),
    st.sampled_from([(Type.INT64, ">q"), (Type.UINT64, ">Q"), (Type.FLOAT64, ">d")]),
    st.binary(min_size=8, max_size=8),
)
def test_the_letters_of_an_order_say_where_each_byte_lies(order: str, form: tuple[Type, str], number: bytes) -> None:
    # Written by the letters alone: the byte that is called A is the most significant.
    wire = bytes(number[ord(letter) - ord("A")] for letter in order)
    point, problems = parse_tag(Tag("a", form[0], form[0], "HR0", (("order", order),)))
    assert point is not None, problems
    found = [unpack_value(form[0], read(twin, point, wire)) for twin in (_codec_c, _codec_py)]

    assert [struct.pack(form[1], value) for value in found] == [
        struct.pack(form[1], *struct.unpack(form[1], number))
    ] * 2


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(range(8)))
def test_a_number_written_in_any_order_reads_back(number: int, order: int) -> None:
    written = _codec_py.in_order(struct.pack(">q", number), order << 4)

    assert unpack_value(Type.INT64, read(_codec_c, holding(Type.INT64, order), written)) == number


def text(wire: bytes, length: int, order: int = 0) -> tuple[bool, object]:
    point = Point(Function.HOLDING, 0, (length + 1) // 2, Type.STRING, order, None, length)
    values, side = bytearray(8), bytearray(b"before")
    fine = codec.decode_text(wire, 0, point, values, 0, side)
    return fine, unpack_value(Type.STRING, bytes(values), bytes(side))


@pytest.mark.parametrize(
    ("wire", "length", "order", "expected"),
    [
        (b"SDM630\0\0", 8, 0, "SDM630"),
        (b"DS6M03\0\0", 8, SWAP_BYTES, "SDM630"),
        (b"SDM630\0\0", 8, 2, "SDM630"),
        (b"ABCDEF", 5, 0, "ABCDE"),
        (b"AB  ", 4, 0, "AB"),
        (b" AB\0junk", 8, 0, " AB"),
        (b"\0\0\0\0", 4, 0, ""),
        ("电表1".encode() + b"\0", 8, 0, "电表1"),
    ],
)
def test_a_string_ends_at_its_nul_and_without_the_blanks_behind_it(
    wire: bytes, length: int, order: int, expected: str
) -> None:
    assert text(wire, length, order) == (True, expected)


def test_bytes_that_are_no_text_are_not_made_into_one() -> None:
    assert text(b"\xff\xfe\x41\x42", 4) == (False, "")
