"""Windows: boundaries, what holds, what is whole, and what a step of the clock or a hole does to them."""

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model.status import (
    BAD_NO_COMMUNICATION,
    BAD_NO_DATA,
    GOOD,
    UNCERTAIN,
    UNCERTAIN_DATA_SUB_NORMAL,
    is_bad,
)
from tidegate.shape.window import MISSED_MAX, Closed, Span

S = 1_000_000
MINUTE = 60 * S
# A wall clock of a full hour, and what the monotonic one shows then.
HOUR = 1_795_000_000 // 3600 * 3600 * S
MONO = 5_000 * S
HOLD = 4 * S


class Plant:
    """Feeds a window with readings; `at_s` counts from the full hour."""

    def __init__(self, function: str, length_us: int = MINUTE, hold_us: int = HOLD) -> None:
        self.span = Span(function, length_us, hold_us)
        self.closed: list[Closed] = []
        self.ahead_us = 0
        self.known = True

    def pass_to(self, at_s: float) -> None:
        us = round(at_s * S)
        self.closed += self.span.advance(MONO + us, HOUR + us + self.ahead_us, self.known)

    def take(self, at_s: float, number: float, status: int = GOOD) -> None:
        self.pass_to(at_s)
        self.span.take(MONO + round(at_s * S), number, status)

    def said(self) -> list[tuple[float, float, int]]:
        """End in seconds after the full hour, number, status."""
        return [((one.end_us - HOUR) / S, one.number, one.status) for one in self.closed]


def fed(function: str, numbers: list[float], start_s: float = 0.0) -> Plant:
    plant = Plant(function)
    for i, number in enumerate(numbers):
        plant.take(start_s + i, number)
    return plant


@pytest.mark.parametrize(
    ("function", "expected"), [("mean", 29.5), ("min", 0.0), ("max", 59.0), ("last", 59.0), ("difference", 59.0)]
)
def test_a_whole_minute_is_good_and_stamped_with_its_end(function: str, expected: float) -> None:
    plant = fed(function, [float(i) for i in range(61)])

    assert [(60.0, expected, GOOD)] == plant.said()


def test_windows_begin_at_the_clocks_boundaries_and_the_first_is_part_of_one() -> None:
    plant = fed("mean", [1.0] * 130, start_s=20)

    assert [(60.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL), (120.0, 1.0, GOOD)] == plant.said()


def test_a_mean_is_over_time_and_not_over_readings() -> None:
    plant = Plant("mean", hold_us=MINUTE)
    for at_s, number in [(0, 10.0), (45, 50.0), (60, 0.0)]:
        plant.take(at_s, number)

    assert [(60.0, 20.0, GOOD)] == plant.said()


def test_differences_of_windows_add_up_to_that_of_the_counter() -> None:
    plant = fed("difference", [3.0 * i for i in range(601)])

    # The reading at a boundary is the first of the next window.
    assert 599 * 3.0 == sum(number for _, number, _ in plant.said())
    assert [GOOD] * 10 == [status for _, _, status in plant.said()]


def test_a_counter_that_falls_begins_anew_and_its_window_is_uncertain() -> None:
    plant = fed(
        "difference", [100.0 + i for i in range(30)] + [float(i) for i in range(31)] + [31.0 + i for i in range(60)]
    )

    assert [(60.0, 29.0 + 29.0, UNCERTAIN_DATA_SUB_NORMAL), (120.0, 60.0, GOOD)] == plant.said()[:2]


def test_a_hole_makes_a_window_uncertain_and_counts_for_nothing_in_its_mean() -> None:
    plant = Plant("mean")
    for i in [*range(20), *range(40, 61)]:
        plant.take(i, 10.0 if i < 30 else 30.0)
    covered_s = 19 + HOLD / S

    [(end_s, number, status)] = plant.said()
    assert (60.0, UNCERTAIN_DATA_SUB_NORMAL) == (end_s, status)
    assert number == pytest.approx((10.0 * covered_s + 30.0 * 20) / (covered_s + 20))


def test_a_bad_reading_is_a_hole_at_once() -> None:
    plant = Plant("max")
    for i in range(61):
        plant.take(i, 99.0 if i == 30 else 1.0, BAD_NO_COMMUNICATION if i == 30 else GOOD)

    assert [(60.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL)] == plant.said()


