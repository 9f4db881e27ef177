"""Another list of devices while polling: what stays keeps its bus and every cycle, what goes is told and left."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random

from tests.fakes.machines import Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.clock import BUILT_US, Clock
from tidegate.errors import NoAnswer
from tidegate.model.device import Device, Group
from tidegate.model.gap import Gap

BEFORE_S, AFTER_S = 20.5, 20.0
A, B, C = machine("a", "bus1"), machine("b", "bus1"), machine("c", "bus2")


@dataclass
class Ran:
    """What a change came to: times of good frames by device, gaps, missed cycles by device, times of opening."""

    frames: dict[str, list[float]]
    gaps: list[Gap]
    missed: dict[str, int]
    opened: list[float]

    def steady(self, device: str, interval_s: float = 1.0) -> bool:
        """Whether not one cycle of a device was left out or early."""
        times = self.frames[device]
        return all(abs(b - a - interval_s) < 0.02 for a, b in pairwise(times))


def changed(before: Sequence[Device], after: Sequence[Device], scene: Scene | None = None) -> Ran:
    scene, sink = scene or Scene(), Sink()

    async def main(clock: Clock) -> Ran:
        poller = Poller(before, {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock, Random(1))
        polling = asyncio.create_task(poller.run())
        await asyncio.sleep(BEFORE_S)
        change = poller.plan(after)
        await poller.retire(change)
        poller.take_up(change)
        await asyncio.sleep(AFTER_S)
        assert not polling.done()
        missed = {status.name: status.missed for status in poller.status()}
        polling.cancel()
        await asyncio.wait([polling])
        frames: dict[str, list[float]] = {}
        for frame in sink.frames:
            if frame.status == bytes(4):
                frames.setdefault(frame.device, []).append(frame.mono_us / 1e6)
        return Ran(frames, sink.gaps, missed, scene.opened)

    return run_virtually(main)


def test_an_unchanged_bus_is_not_touched_by_what_happens_beside_it() -> None:
    ran = changed([A, C], [A, machine("d", "bus3")])

    assert ran.steady("a")
    assert 41 == len(ran.frames["a"])
    # bus1 and bus2 at the start, bus3 later: nothing was opened twice.
    assert 3 == len(ran.opened)
    assert {"a": 0, "d": 0} == ran.missed
    assert ran.frames["d"][0] < BEFORE_S + 2


def test_a_device_keeps_every_cycle_when_another_one_joins_its_bus() -> None:
    ran = changed([A], [A, B])

    assert ran.steady("a")
    assert 41 == len(ran.frames["a"])
    assert {"a": 0, "b": 0} == ran.missed
    assert [] == ran.gaps


def test_a_device_that_goes_is_not_read_any_more() -> None:
    ran = changed([A, C], [A])

    assert ran.frames["c"][-1] <= BEFORE_S + 1
    assert ["a"] == list(ran.missed)


def test_a_changed_device_is_read_as_it_is_now() -> None:
    ran = changed([A, C], [A, machine("c", "bus2", interval_s=0.5)])

    assert ran.steady("a")
    assert 18 < len([at for at in ran.frames["c"] if at > BEFORE_S]) / 2 <= 20.5


def test_the_row_in_which_a_device_stands_does_not_matter() -> None:
    moved = [Device(**{n: getattr(d, n) for n in Device.__slots__ if n != "row"}, row=7) for d in (C, A)]
    ran = changed([A, C], moved)

    assert 2 == len(ran.opened)
    assert ["c", "a"] == list(ran.missed)


def test_what_a_device_that_goes_had_lost_is_told() -> None:
    scene = Scene()

    def answer(group: Group, now_s: float) -> float:
        if group.device == "c":
            raise NoAnswer("c", "silent")
        return 0.0

    scene.answer = answer
    ran = changed([A, C], [A], scene)
    until_us = max(gap.t1 for gap in ran.gaps if gap.device == "c")
    lost = sum(gap.n for gap in ran.gaps if gap.device == "c")

    assert lost // 4 in (20, 21)
    # The gap reaches up to the moment when it went.
    assert until_us >= BUILT_US + (BEFORE_S - 1) * 1e6


def test_a_device_that_was_down_is_tried_at_once_on_the_new_bus_and_every_cycle_is_accounted_for() -> None:
    scene = Scene()

    def answer(group: Group, now_s: float) -> float:
        if group.device == "a" and now_s < BEFORE_S:
            raise NoAnswer("a", "silent")
        return 0.0

    scene.answer = answer
    ran = changed([A], [A, B], scene)
    lost = sum(gap.n for gap in ran.gaps if gap.device == "a") // 4

    assert ran.frames["a"]
    assert 40 <= lost + len(ran.frames["a"]) <= 41
