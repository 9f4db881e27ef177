"""Values to be written: as the node's own type, exactly, or refused with words."""

import struct
from decimal import Decimal
from fractions import Fraction

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.frame import unpack_value
from tidegate.model.tag import Type
from tidegate_drivers.opcua.encode import BOUNDS, encode, number
from tidegate_drivers.opcua.structures import Types
from tidegate_drivers.opcua.values import Part, slot
from tidegate_drivers.opcua.variants import datum_of

V = ua.VariantType
MODE = {0: "Off", 1: "On", 2: "On"}


def back(value: object, builtin: V, kind: Type, names: dict[int, str] | None = None) -> object:
    """The value as a tag tells it, once the server has it."""
    side = bytearray()
    found, override = slot(Part(kind), datum_of(encode(value, builtin, names=names)), side, Types())
    assert override is None
    return unpack_value(kind, found, bytes(side))


@pytest.mark.parametrize(
    ("value", "builtin", "kind", "expected"),
    [
        (True, V.Boolean, Type.BOOL, True),
        ("0", V.Boolean, Type.BOOL, False),
        (Decimal("-128"), V.SByte, Type.INT8, -128),
        ("255", V.Byte, Type.UINT8, 255),
        (2**64 - 1, V.UInt64, Type.UINT64, 2**64 - 1),
        (Decimal("0.1"), V.Double, Type.FLOAT64, 0.1),
        (Decimal("0.1"), V.Float, Type.FLOAT32, struct.unpack("<f", struct.pack("<f", 0.1))[0]),
        ("泵", V.String, Type.STRING, "泵"),
        ("Tür", V.LocalizedText, Type.STRING, "Tür"),
        ("2026-03-04T05:06:07.123456Z", V.DateTime, Type.INT64, 1772600767123456),
        ("2026-03-04T13:06:07.123456+08:00", V.DateTime, Type.INT64, 1772600767123456),
        (1772600767123456, V.DateTime, Type.INT64, 1772600767123456),
        ("72962B91-FA75-4AE6-8D28-B404DC7DAF63", V.Guid, Type.STRING, "72962b91-fa75-4ae6-8d28-b404dc7daf63"),
        ("AP8=", V.ByteString, Type.STRING, "AP8="),
        (0x80310000, V.StatusCode, Type.UINT32, 0x80310000),
    ],
)
def test_what_is_written_is_read_back_as_the_same(value: object, builtin: V, kind: Type, expected: object) -> None:
    assert expected == back(value, builtin, kind)


@pytest.mark.parametrize(
    ("value", "builtin", "rank", "why"),
    [
        (128, V.SByte, -1, "whole numbers from -128 to 127"),
        (-1, V.UInt64, -1, "does not fit"),
        (Decimal("1.5"), V.Int32, -1, "does not fit"),
        (True, V.Int32, -1, "no number"),
        ("nan", V.Double, -1, "no number"),
        ("1e999999", V.Double, -1, "no number"),
        (Decimal("1e39"), V.Float, -1, "fit into a Float"),
        (2, V.Boolean, -1, "neither true nor false"),
        (5, V.String, -1, "no text"),
        ("\ud800", V.String, -1, "half a letter"),
        ("2026-03-04T05:06:07", V.DateTime, -1, "of which place"),
        ("tomorrow", V.DateTime, -1, "no time"),
        (2**62, V.DateTime, -1, "no time"),
        ("x", V.Guid, -1, "no Guid"),
        ("***", V.ByteString, -1, "base64"),
        ("x", V.ExtensionObject, -1, "ExtensionObject are not written"),
        (1, V.Variant, -1, "Variant are not written"),
        ("Pump", V.QualifiedName, -1, "QualifiedName are not written"),
        (1, V.Null, -1, "Null are not written"),
        (1, V.Int32, 1, "list of all its values"),
        ([1], V.Int32, -1, "one value"),
        ([1], V.Int32, 2, "array of arrays"),
        ([1, 300], V.Byte, 1, "does not fit"),
        ([0] * 1001, V.Byte, 1, "at most 1,000"),
    ],
)
def test_what_can_not_be_held_is_refused_with_words(value: object, builtin: V, rank: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        encode(value, builtin, rank)


def test_an_enumeration_is_written_by_its_name_or_number() -> None:
    assert 0 == back("Off", V.Int32, Type.INT32, MODE)
    assert 2 == back("2", V.Int32, Type.INT32, MODE)


def test_a_name_that_an_enumeration_does_not_have_or_has_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="it has Off, On"):
        encode("Running", V.Int32, names=MODE)
    with pytest.raises(ValueError, match="1 and 2"):
        encode("On", V.Int32, names=MODE)


def test_an_array_is_written_as_a_whole() -> None:
    made = encode([1, "2"], V.Int16, 1)

    assert ([1, 2], V.Int16, True) == (made.Value, made.VariantType, made.is_array)


@given(st.sampled_from(sorted(BOUNDS)), st.integers(-(2**70), 2**70))
def test_a_whole_number_is_written_as_itself_or_not_at_all(builtin: int, value: int) -> None:
    try:
        made = encode(value, builtin)
    except ValueError:
        low, high = BOUNDS[builtin]

        assert not low <= value <= high
        return
    written = made.Value.value if builtin == V.StatusCode else made.Value

    assert value == written


@given(st.fractions(-(10**12), 10**12))
def test_a_float_gets_no_number_but_the_nearest_one(exact: Fraction) -> None:
    made = encode(exact, V.Float).Value
    [bits] = struct.unpack("<I", struct.pack("<f", made))
    magnitude = bits & 0x7FFFFFFF
    around = [
        struct.unpack("<f", struct.pack("<I", (bits & 0x80000000) | one))[0]
        for one in (magnitude - 1, magnitude + 1)
        if one >= 0
    ]

    assert all(abs(Fraction(made) - exact) <= abs(Fraction(other) - exact) for other in around)


def test_a_number_rounded_by_way_of_a_double_is_still_the_nearest_float() -> None:
    # Just above the middle of 1 and the next Float; as a Double it is the middle, and the even neighbour is 1.
    exact = 1 + Fraction(1, 2**24) + Fraction(1, 2**60)

    assert 1 + 2**-23 == encode(exact, V.Float).Value


def test_numbers_are_exact_whatever_they_are_written_as() -> None:
    assert Fraction(1, 10) == number(0.1) == number("0.1") == number(Decimal("0.1"))
