"""Round trips in a histogram of fixed size."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.acquire.trips import KEPT_MAX, STEPS, Trips


@given(st.lists(st.integers(0, (1 << 27) - 1), min_size=1, max_size=400), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_what_is_told_is_at_most_a_sixteenth_off(trips: list[int], share: float) -> None:
    kept = Trips()
    for trip_us in trips:
        kept.add(trip_us)
    exact = next(at for at in sorted(trips) if sum(trip <= at for trip in trips) >= share * len(trips))

    assert abs(kept.within_us(share) - exact) <= exact / (2 * STEPS)
    assert trips[-1] == kept.last_us


def test_a_trip_that_takes_for_ever_is_counted_as_the_longest() -> None:
    kept = Trips()
    kept.add(1 << 60)

    assert kept.within_us(0.5) > 100_000_000


def test_what_was_long_ago_is_forgotten() -> None:
    kept = Trips()
    for _ in range(10 * KEPT_MAX):
        kept.add(1_000_000)
    for _ in range(3 * KEPT_MAX):
        kept.add(1_000)

    assert kept.within_us(0.5) < 1_100


def test_before_the_first_read_nothing_is_told() -> None:
    assert 0 == Trips().within_us(0.99)
