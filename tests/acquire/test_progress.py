"""What the poller says of its progress: whatever the machines do it moves; a driver that hangs stands still."""

import asyncio
from random import Random

import pytest

from tests.fakes.machines import Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import NotConnected
from tidegate.model.device import Group
from tidegate.notify import Notifier
from tidegate.watchdog import Watchdog

HOUR_S = 3600


def still_after(scene: Scene, seconds: int, interval_s: float = 1.0, others: Scene | None = None) -> list[str]:
    """Parts that stood still at some look of so many seconds, with one device on a bus of its own."""

    async def main(clock: Clock) -> list[str]:
        devices = [machine("m1", "bus", interval_s)]
        poller = Poller(devices, {"scripted": driver_for(scene)}, Sink(), lambda gap: None, clock, Random(1))
        watchdog = Watchdog(Notifier({}), poller.progress, str)
        polling = asyncio.create_task(poller.run())
        loop, found = asyncio.get_running_loop(), set()
        until_s = loop.time() + seconds
        while loop.time() < until_s:
            await asyncio.sleep(5)
            found |= set(watchdog.look(loop.time()))
        polling.cancel()
        await asyncio.wait([polling], timeout=10)
        return sorted(found)

    return run_virtually(main)


def unreachable(now_s: float) -> None:
    raise NotConnected("", "no route")


def silent(group: Group, now_s: float) -> float:
    return 60.0


@pytest.mark.parametrize("interval_s", [0.1, 1.0, 600.0])
def test_polling_moves_at_any_interval(interval_s: float) -> None:
    assert [] == still_after(Scene(), HOUR_S, interval_s)


def test_a_bus_that_cannot_be_opened_and_a_device_that_is_silent_starve_nothing() -> None:
    closed, mute = Scene(), Scene()
    closed.opens = unreachable
    mute.answer = silent

    assert [] == still_after(closed, HOUR_S)
    assert [] == still_after(mute, HOUR_S)


def test_a_driver_that_ignores_its_deadline_and_its_cancellation_starves_the_watchdog() -> None:
    async def deaf() -> None:
        for _ in range(1000):
            try:
                await asyncio.sleep(HOUR_S)
            except asyncio.CancelledError:
                continue

    scene = Scene()
    scene.before = lambda group, now_s: deaf() if now_s > 10 else None

    assert ["bus bus"] == still_after(scene, 120)
