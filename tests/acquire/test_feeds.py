"""Buses whose machines speak up by themselves: delivery, loss, coming back, and what is polled beside it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from random import Random
from typing import Any, ClassVar

from tests.fakes.machines import Scene, Scripted, Sink, machine
from tidegate.acquire.driver import Feed
from tidegate.acquire.poller import Poller
from tidegate.acquire.unit import BACKING_OFF, UP
from tidegate.clock import Clock
from tidegate.errors import NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import TagTable

Story = Callable[[Feed], Coroutine[Any, Any, None]]
WAIT_S = 20.0


class FullSink(Sink):
    """A sink with all that drivers may ask of one."""

    place = ("e" * 16, 0)

    def adopt(self, device: str, table: TagTable) -> None: ...

    async def committed(self, device: str, epoch: str, number: int) -> AsyncIterator[Frame]:
        for frame in self.frames[number:]:
            yield frame


def telling(scene: Scene, story: Story, told: frozenset[str] = frozenset({"g0"})) -> type[Scripted]:
    """A driver whose machines tell the group g0 as the story has it."""

    class Telling(Scripted):
        feeds: ClassVar[list[tuple[str, ...]]] = []

        @classmethod
        def told(cls, device: Device) -> frozenset[str]:
            return told

        async def subscribe(self, groups: Sequence[Group], sink: Any) -> None:
            self.feeds.append(tuple(group.name for group in groups))
            await story(sink)

    Telling.scene = scene
    return Telling


def run(
    story: Story, until: Callable[[Poller, FullSink], bool], scene: Scene | None = None, groups: int = 2
) -> tuple[FullSink, type[Scripted]]:
    """Poll a device whose first group is told until the condition holds."""
    sink = FullSink()
    driver = telling(scene or Scene(), story)

    async def main() -> None:
        devices = [machine("m", interval_s=0.05, groups=groups)]
        poller = Poller(devices, {"scripted": driver}, sink, sink.gaps.append, Clock(), Random(1))
        task = asyncio.create_task(poller.run())
        try:
            async with asyncio.timeout(WAIT_S):
                while not until(poller, sink):  # noqa: ASYNC110 (any condition, of any part)
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    return sink, driver


async def frame_of(feed: Feed) -> None:
    device = machine("m")
    made = driver_frame(device)
    await (await feed.put(made))


def driver_frame(device: Device) -> Frame:
    return Frame("m", device.table.hash, 1, 1, 1, 1, bytes(4), bytes(8), bytes(4), bytes(8))


def test_a_told_group_is_not_polled_and_the_others_are() -> None:
    async def story(feed: Feed) -> None:
        await frame_of(feed)
        await asyncio.Event().wait()

    scene = Scene()
    sink, driver = run(story, lambda poller, sink: len(sink.frames) > 3, scene)

    assert {"g1"} == {group for _, group, _ in scene.reads}
    assert [("g0",)] == driver.feeds  # type: ignore[attr-defined]
    assert sink.gaps == []


def test_a_device_is_up_once_it_was_heard_though_it_had_nothing_to_tell() -> None:
    async def story(feed: Feed) -> None:
        feed.heard("m")
        await asyncio.Event().wait()

    sink, _ = run(story, lambda poller, sink: poller.status()[0].state == UP, groups=1)

    assert sink.frames == []


def test_what_its_driver_tells_of_losses_reaches_the_ledger() -> None:
    async def story(feed: Feed) -> None:
        feed.tell(Gap(Why.SOURCE_GAP, 1, 2, device="m"))
        await asyncio.Event().wait()

    sink, _ = run(story, lambda poller, sink: bool(sink.gaps), groups=1)

    assert [Why.SOURCE_GAP] == [gap.why for gap in sink.gaps]


def test_a_feed_that_ends_early_backs_off_and_says_that_nothing_is_known_of_its_tags() -> None:
    async def story(feed: Feed) -> None:
        feed.heard("m")
        raise NotConnected("m", "it hung up")

    scene = Scene()
    sink, _ = run(story, lambda poller, sink: poller.status()[0].state == BACKING_OFF, scene, groups=1)

    assert 1 == len(sink.of("m", good=False))
    assert 4 == sink.of("m", good=False)[0].count
    assert 1 <= len(scene.opened) <= 2


def test_a_driver_that_fails_to_deliver_is_opened_again_and_the_gateway_goes_on() -> None:
    begun: list[int] = []

    async def story(feed: Feed) -> None:
        begun.append(1)
        if len(begun) == 1:
            raise ZeroDivisionError
        await frame_of(feed)
        await asyncio.Event().wait()

    sink, _ = run(story, lambda poller, sink: poller.status()[0].state == UP, groups=1)

    assert 2 == len(begun)
    assert 1 == len(sink.of("m"))


def test_stopping_ends_the_feed() -> None:
    ended: list[bool] = []

    async def story(feed: Feed) -> None:
        feed.heard("m")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    run(story, lambda poller, sink: poller.status()[0].state == UP, groups=1)

    assert [True] == ended
