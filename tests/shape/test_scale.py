"""Scale: exact where it can be, rounded once where it can't, and the same in both twins."""

import math
import struct
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.tag import Type
from tidegate.shape import _scale_c, _scale_py
from tidegate.shape._scale_py import RULE

TWINS = pytest.mark.parametrize("twin", [_scale_c, _scale_py], ids=["compiled", "pure"])
GOOD = bytes(4)
BAD = struct.pack("<I", 0x80050000)
NUMBERS = [t for t in Type if t != Type.STRING]


def rule(
    numerator: float, denominator: float, offset: float = 0.0, raw: Type = Type.INT16, neutral: bool = False
) -> bytes:
    return RULE.pack(numerator, denominator, offset, raw, neutral)


def u32(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def i64(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}q", *numbers)


def f64(column: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(column) // 8}d", column))


@TWINS
def test_a_tenth_prints_like_division_for_every_int16(twin: ModuleType) -> None:
    numbers = range(-32768, 32768)
    out = twin.scale(u32(0), GOOD, i64(*numbers), rule(1, 10), len(numbers))

    assert [repr(n / 10) for n in numbers] == [repr(v) for v in f64(out)]


@TWINS
def test_a_neutral_slot_keeps_all_its_bits(twin: ModuleType) -> None:
    slots = struct.pack("<QqQ", 2**64 - 1, -(2**63), 0x7FF4_0000_0000_0001)

    assert slots == twin.scale(u32(0), GOOD, slots, rule(1, 1, raw=Type.UINT64, neutral=True), 3)


@TWINS
def test_a_bad_reading_becomes_zero_and_its_neighbour_does_not(twin: ModuleType) -> None:
    out = twin.scale(u32(0, 1), BAD + GOOD, i64(500, 500), rule(1, 10) * 2, 2)

    assert f64(out) == [0.0, 50.0]


@TWINS
def test_one_value_for_many_tags_is_scaled_by_each_tag(twin: ModuleType) -> None:
    out = twin.scale(u32(0, 1), GOOD, i64(100), rule(1, 10) + rule(1, 100, 1.0), 2)

    assert f64(out) == [10.0, 2.0]


@TWINS
def test_a_tag_without_a_rule_is_an_error(twin: ModuleType) -> None:
    with pytest.raises(IndexError, match="tag 1"):
        twin.scale(u32(1), GOOD, i64(1), rule(1, 10), 1)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from([0, 0x40900000, 0x80050000]), st.binary(min_size=8, max_size=8)),
        min_size=1,
        max_size=8,
    ),
    st.lists(
        st.tuples(
            st.integers(-1000, 1000),
            st.integers(1, 1000),
            st.floats(-1e6, 1e6),
            st.sampled_from(NUMBERS),
            st.booleans(),
        ),
        min_size=4,
        max_size=4,
    ),
)
def test_twins_scale_alike(some: list[tuple[int, int, bytes]], rules: list[tuple[int, int, float, Type, bool]]) -> None:
    tags, status = u32(*(t for t, _, _ in some)), u32(*(s for _, s, _ in some))
    values = b"".join(v for _, _, v in some)
    packed = b"".join(rule(float(n), float(d), o, k, e) for n, d, o, k, e in rules)
    pure = _scale_py.scale(tags, status, values, packed, len(some))
    compiled = _scale_c.scale(tags, status, values, packed, len(some))

    assert [_exact(slot) for slot in _slots(pure)] == [_exact(slot) for slot in _slots(compiled)]


def _exact(slot: bytes) -> bytes | str:
    """All bits of a number; a NaN is a NaN, whatever its payload."""
    return "nan" if math.isnan(struct.unpack("<d", slot)[0]) else slot


def _slots(column: bytes) -> list[bytes]:
    return [column[i : i + 8] for i in range(0, len(column), 8)]
