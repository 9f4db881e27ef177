"""Report by exception: what is worth a reading, in both twins."""

import math
import struct
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.tag import Type
from tidegate.shape import _deadband_c, _deadband_py
from tidegate.shape._deadband_py import RULE

TWINS = pytest.mark.parametrize("twin", [_deadband_c, _deadband_py], ids=["compiled", "pure"])
GOOD = bytes(4)
BAD = struct.pack("<I", 0x80050000)
EVERY = math.nan


def rule(band: float, kind: Type = Type.FLOAT64, heartbeat_us: int = 0) -> bytes:
    return RULE.pack(band, heartbeat_us, kind)


def slot(value: float | int, code: str = "d") -> bytes:
    return struct.pack("<" + code, value)


class Watch:
    """One tag under one rule: tells whether each value in turn is reported."""

    def __init__(self, twin: ModuleType, packed: bytes) -> None:
        self.twin, self.rule, self.memory, self.mono_us = twin, packed, twin.fresh(1), 1

    def reports(self, value: bytes, status: bytes = GOOD, side: bytes = b"", after_us: int = 1) -> bool:
        self.mono_us += after_us
        return bool(self.twin.select(bytes(4), status, value, side, self.rule, self.memory, self.mono_us, 1))


@TWINS
def test_without_a_deadband_every_reading_is_reported(twin: ModuleType) -> None:
    watch = Watch(twin, rule(EVERY))

    assert [watch.reports(slot(1.0)), watch.reports(slot(1.0))] == [True, True]


@TWINS
def test_a_move_by_more_than_the_deadband_from_the_last_report_is_reported(twin: ModuleType) -> None:
    watch = Watch(twin, rule(0.5))

    assert [watch.reports(slot(v)) for v in (1.0, 1.4, 1.5, 1.6)] == [True, False, False, True]


@TWINS
def test_a_slow_drift_is_reported_in_the_end(twin: ModuleType) -> None:
    watch = Watch(twin, rule(1.0))

    assert sum(watch.reports(slot(i / 10)) for i in range(100)) in (9, 10)


@TWINS
def test_a_deadband_of_zero_reports_every_change_of_a_big_integer(twin: ModuleType) -> None:
    watch = Watch(twin, rule(0, Type.UINT64))

    assert [watch.reports(slot(v, "Q")) for v in (2**64 - 1, 2**64 - 1, 2**64 - 2)] == [True, False, True]


@TWINS
def test_a_change_of_status_is_reported_both_ways(twin: ModuleType) -> None:
    watch = Watch(twin, rule(1.0))
    seen = [watch.reports(slot(5.0), status) for status in (GOOD, GOOD, BAD, BAD, GOOD)]

    assert seen == [True, False, True, False, True]


@TWINS
def test_a_heartbeat_is_reported_though_nothing_moved(twin: ModuleType) -> None:
    watch = Watch(twin, rule(1.0, heartbeat_us=1_000_000))
    seen = [watch.reports(slot(5.0), after_us=200_000) for _ in range(11)]

    assert [0, 5, 10] == [i for i, reported in enumerate(seen) if reported]


@TWINS
@pytest.mark.parametrize("jitter_us", [0, 300, 20_000])
def test_reports_are_never_farther_apart_than_the_heartbeat(twin: ModuleType, jitter_us: int) -> None:
    watch, gap_us, gaps = Watch(twin, rule(1.0, heartbeat_us=60_000_000)), 0, []
    for i in range(600):
        step_us = 1_000_000 + (jitter_us if i % 2 else -jitter_us)
        gap_us += step_us
        if watch.reports(slot(5.0), after_us=step_us):
            gaps.append(gap_us)
            gap_us = 0

    assert max(gaps[1:]) <= 60_000_000
    assert min(gaps[1:]) >= 58_000_000


