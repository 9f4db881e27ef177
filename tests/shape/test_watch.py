"""Alarms: limits, hysteresis, delays, and what a bad reading does not do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model.status import BAD_TIMEOUT, GOOD, UNCERTAIN, UNCERTAIN_LAST_USABLE_VALUE
from tidegate.shape.formula import Alarm
from tidegate.shape.watch import Watch

S = 1_000_000
AGE = 4 * S


def levels(alarm: Alarm, numbers: list[float]) -> list[int]:
    """The level after each of these readings, a second apart."""
    watch = Watch(alarm, AGE)
    return [watch.take(i * S, number, GOOD)[0] for i, number in enumerate(numbers)]


def test_each_limit_has_its_level() -> None:
    alarm = Alarm(("t",), high_high=90, high=80, low=20, low_low=10)

    assert [0, 0, 1, 2, 1, 0, -1, -2, -1] == levels(alarm, [50, 80, 81, 95, 85, 80, 15, 5, 15])


def test_hysteresis_keeps_an_alarm_until_the_value_is_well_back() -> None:
    assert [0, 1, 1, 1, 0, 0, 1] == levels(Alarm(("t",), high=80, hysteresis=2), [80, 81, 79, 78.1, 78, 79.9, 80.5])
    assert [0, -1, -1, 0] == levels(Alarm(("t",), low=20, hysteresis=2), [20, 19, 21.9, 22])


def test_delays_want_the_whole_time_without_a_break() -> None:
    alarm = Alarm(("t",), high=80, on_delay_s=3, off_delay_s=2)

    assert [0, 0, 0, 0, 0, 0, 0, 1] == levels(alarm, [90, 90, 90, 70, 90, 90, 90, 90])
    assert [0, 0, 0, 1, 1, 1, 1, 1, 0] == levels(alarm, [90, 90, 90, 90, 70, 90, 70, 70, 70])


def test_a_bad_reading_clears_nothing_and_says_that_the_level_is_old() -> None:
    watch = Watch(Alarm(("t",), high=80), AGE)
    watch.take(0, 90, GOOD)

    assert (1, UNCERTAIN_LAST_USABLE_VALUE) == watch.take(S, 0.0, BAD_TIMEOUT)
    assert (1, GOOD) == watch.take(2 * S, 90, GOOD)


def test_before_the_first_good_reading_the_level_is_as_bad_as_the_reading() -> None:
    assert (0, BAD_TIMEOUT) == Watch(Alarm(("t",), high=80), AGE).take(0, 0.0, BAD_TIMEOUT)


def test_an_uncertain_reading_gives_an_uncertain_level() -> None:
    assert (1, UNCERTAIN) == Watch(Alarm(("t",), high=80), AGE).take(0, 90, UNCERTAIN)


@pytest.mark.parametrize("bad", [True, False], ids=["bad readings", "no readings"])
def test_time_in_which_nothing_was_known_counts_for_no_delay(bad: bool) -> None:
    watch = Watch(Alarm(("t",), high=80, on_delay_s=3), AGE)
    watch.take(0, 90, GOOD)
    if bad:
        for second in range(1, 10):
            watch.take(second * S, 0.0, BAD_TIMEOUT)

    assert (0, GOOD) == watch.take(10 * S, 90, GOOD)
    assert (1, GOOD) == watch.take(13 * S, 90, GOOD)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 100, allow_nan=False), max_size=100))
def test_a_latch_written_plainly_agrees(numbers: list[float]) -> None:
    high = low = False
    expected = []
    for number in numbers:
        high = number > (70 if high else 80)
        low = number < (30 if low else 20)
        expected.append(1 if high else -1 if low else 0)

    assert expected == levels(Alarm(("t",), high=80, low=20, hysteresis=10), numbers)
