"""Tending: looks after the items that a server does not watch, while the others are told: reads some, tries some again.

refused, but may be read ──▶ read in cycles, as often as its group is published
refused, or its node is gone ──▶ Bad, and tried again now and then: nodes come back with the next program download
events, and some may be missing ──▶ the alarms that stand are told again
"""

import asyncio
from typing import TYPE_CHECKING

from tidegate.acquire.driver import Feed
from tidegate.errors import Refused, Shed
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.definitions import learn_unknown
from tidegate_drivers.opcua.fallback import DISTRUST
from tidegate_drivers.opcua.growth import Grown
from tidegate_drivers.opcua.notifier import event_types, refresh
from tidegate_drivers.opcua.reading import Reading
from tidegate_drivers.opcua.subscription import Subscription
from tidegate_drivers.opcua.words import driver_error

if TYPE_CHECKING:
    from tidegate_drivers.opcua.delivery import Delivery

AGAIN_S = 15.0
GAP_TAGS_MAX = 64
LOOK_S = 0.25


class Tending:
    """That of one connection."""

    def __init__(self, delivery: "Delivery", connection: Connection, feed: Feed) -> None:
        self._delivery = delivery
        self._connection = connection
        self._feed = feed

    async def run(self) -> None:
        """Until cancelled. Raises DriverError when the connection is lost, and Grown when there is more to tell."""
        growth = self._delivery.growth
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._again())
                group.create_task(self._refresh())
                group.create_task(growth.describe(self._delivery, self._connection, self._feed))
                for name in self._delivery.roster.wildcards:
                    group.create_task(growth.follow(self._delivery, self._connection, self._feed, name))
                for one in self._delivery.subscriptions:
                    group.create_task(self._read(one))
        except ExceptionGroup as errors:
            first = errors.exceptions[0]
            if isinstance(first, Grown):
                raise first from None
            raise driver_error("", first) if isinstance(first, Exception) else first from None

    async def _read(self, one: Subscription) -> None:
        """Read what can't be watched, at the pace of its group."""
        loop = asyncio.get_running_loop()
        framer = self._delivery.framer(one)
        due_s = loop.time()
        self._tell_unread(one)
        before: list[int] = []
        reading: Reading | None = None
        while True:
            which = one.read_instead
            if which != before:
                before, reading = which, Reading(self._connection, framer, one.items, one.nodes, which, not DISTRUST)
            if reading is not None and which:
                await self._read_once(one, reading, which)
            due_s = max(due_s + one.group.interval_s, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _read_once(self, one: Subscription, reading: Reading, which: list[int]) -> None:
        try:
            frames = await reading.read()
        except Exception as error:
            found = driver_error(one.device.name, error)
            if not isinstance(found, Refused):
                raise found from None
            # It refuses these, and not the connection: what it watches goes on.
            bad = self._delivery.framer(one).bad([(i, found.code) for i in which])
            frames = [bad] if bad is not None else []
        for frame in frames:
            await self._put(frame)
        one.read_us = self._delivery.clock.now_us()
        if not one.id:
            one.until_us = one.read_us

    def _tell_unread(self, one: Subscription) -> None:
        """What is read in cycles was not read while there was no connection; where all is, it was told already."""
        now_us = self._delivery.clock.now_us()
        if one.id and one.read_us and one.read_instead and now_us - one.read_us > 2e6 * one.group.interval_s:
            tags = sorted({tag for i in one.read_instead for tag in one.items[i].tags})
            names = tuple(one.device.table.tags[tag].name for tag in tags[:GAP_TAGS_MAX])
            named = names if len(tags) <= GAP_TAGS_MAX else None
            self._feed.tell(Gap(Why.DEVICE_DOWN, one.read_us, now_us, 0, "unknown", one.device.name, named))

    async def _again(self) -> None:
        """Say what is refused, and try it again now and then."""
        told: dict[tuple[str, str], list[int]] = {}
        while True:
            for one in self._delivery.subscriptions:
                framer = self._delivery.framer(one)
                if told.get(one.key) != one.refused:
                    refused = [(i, one.refused[i]) for i in one.given_up]
                    await self._put(framer.bad(refused))
                    told[one.key] = list(one.refused)
            await asyncio.sleep(AGAIN_S)
            if self._connection.types.unknown:
                await learn_unknown(self._connection.asking, self._connection.types)
            for one in self._delivery.subscriptions:
                await self._try(one)

    async def _try(self, one: Subscription) -> None:
        gone = self._delivery.framer(one).gone
        which = sorted({*one.given_up, *gone})
        if not which or not one.id:
            return
        items = [one.items[i] for i in which]
        found = await self._delivery.roster.find(self._connection, one.device.name, items)
        there = [(i, node) for i, node in zip(which, found, strict=True)]
        await one.forget(self._connection, [i for i, _ in there if one.monitored[i] > 0])
        for i, node in there:
            one.nodes[i] = node
        one.event_types = await event_types(self._connection, one.items)
        await one.watch(self._connection, which)
        one.made_for = one.meaning
        self._delivery.framer(one).gone.difference_update(which)
        one.refresh = one.refresh or any(one.items[i].wish.events is not None and one.monitored[i] for i in which)

    async def _refresh(self) -> None:
        """Have standing alarms told where the server may have told them to nobody."""
        while True:
            for one in self._delivery.subscriptions:
                if one.refresh and one.id and one.events:
                    one.refresh = False
                    await refresh(self._connection, one)
            await asyncio.sleep(LOOK_S)

    async def _put(self, frame: Frame | None) -> None:
        if frame is None:
            return
        try:
            await self._feed.put(frame)
        except Shed:
            return