def test_an_uncertain_reading_makes_its_window_uncertain_in_its_own_words() -> None:
    plant = Plant("mean")
    for i in range(121):
        plant.take(i, 1.0, UNCERTAIN if i == 30 else GOOD)

    assert [(60.0, 1.0, UNCERTAIN), (120.0, 1.0, GOOD)] == plant.said()


def test_windows_without_any_reading_have_no_data_and_only_the_last_of_many_are_told() -> None:
    plant = fed("mean", [1.0] * 30)
    plant.take(60 * 60 * 5, 2.0)
    ends = [end_s for end_s, _, _ in plant.said()]

    assert (60.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL) == plant.said()[0]
    assert {(0.0, BAD_NO_DATA)} == {(number, status) for _, number, status in plant.said()[1:]}
    assert MISSED_MAX >= len(ends) - 1
    assert ends[-1] == 60 * 60 * 5
    assert {60.0} == {later - earlier for earlier, later in pairwise(ends[1:])}


def test_a_difference_never_takes_in_what_was_counted_in_windows_that_nobody_saw() -> None:
    plant = fed("difference", [float(i) for i in range(60)])
    for i in range(200, 300):
        plant.take(i, 10_000.0 + i)

    assert max(number for _, number, _ in plant.said()) <= 60


def test_a_step_of_the_clock_ends_a_window_early_and_the_next_is_aligned_again() -> None:
    plant = fed("mean", [1.0] * 30)
    plant.ahead_us = 600 * S
    for i in range(30, 130):
        plant.take(i, 1.0)

    said = plant.said()
    assert (630.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL) == said[0]
    assert (660.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL) == said[1]
    assert (720.0, 1.0, GOOD) == said[2]


def test_a_clock_that_is_slewed_by_little_makes_no_window_of_a_blink() -> None:
    plant = Plant("mean")
    for i in range(601):
        plant.ahead_us = i * 300 if i < 300 else 300 * 300
        plant.take(i, 1.0)

    assert [60.0 * (i + 1) for i in range(10)] == [end_s for end_s, _, _ in plant.said()]
    assert [GOOD] * 9 == [status for _, _, status in plant.said()][:9]


def test_while_the_time_is_unknown_windows_count_from_the_first_reading_until_it_is_known() -> None:
    plant = Plant("mean")
    plant.known = False
    for i in range(10, 100):
        plant.take(i, 1.0)
    plant.known = True
    for i in range(100, 200):
        plant.take(i, 1.0)

    assert [
        (70.0, 1.0, GOOD),
        (100.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL),
        (120.0, 1.0, UNCERTAIN_DATA_SUB_NORMAL),
        (180.0, 1.0, GOOD),
    ] == plant.said()


READINGS = st.lists(
    st.tuples(
        st.integers(100, 9_000), st.integers(-1000, 1000).map(float), st.sampled_from([GOOD, GOOD, GOOD, BAD_NO_DATA])
    ),
    min_size=2,
    max_size=200,
)


def step_function(readings: list[tuple[int, float, int]], begin: int, end: int, hold: int) -> tuple[float, int]:
    """Area and covered time (ms) of readings (time in ms, number, status) within begin..end, the plain way."""
    area, covered = 0.0, 0
    for (at, number, status), (until, _, _) in pairwise([*readings, (10**12, 0.0, GOOD)]):
        low, high = max(at, begin), min(until, at + hold, end)
        if not is_bad(status) and high > low:
            area, covered = area + number * (high - low), covered + high - low
    return area, covered


@settings(max_examples=200, deadline=None)
@given(READINGS)
def test_every_mean_is_that_of_the_steps_and_good_only_where_all_was_seen(steps: list[tuple[int, float, int]]) -> None:
    plant, at, readings = Plant("mean"), 0, []
    for gap, number, status in steps:
        at += gap
        readings.append((at, number, status))
        plant.take(at / 1000, number, status)

    first = readings[0][0]
    for one in plant.closed:
        end = (one.end_us - HOUR) // 1000
        area, covered = step_function(readings, max(end - 60_000, first), end, HOLD // 1000)
        if is_bad(one.status):
            assert covered == 0
        else:
            assert (one.status == GOOD) == (covered == 60_000)
            if covered:
                assert math.isclose(one.number, area / covered, rel_tol=1e-9, abs_tol=1e-6)
