"""Failed reads leave nothing to the garbage collector: its pauses would cost all other devices their pace."""

import asyncio
import gc
from collections.abc import Callable
from random import Random

import pytest

from tests.fakes.machines import Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.model.device import Group

SECONDS = 300.0
# Not none at all: asyncio and the clock may leave a few.
OBJECTS_A_FAILURE_MAX = 0.1

ERRORS: dict[str, Callable[[], DriverError]] = {
    "not connected": lambda: NotConnected("", "the peer closed the connection"),
    "invalid reply": lambda: InvalidReply("m0", "a reply of another unit"),
    "no answer": lambda: NoAnswer("m0", "silent"),
    "refused": lambda: Refused("m0", "exception 4", 4),
}


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS.keys())
def test_a_failed_read_leaves_no_garbage(error: Callable[[], DriverError]) -> None:
    scene, sink = Scene(), Sink()
    failures = 0

    def answer(group: Group, now_s: float) -> float:
        nonlocal failures
        # Every other read, so that the bus is opened again at once and nothing backs off.
        if len(scene.reads) % 2:
            return 0.01
        failures += 1
        raise error()

    async def main(clock: Clock) -> int:
        poller = Poller(
            [machine("m0", interval_s=0.2)], {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock, Random(7)
        )
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(1.0)
        gc.collect()
        gc.disable()
        try:
            await asyncio.sleep(SECONDS)
            return gc.collect()
        finally:
            gc.enable()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    scene.answer = answer
    left = run_virtually(main)

    assert failures > SECONDS
    assert left <= OBJECTS_A_FAILURE_MAX * failures
