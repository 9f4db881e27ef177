"""Back-off waits longer each time, within its bounds, and never in step with its neighbours."""

from random import Random

from tidegate.acquire.backoff import WAIT_S_MAX, WAIT_S_MIN, Backoff


def test_waits_grow_and_stay_within_their_bounds() -> None:
    backoff = Backoff(Random(1))
    waits = [backoff.next_s() for _ in range(50)]

    assert all(WAIT_S_MIN <= wait <= WAIT_S_MAX for wait in waits)
    assert waits[0] <= 2 * WAIT_S_MIN
    assert min(waits[10:]) >= WAIT_S_MAX / 2


def test_after_success_it_begins_again() -> None:
    backoff = Backoff(Random(1))
    for _ in range(10):
        backoff.next_s()
    backoff.reset()

    assert backoff.next_s() <= 2 * WAIT_S_MIN


def test_gateways_that_lost_the_same_bus_do_not_come_back_at_once() -> None:
    waits = {round(Backoff(Random(seed)).next_s(), 6) for seed in range(100)}

    assert len(waits) > 90
