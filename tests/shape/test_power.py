"""Powers of ten that come with the values: the same digits as decimal arithmetic, and nothing good of a bad power."""

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.frame import I64, U32, Frame
from tidegate.model.status import (
    BAD_NO_DATA,
    BAD_OUT_OF_RANGE,
    BAD_TIMEOUT,
    GOOD,
    UNCERTAIN_LAST_USABLE_VALUE,
)
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate.shape.shaper import Shaper

TABLE = TagTable(
    "m",
    (
        Tag("W", Type.FLOAT64, Type.INT16, scale_by="W_SF"),
        Tag("W_SF", Type.INT16, Type.INT16),
        Tag("plain", Type.UINT64, Type.UINT64),
        Tag("tenth", Type.FLOAT64, Type.INT32, scale_by="W_SF", scale=Scale(1, 10, 5.0)),
        Tag("V", Type.FLOAT64, Type.INT16, scale_by="V_SF"),
        Tag("V_SF", Type.INT16, Type.INT16),
    ),
)


def frame(rows: dict[int, int], statuses: dict[int, int] | None = None, twice: int | None = None) -> Frame:
    """A frame of raw values by tag; `twice` is a tag that comes again at the end with the value 3."""
    pairs = [*rows.items(), *([(twice, 3)] if twice is not None else [])]
    status = b"".join(U32.pack((statuses or {}).get(tag, GOOD)) for tag, _ in pairs) if statuses else U32.pack(GOOD)
    values = b"".join(I64.pack(value) for _, value in pairs)
    tags = b"".join(U32.pack(tag) for tag, _ in pairs)
    return Frame("m", TABLE.hash, len(pairs), 1, 1, 1, tags, I64.pack(9), status, values)


def shaped(made: Frame, shaper: Shaper | None = None) -> dict[str, tuple[float, int]]:
    """Value as a float64 and status of each tag that is scaled."""
    kept = (shaper or Shaper([TABLE])).shape(made)
    assert kept is not None
    count = kept.count
    status = struct.unpack(f"<{len(kept.status) // 4}I", kept.status)
    tags = [TABLE.tags[tag] for (tag,) in U32.iter_unpack(kept.tags)]
    found = zip(tags, struct.unpack(f"<{count}d", kept.values), status * (count // len(status)), strict=True)
    return {tag.name: (value, state) for tag, value, state in found if tag.scale_by}


@given(st.integers(-(2**15), 2**15 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(-22, 22))
def test_a_value_has_the_digits_of_decimal_arithmetic(raw: int, other: int, power: int) -> None:
    found = shaped(frame({0: raw, 1: power, 3: other}))

    assert found["W"] == (float(Fraction(raw) * Fraction(10) ** power), GOOD)
    # A tenth of 10^-22 is 10^-23, which is no exact float64 any more.
    if power > -22:
        assert found["tenth"] == (float(Fraction(other) * Fraction(10) ** power / 10) + 5.0, GOOD)


def test_a_scaled_voltage_prints_as_the_device_shows_it() -> None:
    assert repr(shaped(frame({0: 2303, 1: -1}))["W"][0]) == "230.3"


def test_a_power_that_changes_holds_from_its_own_frame_on() -> None:
    shaper = Shaper([TABLE])

    assert [shaped(frame({0: 7, 1: power}), shaper)["W"][0] for power in (0, 2, 2, -1, 0)] == [7, 700, 700, 0.7, 7]


def test_other_tags_and_the_power_itself_keep_all_their_bits() -> None:
    kept = Shaper([TABLE]).shape(frame({0: 1, 1: -3, 2: -1}))

    assert kept is not None
    assert kept.values[8:] == I64.pack(-3) + b"\xff" * 8


@pytest.mark.parametrize(
    ("rows", "statuses", "expected"),
    [
        ({0: 7, 1: 1}, {1: BAD_TIMEOUT}, (0.0, BAD_TIMEOUT)),
        ({0: 7, 1: 1}, {1: BAD_NO_DATA}, (0.0, BAD_NO_DATA)),
        ({0: 7, 1: 1}, {0: BAD_TIMEOUT, 1: BAD_NO_DATA}, (0.0, BAD_TIMEOUT)),
        ({0: 7, 1: 1}, {1: UNCERTAIN_LAST_USABLE_VALUE}, (70.0, UNCERTAIN_LAST_USABLE_VALUE)),
        ({0: 7, 1: 1}, {0: BAD_TIMEOUT, 1: UNCERTAIN_LAST_USABLE_VALUE}, (0.0, BAD_TIMEOUT)),
        ({0: 7, 1: 23}, {}, (0.0, BAD_OUT_OF_RANGE)),
        ({0: 7, 1: -32768}, {}, (0.0, BAD_OUT_OF_RANGE)),
        ({0: 7, 1: -32768}, {1: BAD_TIMEOUT}, (0.0, BAD_TIMEOUT)),
        ({0: 7}, {}, (0.0, BAD_NO_DATA)),
        ({0: 7, 5: 1}, {}, (0.0, BAD_NO_DATA)),
    ],
)
def test_a_reading_is_never_better_than_its_power(
    rows: dict[int, int], statuses: dict[int, int], expected: tuple[float, int]
) -> None:
    assert shaped(frame(rows, statuses))["W"] == expected


def test_a_power_that_comes_twice_in_a_frame_is_none() -> None:
    assert shaped(frame({0: 7, 1: 1}, twice=1))["W"] == (0.0, BAD_NO_DATA)


def test_a_bad_power_is_bad_for_its_own_values_only() -> None:
    found = shaped(frame({0: 7, 1: 99, 4: 2303, 5: -1}))

    assert found == {"W": (0.0, BAD_OUT_OF_RANGE), "V": (230.3, GOOD)}


@given(st.lists(st.tuples(st.sampled_from(range(6)), st.integers(-30, 30)), min_size=1, max_size=6), st.booleans())
def test_constant_columns_mean_the_same_as_written_out(pairs: list[tuple[int, int]], one_value: bool) -> None:
    rows = dict.fromkeys(dict(pairs), pairs[0][1]) if one_value else dict(pairs)
    long = frame(rows, dict.fromkeys(rows, UNCERTAIN_LAST_USABLE_VALUE))
    short = Frame(
        "m", TABLE.hash, long.count, 1, 1, 1, long.tags, long.source_us, long.status[:4],
        long.values[:8] if one_value else long.values,
    )  # fmt: skip

    assert shaped(long) == shaped(short)
