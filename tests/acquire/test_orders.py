"""Writes go ahead of reads, once, before their deadline, and only where they may; each is told what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.fakes.machines import Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.lock import Inspector, Lock
from tidegate.acquire.orders import ORDERS_MAX, Orders
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import NotConnected
from tidegate.model.device import Device
from tidegate.model.written import Result, Written

DONE = Written(Result.CONFIRMED)
Answer = Callable[[], Coroutine[Any, Any, Written]]


async def at_once() -> Written:
    return DONE


def writable(device: Device) -> Device:
    tags = tuple(replace(tag, access="write", range=(0.0, 100.0)) for tag in device.table.tags)
    return replace(device, table=replace(device.table, tags=tags))


class Guard:
    """An inspector whose devices are all locked."""

    def lock(self, device: Device) -> Lock | None:
        return Lock("it is another one")

    async def inspect(self, device: Device, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
        await ask(b"who")


class Plant:
    """A bus of one device, which takes so long for a read, and what was written to it at which time."""

    def __init__(self, answer: Answer = at_once, read_s: float = 0.001, interval_s: float = 1.0) -> None:
        self.scene = Scene()
        self.scene.answer = lambda group, now_s: read_s
        self.written: list[tuple[float, object]] = []
        plant = self

        class Writing(driver_for(self.scene)):  # type: ignore[misc]  # it is made for each scene
            async def ask(self, device: str, request: bytes) -> bytes:
                return b"me"

            async def write(self, device: str, tag: int, value: object, within_s: float) -> Written:
                plant.written.append((asyncio.get_running_loop().time(), value))
                return await answer()

        self.drivers = {"scripted": Writing}
        self.guard: Inspector | None = None
        self.device = writable(machine("a", interval_s=interval_s))

    def play(self, story: Callable[[Poller], Coroutine[Any, Any, None]], *more: Device) -> None:
        async def main(clock: Clock) -> None:
            devices = [self.device, *more]
            poller = Poller(devices, self.drivers, Sink(), lambda gap: None, clock, Random(7), self.guard)
            running = asyncio.create_task(poller.run())
            await asyncio.sleep(0.5)
            try:
                await story(poller)
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
            left = asyncio.all_tasks() - {asyncio.current_task()}

            assert left == set()

        run_virtually(main)


def test_a_write_is_told_what_became_of_it() -> None:
    plant = Plant()

    async def story(poller: Poller) -> None:
        assert await poller.write("a", 0, Decimal("21.5"), 2.0) == DONE

    plant.play(story)

    assert [Decimal("21.5")] == [value for _, value in plant.written]


def test_on_a_full_bus_a_write_waits_for_the_read_under_way_only() -> None:
    plant = Plant(read_s=0.4, interval_s=0.1)
    others = [machine(f"b{i}", interval_s=0.1) for i in range(20)]

    async def story(poller: Poller) -> None:
        begun_s = asyncio.get_running_loop().time()
        await poller.write("a", 0, Decimal(1), 30.0)

        assert asyncio.get_running_loop().time() - begun_s <= 0.4

    plant.play(story, *others)


@pytest.mark.parametrize(
    ("change", "value"),
    [({"access": "read"}, Decimal(1)), ({}, Decimal(101)), ({}, Decimal(-1))],
    ids=["no access", "too much", "too little"],
)
def test_what_may_not_be_written_never_comes_to_the_driver(change: dict[str, Any], value: Decimal) -> None:
    plant = Plant()
    tags = tuple(replace(tag, **change) for tag in plant.device.table.tags)
    plant.device = replace(plant.device, table=replace(plant.device.table, tags=tags))

    async def story(poller: Poller) -> None:
        assert (await poller.write("a", 0, value, 2.0)).result is Result.FORBIDDEN

    plant.play(story)

    assert plant.written == []


def test_a_write_whose_deadline_is_over_is_never_sent() -> None:
    plant = Plant(read_s=0.4, interval_s=0.1)

    async def story(poller: Poller) -> None:
        await asyncio.sleep(0.01)

        assert (await poller.write("a", 0, Decimal(1), 0.05)).result is Result.EXPIRED

        await asyncio.sleep(5.0)

    plant.play(story)

    assert plant.written == []


def test_a_write_of_which_its_giver_wants_no_more_is_never_sent() -> None:
    plant = Plant(read_s=0.4, interval_s=0.1)

    async def story(poller: Poller) -> None:
        giving = asyncio.create_task(poller.write("a", 0, Decimal(1), 30.0))
        await asyncio.sleep(0.01)
        giving.cancel()
        await asyncio.gather(giving, return_exceptions=True)
        await asyncio.sleep(5.0)

    plant.play(story)

    assert plant.written == []


def test_a_driver_that_keeps_no_deadline_leaves_it_unknown_and_the_bus_is_opened_anew() -> None:
    async def never() -> Written:
        await asyncio.sleep(3600.0)
        return DONE

    plant = Plant(never)

    async def story(poller: Poller) -> None:
        assert (await poller.write("a", 0, Decimal(1), 1.0)).result is Result.UNKNOWN

        await asyncio.sleep(5.0)

    plant.play(story)

    assert len(plant.scene.opened) == 2


def test_a_driver_that_fails_leaves_it_unknown_and_reading_goes_on() -> None:
    async def fails() -> Written:
        raise ZeroDivisionError

    plant = Plant(fails)

    async def story(poller: Poller) -> None:
        assert (await poller.write("a", 0, Decimal(1), 1.0)).result is Result.UNKNOWN

        before = len(plant.scene.reads)
        await asyncio.sleep(5.0)

        assert len(plant.scene.reads) - before >= 4

    plant.play(story)


def test_a_bus_that_is_gone_is_told_and_what_waits_for_it_is_not_sent_later() -> None:
    async def gone() -> Written:
        raise NotConnected("a", "the connection ended")

    plant = Plant(gone)

    async def story(poller: Poller) -> None:
        results = await asyncio.gather(*(poller.write("a", 0, Decimal(i), 10.0) for i in range(3)))

        assert {Result.NOT_SENT} == {written.result for written in results}

        await asyncio.sleep(5.0)

    plant.play(story)

    assert len(plant.written) == 1


def test_no_more_writes_wait_than_can_be_wanted() -> None:
    plant = Plant(read_s=0.4, interval_s=0.1)

    async def story(poller: Poller) -> None:
        await asyncio.sleep(0.01)
        results = await asyncio.gather(*(poller.write("a", 0, Decimal(1), 60.0) for _ in range(ORDERS_MAX + 2)))

        assert [written.result for written in results].count(Result.NOT_SENT) == 2

    plant.play(story)

    assert ORDERS_MAX == len(plant.written)


def test_what_is_taken_after_its_deadline_is_not_sent() -> None:
    """The loop was held up for longer than the deadline: no timer has fired yet."""

    async def main() -> tuple[object, Written]:
        orders = Orders()
        giving = asyncio.create_task(orders.give("a", 0, 1, 60.0, lambda: 0, lambda: None))
        await asyncio.sleep(0)
        return orders.take(60_000_001), await giving

    taken, written = asyncio.run(main())

    assert taken is None
    assert written.result is Result.EXPIRED


def test_to_a_device_that_is_back_nothing_is_written_before_it_has_said_who_it_is() -> None:
    plant, lock = Plant(), Lock()

    class Swapped:
        def lock(self, device: Device) -> Lock | None:
            return lock

        async def inspect(self, device: Device, ask: Callable[[bytes], Awaitable[bytes]]) -> None:
            lock.why = "it is another one" if asyncio.get_running_loop().time() > 10 else ""

    plant.guard = Swapped()

    async def story(poller: Poller) -> None:
        await asyncio.sleep(5)
        first = await poller.write("a", 0, Decimal(1), 2.0)
        await asyncio.sleep(20)
        lock.back()
        found = [await poller.write("a", 0, Decimal(2), 2.0) for _ in range(3) if await asyncio.sleep(0.4) is None]

        assert first == DONE
        assert {written.result for written in found} == {Result.FORBIDDEN}

    plant.play(story)

    assert [Decimal(1)] == [value for _, value in plant.written]


def test_a_write_that_waits_while_its_device_becomes_another_is_not_sent() -> None:
    plant, lock = Plant(read_s=0.4), Lock()

    class Kept(Guard):
        def lock(self, device: Device) -> Lock | None:
            return lock

    plant.guard = Kept()

    async def story(poller: Poller) -> None:
        # The first read is over, and the second one is under way.
        await asyncio.sleep(0.6)
        writing = asyncio.create_task(poller.write("a", 0, Decimal(1), 5.0))
        await asyncio.sleep(0.1)

        assert not writing.done()

        lock.why = "it is another one"

        assert (await writing).result is Result.FORBIDDEN

    plant.play(story)

    assert plant.written == []


def test_to_a_device_that_is_locked_nothing_is_written() -> None:
    plant = Plant()
    plant.guard = Guard()

    async def story(poller: Poller) -> None:
        assert await poller.write("a", 0, Decimal(1), 2.0) == Written(Result.FORBIDDEN, "it is another one")

    plant.play(story)

    assert plant.written == []
