"""The wheel gives back what was put in, when it is due, and spreads groups over few slots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.acquire.wheel import SLOTS_MAX, SPREAD_US_MAX, TICK_US, Wheel, phase_us


@given(st.lists(st.integers(0, 10**7)), st.lists(st.integers(0, 2 * 10**7), max_size=20))
def test_everything_comes_out_once_within_a_tick_of_its_time(times: list[int], looks: list[int]) -> None:
    wheel: Wheel[int] = Wheel()
    for time in times:
        wheel.add(time, time)
    taken = []
    for look in [*sorted(looks), 3 * 10**7]:
        found = wheel.due(look)
        taken += found

        assert all(time <= look for time in found)
        assert wheel.next_us(look + 10**9) > look
    assert sorted(times) == sorted(taken)


def test_what_is_due_within_a_tick_shares_a_wake_up() -> None:
    wheel: Wheel[str] = Wheel()
    first, second = wheel.add(TICK_US + 1, "a"), wheel.add(2 * TICK_US, "b")

    assert 2 * TICK_US == first == second
    assert ["a", "b"] == wheel.due(first)


def test_an_empty_wheel_waits_for_the_other_thing() -> None:
    assert 7 == Wheel[int]().next_us(7)


@pytest.mark.parametrize("interval_us", [10_000, 25_000, 33_333, 100_000, 1_000_000, 60_000_000, 3_600_000_000])
def test_phases_are_few_whole_ticks_within_the_interval(interval_us: int) -> None:
    phases = [phase_us(interval_us, index) for index in range(100)]

    assert len(set(phases)) <= SLOTS_MAX
    assert all(0 <= phase < min(interval_us, SPREAD_US_MAX) and phase % TICK_US == 0 for phase in phases)
    assert len(set(phases)) == min(SLOTS_MAX, max(1, interval_us // 10_000))
