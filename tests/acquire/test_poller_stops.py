"""How the poller stops: what is under way is kept or told, and nothing is waited for that can't end."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from tests.acquire.test_poller import lost, play
from tests.fakes.machines import TAGS, Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import NotConnected
from tidegate.model.frame import Frame
from tidegate.model.gap import Why


def test_what_is_read_while_the_gateway_stops_is_kept() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 0.4
    sink, _ = play([machine("a")], scene, 2.2)

    assert len(sink.of("a")) == 3
    assert sink.gaps == []


def test_a_stop_waits_for_a_silent_device_a_second_and_tells_its_read_as_lost() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 8.0
    ended_s = 0.0

    async def main(clock: Clock) -> None:
        nonlocal ended_s
        poller = Poller(
            [machine("a", deadline_s=9, interval_s=9)], {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock,
            Random(7),
        )  # fmt: skip
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        ended_s = asyncio.get_running_loop().time()

    sink = Sink()
    run_virtually(main)

    assert ended_s == pytest.approx(3.0, abs=0.1)
    assert TAGS == lost(sink, "a")
    assert scene.closed >= 1


@pytest.mark.parametrize("opens", [lambda now_s: None, lambda now_s: _refuse()], ids=["open", "waiting to reopen"])
def test_a_stop_does_not_wait_for_a_bus_that_is_idle_or_gone(opens: Callable[[float], None]) -> None:
    scene, ended_s = Scene(), 0.0
    scene.opens = opens

    async def main(clock: Clock) -> None:
        nonlocal ended_s
        poller = Poller([machine("a")], {"scripted": driver_for(scene)}, Sink(), lambda gap: None, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(5.5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        ended_s = asyncio.get_running_loop().time()

    run_virtually(main)

    assert ended_s == pytest.approx(5.5, abs=0.01)


def test_a_frame_that_finds_no_room_while_the_gateway_stops_is_told_as_shed() -> None:
    class Stuck(Sink):
        async def put(self, frame: Frame) -> "asyncio.Future[int]":
            return await asyncio.get_running_loop().create_future()

    sink, _ = play([machine("a")], Scene(), 1.5, Stuck())

    assert TAGS == lost(sink, "a", Why.SHED)


def _refuse() -> None:
    raise NotConnected("", "refused")