@TWINS
@pytest.mark.parametrize(
    ("kind", "code", "far", "near"),
    [
        (Type.UINT64, "Q", 2**53 + 1, 2**53),
        (Type.INT64, "q", 2**53 + 1, 2**53),
        (Type.UINT64, "Q", 2**64 - 1, 1),
        (Type.INT64, "q", -(2**53) - 1, -(2**53)),
    ],
    ids=["uint64 up", "int64 up", "uint64 all the way", "int64 down"],
)
def test_distances_of_big_integers_are_exact(twin: ModuleType, kind: Type, code: str, far: int, near: int) -> None:
    band = float(2**53)
    watch = Watch(twin, rule(band, kind))
    seen = [watch.reports(slot(v, code)) for v in (0, near, far)]

    assert [True, False, True] == seen


@TWINS
def test_a_deadband_of_zero_reports_a_zero_that_changed_its_sign(twin: ModuleType) -> None:
    watch = Watch(twin, rule(0))

    assert [True, True, False] == [watch.reports(slot(v)) for v in (0.0, -0.0, -0.0)]


@TWINS
def test_a_number_that_becomes_nan_is_reported_once(twin: ModuleType) -> None:
    watch = Watch(twin, rule(1.0))

    assert [watch.reports(slot(v)) for v in (5.0, math.nan, math.nan, 5.0)] == [True, True, False, True]


@TWINS
def test_a_string_is_compared_by_what_it_says_not_where_it_lies(twin: ModuleType) -> None:
    watch = Watch(twin, rule(0, Type.STRING))
    seen = [
        watch.reports(struct.pack("<II", 0, 2), side=b"on"),
        watch.reports(struct.pack("<II", 3, 2), side=b"xxxon"),
        watch.reports(struct.pack("<II", 0, 3), side=b"off"),
        watch.reports(struct.pack("<II", 0, 0), side=b""),
    ]

    assert seen == [True, False, True, True]


@TWINS
def test_a_string_outside_the_side_bytes_is_an_error(twin: ModuleType) -> None:
    with pytest.raises(IndexError, match="outside"):
        Watch(twin, rule(0, Type.STRING)).reports(struct.pack("<II", 1, 2), side=b"on")


@TWINS
def test_take_keeps_the_chosen_items_and_a_constant_column(twin: ModuleType) -> None:
    kept = struct.pack("<2I", 0, 2)

    assert struct.pack("<2I", 7, 9) == twin.take(struct.pack("<3I", 7, 8, 9), kept, 4)
    assert twin.take(b"same", kept, 4) == b"same"


readings = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from([0, 0x40900000, 0x80050000]),
        st.one_of(
            st.binary(min_size=8, max_size=8),
            st.integers(-3, 3).map(lambda i: slot(i, "q")),
            st.floats().map(slot),
            st.sampled_from([2**53, 2**53 + 1, 2**63 - 1, -(2**63)]).map(lambda i: slot(i, "q")),
        ),
    ),
    min_size=1,
    max_size=6,
)
rules = st.tuples(
    st.sampled_from([EVERY, 0.0, 0.5, 1e9, 2.0**53, 2.0**63, 2.0**64, math.inf]),
    st.sampled_from([0, 2, 5]),
    st.sampled_from([t for t in Type if t != Type.STRING]),
)


@given(st.lists(rules, min_size=3, max_size=3), st.lists(readings, min_size=1, max_size=6))
def test_twins_choose_alike_and_remember_alike(
    three: list[tuple[float, int, Type]], frames: list[list[tuple[int, int, bytes]]]
) -> None:
    packed = b"".join(rule(band, kind, beat) for band, beat, kind in three)
    memories = {twin: twin.fresh(3) for twin in (_deadband_c, _deadband_py)}
    for at, some in enumerate(frames):
        columns = (
            struct.pack(f"<{len(some)}I", *(t for t, _, _ in some)),
            struct.pack(f"<{len(some)}I", *(s for _, s, _ in some)),
            b"".join(v for _, _, v in some),
        )
        chosen = {twin.select(*columns, b"", packed, memory, at, len(some)) for twin, memory in memories.items()}

        assert len(chosen) == 1
    assert memories[_deadband_c] == memories[_deadband_py]
