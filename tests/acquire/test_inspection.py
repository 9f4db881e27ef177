"""Devices are asked who they are when their bus opens and when they come back; reading never stops for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from struct import pack, unpack

import pytest

from tests.fakes.machines import Scene, Scripted, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.inspection import FAILED_AGAIN_US, INSPECT_S_MAX
from tidegate.acquire.lock import FAILED_MAX, Lock, doubted
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import NoAnswer, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.status import BAD_NO_DATA, UNCERTAIN_CONFIGURATION_ERROR, UNCERTAIN_LAST_USABLE_VALUE

Ask = Callable[[bytes], Awaitable[bytes]]
DOUBTED = pack("<I", UNCERTAIN_CONFIGURATION_ERROR)


class Guard:
    """An inspector that does as the test says, and remembers when it was asked to look."""

    def __init__(self, look: Callable[[Lock, float], float | Exception]) -> None:
        self.made = Lock()
        self.looks: list[float] = []
        self._look = look

    def lock(self, device: Device) -> Lock | None:
        return self.made

    async def inspect(self, device: Device, ask: Ask) -> None:
        now_s = asyncio.get_running_loop().time()
        self.looks.append(now_s)
        found = self._look(self.made, now_s)
        if isinstance(found, Exception):
            raise found
        await asyncio.sleep(found)
        await ask(b"who")


def asking(scene: Scene) -> type[Scripted]:
    async def ask(self: Scripted, device: str, request: bytes) -> bytes:
        return b"me"

    return type("Asking", (driver_for(scene),), {"ask": ask})


def play(scene: Scene, guard: Guard, lasts_s: float, kind: type[Scripted] | None = None) -> tuple[Sink, Poller]:
    async def main(clock: Clock) -> tuple[Sink, Poller]:
        sink = Sink()
        drivers = {"scripted": kind or asking(scene)}
        poller = Poller([machine("a")], drivers, sink, sink.gaps.append, clock, Random(7), guard)
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(lasts_s)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return sink, poller

    return run_virtually(main)


def locking(why: str) -> Callable[[Lock, float], float]:
    def look(lock: Lock, now_s: float) -> float:
        lock.why = why
        return 0.0

    return look


def test_no_reading_of_a_locked_device_is_good_from_the_first_on() -> None:
    sink, poller = play(Scene(), Guard(locking("another")), 5)

    assert [frame.status for frame in sink.frames] == [DOUBTED] * len(sink.frames)
    assert len(sink.frames) >= 4
    assert poller.status()[0].lock == "another"


def test_a_device_is_asked_once_while_nothing_happens() -> None:
    guard = Guard(locking(""))
    sink, _ = play(Scene(), guard, 3600)

    assert len(guard.looks) == 1
    assert len(sink.of("a")) >= 3590


def test_a_device_that_was_down_is_asked_before_its_first_reading_goes_on() -> None:
    def answer(group: Group, now_s: float) -> float:
        return 9.0 if 10 < now_s < 60 else 0.0

    scene = Scene()
    scene.answer = answer
    guard = Guard(lambda lock, now_s: locking("another" if now_s > 10 else "")(lock, now_s))
    sink, _ = play(scene, guard, 120)
    good = [frame for frame in sink.frames if frame.status == bytes(4)]

    assert len(guard.looks) >= 2
    assert 8 <= len(good) <= 11


def test_a_device_whose_bus_was_gone_is_asked_again_at_once() -> None:
    scene = Scene()

    def answer(group: Group, now_s: float) -> float:
        if 5 < now_s < 6.5 and len(scene.opened) == 1:
            raise NotConnected("", "hung up")
        return 0.001

    scene.answer = answer
    guard = Guard(locking(""))
    play(scene, guard, 20)

    assert len(guard.looks) == 2


@pytest.mark.parametrize("fault", [NoAnswer("a", "silent"), NotConnected("a", "hung up"), ValueError("a bug"), 99.0])
def test_what_can_not_be_asked_never_stops_reading(fault: float | Exception) -> None:
    guard = Guard(lambda lock, now_s: fault)
    lasts_s = 4 * FAILED_AGAIN_US / 1e6
    sink, _ = play(Scene(), guard, lasts_s)

    assert len(sink.of("a")) >= lasts_s - FAILED_MAX * (INSPECT_S_MAX + 2)
    assert len(guard.looks) == FAILED_MAX


def test_a_driver_that_can_not_ask_has_no_locks() -> None:
    scene, guard = Scene(), Guard(locking("another"))
    sink, _ = play(scene, guard, 5, driver_for(scene))

    assert guard.looks == []
    assert len(sink.of("a")) >= 4


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([0], [UNCERTAIN_CONFIGURATION_ERROR]),
        ([0, BAD_NO_DATA, 1024], [UNCERTAIN_CONFIGURATION_ERROR, BAD_NO_DATA, UNCERTAIN_CONFIGURATION_ERROR]),
        ([UNCERTAIN_LAST_USABLE_VALUE, BAD_NO_DATA], [UNCERTAIN_LAST_USABLE_VALUE, BAD_NO_DATA]),
    ],
)
def test_only_what_is_good_becomes_uncertain(before: list[int], after: list[int]) -> None:
    frame = Frame("a", bytes(8), 3, 1, 0, 0, bytes(12), bytes(8), pack(f"<{len(before)}I", *before), bytes(8))
    found = doubted(frame)

    assert list(unpack(f"<{len(after)}I", found.status)) == after
    assert replace(found, status=frame.status) == frame
