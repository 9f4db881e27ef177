"""A driver whose machines dial in goes on listening while its bus is closed, and ends with the bus."""

import asyncio
from random import Random

from tests.fakes.machines import Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import NotConnected


def test_between_two_openings_it_only_hangs_up() -> None:
    scene, did = Scene(), []
    scripted = driver_for(scene)

    class Listening(scripted):  # type: ignore[misc, valid-type]  # it is made for each scene
        async def open(self) -> None:
            did.append("open")
            raise NotConnected("", "no call yet")

        async def hang_up(self) -> None:
            did.append("hang up")

        async def close(self) -> None:
            did.append("close")

    async def main(clock: Clock) -> None:
        poller = Poller([machine("a")], {"scripted": Listening}, Sink(), lambda gap: None, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(30)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main)

    assert ["open", "hang up"] * (len(did) // 2) + ["close"] == did
    assert did.count("open") > 3
