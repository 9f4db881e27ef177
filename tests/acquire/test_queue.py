"""The queue of turns: fast groups go first, and nobody is passed for ever."""

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.machines import Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.acquire.queue import LONGEST_EVERY, Queue
from tidegate.acquire.turn import Turn
from tidegate.clock import Clock
from tidegate.model.device import Device, Group


def turn(interval_s: float, name: str = "") -> Turn[str]:
    return Turn(name, Group("d1", name, interval_s, 1.0, (0,)))


def reads(devices: list[Device], read_s: float, seconds: float) -> list[tuple[str, float]]:
    """Device and time of each read while one bus is polled on virtual time, where each takes so long."""
    scene = Scene()
    scene.answer = lambda group, now_s: read_s

    async def main(clock: Clock) -> None:
        sink = Sink()
        poller = Poller(devices, {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main)
    return [(device, at_s) for device, _, at_s in scene.reads]


def test_the_shortest_interval_is_taken_first() -> None:
    queue: Queue[str] = Queue()
    slow, fast, middle = turn(60.0), turn(0.1), turn(1.0)
    for one in (slow, fast, middle):
        queue.put(one)

    assert [fast, middle, slow] == [queue.take() for _ in range(3)]


def test_within_an_interval_turns_are_taken_as_they_came() -> None:
    queue: Queue[str] = Queue()
    turns = [turn(1.0, f"t{i}") for i in range(20)]
    for one in turns:
        queue.put(one)

    assert turns == [queue.take() for _ in turns]


def test_an_empty_queue_gives_nothing() -> None:
    queue: Queue[str] = Queue()
    queue.put(turn(1.0))
    queue.clear()

    assert len(queue) == 0
    with pytest.raises(IndexError):
        queue.take()


@given(st.lists(st.sampled_from([0.01, 0.1, 1.0, 60.0, None, None]), max_size=400))
def test_no_turn_waits_longer_than_its_place_in_the_order_of_coming_allows(steps: list[float | None]) -> None:
    """None takes a turn, a number puts one of that interval. Every turn comes out, once, within its bound."""
    queue: Queue[str] = Queue()
    bounds: dict[int, int] = {}
    taken: list[Turn[str]] = []
    put: list[Turn[str]] = []
    late = []
    for interval_s in [*steps, *[None] * len(steps)]:
        if interval_s is not None:
            put.append(one := turn(interval_s))
            bounds[id(one)] = len(taken) + (len(queue) + 1) * LONGEST_EVERY
            queue.put(one)
        elif queue:
            taken.append(one := queue.take())
            if len(taken) > bounds[id(one)]:
                late.append(one)

    assert [] == late
    assert {id(one) for one in put} == {id(one) for one in taken}
    assert len(put) == len(taken)


@given(st.lists(st.sampled_from([0.01, 0.1, 1.0, 60.0]), min_size=1, max_size=60))
def test_but_for_the_one_that_waits_longest_no_slower_turn_goes_ahead(intervals: list[float]) -> None:
    queue: Queue[str] = Queue()
    for interval_s in intervals:
        queue.put(turn(interval_s))
    waiting = sorted(round(interval_s * 1e6) for interval_s in intervals)
    ahead = []
    for number in range(1, len(intervals) + 1):
        taken = queue.take().interval_us
        if number % LONGEST_EVERY and taken != waiting[0]:
            ahead.append((number, taken))
        waiting.remove(taken)

    assert [] == ahead


def test_on_a_full_bus_a_fast_group_keeps_its_pace_and_the_slow_ones_still_come() -> None:
    """40 slow groups want twice what the bus can do; the fast one wants a tenth of it."""
    fast = machine("fast", interval_s=0.2)
    slow = [machine(f"s{i}", interval_s=0.4) for i in range(40)]
    found = reads([*slow, fast], 0.02, 30.0)
    times = [at_s for device, at_s in found if device == "fast"]
    seen = {device: sum(1 for name, _ in found if name == device) for device, _ in found}

    assert len(times) >= 0.97 * 30 / 0.2
    # What the fast one leaves is shared by 40: a read of each within a second, but for the start.
    assert min(seen[f"s{i}"] for i in range(40)) >= 25


def test_a_slow_group_comes_in_time_on_a_bus_that_fast_groups_fill() -> None:
    """Ten fast groups want twice the bus: the slow one is taken within its named bound, and so comes every second."""
    fast = [machine(f"f{i}", interval_s=0.1) for i in range(10)]
    found = reads([*fast, machine("slow", interval_s=2.0)], 0.02, 30.0)
    seen = [at_s for device, at_s in found if device == "slow"]
    bound_s = 11 * LONGEST_EVERY * 0.02

    assert len(seen) >= 30 / (2.0 + bound_s)
