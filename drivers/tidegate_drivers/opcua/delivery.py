"""Delivery: what a server tells of itself, from its subscriptions to the feed, without a hole that nobody names.

    message ──number──▶ as expected ─────▶ frame ──put──▶ committed ──▶ mark ──▶ acknowledged
                    └── ahead: what lies between is asked for again, and what the server has no more is a gap

It outlives connections: what it knows of each subscription is where the next connection goes on (takeover.py).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from tidegate.acquire.driver import Feed
from tidegate.clock import Clock
from tidegate.errors import DriverError, NotConnected, Shed
from tidegate.model.device import Group
from tidegate.model.gap import Gap, Why
from tidegate.model.refused import RefusedTag
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.fallback import DISTRUST
from tidegate_drivers.opcua.framer import Framer
from tidegate_drivers.opcua.growth import MODEL_HANDLE, Grown, Growth
from tidegate_drivers.opcua.learning import learn
from tidegate_drivers.opcua.marks import Mark, Marks
from tidegate_drivers.opcua.message import Message, published, republished
from tidegate_drivers.opcua.notifier import event_types
from tidegate_drivers.opcua.publisher import NoSubscription, Publisher
from tidegate_drivers.opcua.race import first_of
from tidegate_drivers.opcua.roster import Roster
from tidegate_drivers.opcua.sequence import after, ahead
from tidegate_drivers.opcua.subscription import Subscription
from tidegate_drivers.opcua.takeover import Seen, begin, discard, same_run, told_again
from tidegate_drivers.opcua.tending import Tending
from tidegate_drivers.opcua.words import driver_error, is_service_error, status_word

# A gap names the tags of a group that is not the whole device, unless they are very many.
TAGS_NAMED_MAX = 64
# A subscription that says nothing for so many keep-alives is gone (OPC 10000-4 §5.14.1.1), and a little for the way.
SILENT_KEEPALIVES, SILENT_S = 2, 2.0
LOOK_S = 0.25
MARKS_S = 0.2
# How old a mark may grow while there is nothing to tell.
QUIET_S = 10.0
# Subscriptions that end so soon after they were made anew are not made anew once more over the same connection.
ANEW_S_MIN = 10.0
# Numbers that are still to be acknowledged.
OWED_MAX = 100_000

# A number that was handed on, until when all was told with it, the buffer's place before, and what its frame became.
Pending = tuple[int, int, tuple[str, int], "asyncio.Future[int] | None"]

log = logging.getLogger(__name__)


class Ended(Exception):
    """The server does not have some subscriptions any more, or they are silent, and why that is thought."""

    def __init__(self, subscriptions: Sequence[Subscription], why: str) -> None:
        super().__init__(why)
        self.subscriptions = subscriptions


class Delivery:
    """That of one session's subscribed groups. `run` once a connection; `marks` are what a process before left."""

    def __init__(self, roster: Roster, groups: Sequence[Group], marks: Marks, clock: Clock) -> None:
        self.roster = roster
        self.growth = Growth(roster)
        self.subscriptions: list[Subscription] = []
        self.marks = marks
        self.clock = clock
        self.counted: dict[str, dict[str, int]] = {name: {} for name in roster.devices}
        self._framers: dict[tuple[str, str], Framer] = {}
        # The kind of each client handle; subscriptions have them one after the other.
        self._kinds = b""
        for group in groups:
            self.add(group)
        self._heard_s: dict[int, float] = {}
        self._by_id: dict[int, Subscription] = {}
        # Numbers that were handed on, in their order, until the buffer has them for good.
        self._pending: dict[tuple[str, str], deque[Pending]] = {}
        self._unmarked: dict[tuple[str, str], tuple[int, list[int]]] = {}
        self._committed = asyncio.Event()
        self._marked_s = 0.0
        self._owed: deque[tuple[int, int]] = deque(maxlen=OWED_MAX)
        self._refused: dict[str, tuple[RefusedTag, ...]] = {}
        self._refused_of: tuple[int, ...] = ()
        self._kept: dict[tuple[str, str], Mark] | None = None
        self._anew_s = -ANEW_S_MIN
        self._connection: Connection | None = None

    def add(self, group: Group) -> None:
        """One more group of a device, or part of one, to be told."""
        device, items = self.roster.devices[group.device], self.roster.items(group)
        settings, base = self.roster.settings[group.device], len(self._kinds)
        one = Subscription(device, group, settings, items, base)
        self.subscriptions.append(one)
        self._framers[one.key] = Framer(device, settings, items, base, self.clock)
        self._kinds += bytes(item.kind for item in items)

    def adopt(self, name: str, feed: Feed) -> None:
        """Frames of a device come under its table as it is now."""
        table = self.roster.devices[name].table
        feed.adopt(name, table)
        for one in self.subscriptions:
            if one.device.name == name:
                self._framers[one.key].table = table

    async def meet(self, one: Subscription, connection: Connection) -> None:
        """Find the nodes of a subscription on this connection, and learn their types. Raises as Connection.call."""
        one.nodes = await self.roster.nodes(connection, one.group)
        one.event_types = await event_types(connection, one.items)
        await learn(connection, self._framers[one.key], one.items, one.nodes)

    async def run(self, connection: Connection, feed: Feed) -> None:
        """Deliver over one connection until cancelled. Raises NotConnected when nothing goes on over it."""
        self._connection = connection
        try:
            if self._kept is None:
                self._kept = await self._left_behind()
            for one in self.subscriptions:
                await begin(self, one, connection, feed, self._kept.pop(one.key, None))
            for mark in self._kept.values():
                # Of groups that are no more.
                if mark.subscription and same_run(mark.started, connection.started):
                    await discard(connection, [mark.subscription])
            self._kept.clear()
            while True:
                try:
                    await self._told(connection, feed)
                except Ended as end:
                    await self._anew(connection, feed, end)
                except Grown:
                    for one in [one for one in self.subscriptions if not one.nodes]:
                        await self.meet(one, connection)
                        await begin(self, one, connection, feed, None)
        except DriverError as error:
            raise NotConnected(error.device, error.what) from None
        except Exception as error:
            if not isinstance(error, (ValueError, TimeoutError, OSError)) and not is_service_error(error):
                raise
            raise NotConnected("", driver_error("", error).what) from None

    async def _left_behind(self) -> dict[tuple[str, str], Mark]:
        """The marks of the process before. Where they can't be read, they still tell until when it was there."""
        kept = await asyncio.to_thread(self.marks.read)
        since_us = 0 if kept else await asyncio.to_thread(self.marks.age_us)
        if since_us:
            log.warning("how far subscriptions were committed can't be read: they are made anew")
        for one in self.subscriptions:
            one.until_us = one.committed_us = since_us
        return kept

    async def _told(self, connection: Connection, feed: Feed) -> None:
        """Deliver what is told. Raises Ended when a subscription of the server is not there any more."""
        self._by_id = {one.id: one for one in self.subscriptions if one.id}
        self._heard_s = dict.fromkeys(self._by_id, asyncio.get_running_loop().time())
        publisher = Publisher(connection, len(self._by_id) + 1, partial(self._take, feed), self._owed)
        works = [self._mark(feed), Tending(self, connection, feed).run(), lost(connection)]
        works += [publisher.run(), self._watch(connection, publisher)] if self._by_id else []
        try:
            await first_of(*works)
        except NoSubscription:
            raise Ended(tuple(self._by_id.values()), "it has forgotten the subscriptions of this session") from None

    async def _anew(self, connection: Connection, feed: Feed, end: "Ended") -> None:
        """Make subscriptions anew, over the same connection. Raises NotConnected when that was tried just now."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._anew_s < ANEW_S_MIN:
            raise NotConnected("", str(end))
        self._anew_s = now_s
        log.warning("%s: %s", connection.settings.bus, end)
        for one in end.subscriptions:
            self.count(one, "subscriptions made anew")
            one.stray, one.id = one.id, 0
            await begin(self, one, connection, feed, None)
            # Requests from before are with the server still: what it answers to them comes to nobody.
            one.fresh = False

    async def take_message(
        self, feed: Feed, one: Subscription, message: Message, seen: Seen | None = None, again: bool = False
    ) -> None:
        """Hand a message on, and remember its number until it is committed. `seen` is what the buffer has of it."""
        framer, future, place = self._framers[one.key], None, feed.place
        if any(handle == MODEL_HANDLE for handle, _ in message.events):
            self.growth.told(one.device.name)
        frame, gaps = framer.framed(message, seen, one.until_us, again)
        for gap in gaps:
            self.count(one, "queue overflows")
            feed.tell(gap)
        one.refresh = one.refresh or bool(gaps) or framer.to_refresh
        framer.to_refresh = False
        if frame is not None:
            future = await feed.put(frame)
            framer.lately.told(frame, framer.table)
        one.sequence, one.until_us = message.sequence, framer.told_us(message, one.until_us)
        if again:
            one.recent.append(message.sequence)
        self._pending.setdefault(one.key, deque()).append((message.sequence, one.until_us, place, future))
        if future is None:
            feed.heard(one.device.name)
            self._settle(one)
        else:
            future.add_done_callback(partial(self._done, one))

    def framer(self, one: Subscription) -> Framer:
        """What makes its frames."""
        return self._framers[one.key]

    def read_again(self, one: Subscription, message: Any) -> Message:
        """A NotificationMessage of a subscription that was told again."""
        return republished(one.id, message, self._kinds)

    def acknowledge(self, one: Subscription, numbers: Sequence[int]) -> None:
        """Tell the server, with the next requests, that it need keep these no longer."""
        self._owed.extend((one.id, number) for number in numbers)

    def reset(self, one: Subscription) -> None:
        """It begins anew on the server: what was not committed of the one before has nobody to be acknowledged to."""
        self._pending.pop(one.key, None)
        self._unmarked.pop(one.key, None)

    async def missed(self, feed: Feed, one: Subscription, connection: Connection, since_us: int, seen: Seen) -> None:
        """What the machine had to tell since then is not with the server's subscription any more."""
        self.lose(feed, one, since_us)

    def lose(self, feed: Feed, one: Subscription, since_us: int) -> None:
        """What the server had to tell since then, and until now, is lost."""
        self.count(one, "holes in what it told")
        one.refresh = True
        now_us = self.clock.now_us()
        one.until_us = max(one.until_us, now_us)
        feed.tell(Gap(Why.SOURCE_GAP, min(since_us, now_us), now_us, 0, "unknown", one.device.name, self._named(one)))

    def count(self, one: Subscription, what: str) -> None:
        """One more of something, for people."""
        words = self.counted[one.device.name]
        words[what] = words.get(what, 0) + 1

    def refused(self) -> dict[str, tuple[RefusedTag, ...]]:
        """By device the tags whose nodes the server refuses; the same tuples as long as nothing changes."""
        versions = tuple(one.version for one in self.subscriptions)
        if versions == self._refused_of:
            return self._refused
        self._refused_of = versions
        found: dict[str, list[RefusedTag]] = {}
        for one in self.subscriptions:
            for index in one.given_up:
                item, code = one.items[index], one.refused[index]
                names = (one.device.table.tags[tag].name for tag in item.tags)
                told = found.setdefault(one.device.name, [])
                told += [RefusedTag(name, str(item.place), status_word(code)) for name in names]
        now = {name: tuple(tags) for name, tags in found.items()}
        self._refused = {name: old if (old := self._refused.get(name)) == tags else tags for name, tags in now.items()}
        return self._refused

    def mark(self, feed: Feed) -> dict[tuple[str, str], Mark]:
        """How far each subscription is committed now."""
        marks = {}
        for one in self.subscriptions:
            # What is not committed yet has a number after that at which it was put.
            pending = self._pending.get(one.key)
            epoch, number = pending[0][2] if pending else feed.place
            marks[one.key] = Mark(
                one.id, one.committed, one.committed_us, one.made_for, epoch, number, one.started, one.whole,
                self._framers[one.key].skew_us,
            )  # fmt: skip
        return marks

    async def _take(self, feed: Feed, body: Any) -> None:
        try:
            message = published(body, self._kinds, not DISTRUST)
        except ValueError as error:
            # Whose it was, and what it told, shows the number of the next one.
            log.warning("a message that can't be read is left out: %s", error)
            return
        one = self._by_id.get(message.subscription)
        if one is None:
            # One of a process before, whose groups have changed meanwhile: it ends by itself.
            if not message.keepalive:
                self._owed.append((message.subscription, message.sequence))
            return
        self._heard_s[one.id] = asyncio.get_running_loop().time()
        one.tries = 0
        await self._between(feed, one, message)
        if message.keepalive:
            one.until_us = self._framers[one.key].told_us(message, one.until_us)
            if not self._pending.get(one.key):
                one.committed_us = one.until_us
                self._quiet()
            feed.heard(one.device.name)
        elif message.status is not None:
            raise Ended((one,), f"subscription {one.id} of {one.group.name} ended: {status_word(message.status)}")
        elif message.sequence in one.recent:
            self._owed.append((one.id, message.sequence))
        else:
            if ahead(message.sequence, one.sequence) <= 0:
                # It counts anew: what it did not count is lost.
                self.lose(feed, one, one.until_us)
            await self.take_message(feed, one, message)

    async def _between(self, feed: Feed, one: Subscription, message: Message) -> None:
        """Ask again for what lies between the last number and this one."""
        expected = after(one.sequence)
        missing = ahead(message.sequence, expected)
        if missing <= 0 or self._connection is None:
            return
        if one.sequence == 0 and one.fresh:
            # Nothing was told before, over no other connection: this is where its numbers begin.
            return
        since_us = one.until_us
        if not await told_again(self, one, self._connection, feed, expected, missing):
            self.lose(feed, one, since_us)

    def _quiet(self) -> None:
        """Nothing is told, and nothing is missing up to now: that is marked too, now and then."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._marked_s > QUIET_S:
            self._committed.set()

    def _done(self, one: Subscription, future: "asyncio.Future[int]") -> None:
        if not future.cancelled():
            # Why it was not committed is looked at when its turn comes, or never.
            future.exception()
        self._settle(one)

    def _settle(self, one: Subscription) -> None:
        """Move on to the last number of which all before is committed; it is acknowledged once it is marked."""
        pending = self._pending.get(one.key, deque())
        done: list[int] = []
        while pending:
            number, received_us, _, future = pending[0]
            if future is not None and not kept(future):
                break
            pending.popleft()
            done.append(number)
            one.committed, one.committed_us = number, received_us
        if done:
            _, before = self._unmarked.get(one.key, (one.id, []))
            self._unmarked[one.key] = one.id, [*before, *done]
            self._committed.set()

    async def _mark(self, feed: Feed) -> None:
        """Write down what is committed, and then acknowledge it."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            self._marked_s = asyncio.get_running_loop().time()
            ready, self._unmarked = self._unmarked, {}
            marks = self.mark(feed)
            try:
                await asyncio.to_thread(self.marks.write, marks)
            except OSError as error:
                log.warning("how far subscriptions are committed could not be kept: %s", error)
            except asyncio.CancelledError:
                for key, (subscription, numbers) in self._unmarked.items():
                    ready[key] = subscription, [*ready.get(key, (0, []))[1], *numbers]
                self._unmarked = ready
                raise
            self._owed.extend((subscription, number) for subscription, numbers in ready.values() for number in numbers)
            await asyncio.sleep(MARKS_S)

    async def _watch(self, connection: Connection, publisher: Publisher) -> None:
        """A subscription that says nothing, not even that it lives, is not there any more, though its server may be."""
        while True:
            await asyncio.sleep(LOOK_S)
            now_s = asyncio.get_running_loop().time()
            if publisher.busy:
                # It may have spoken: we don't listen, since there is no room.
                self._heard_s = dict.fromkeys(self._heard_s, now_s)
            for one in self.subscriptions:
                patience_s = SILENT_KEEPALIVES * max(one.keepalive_s, one.group.interval_s) + SILENT_S
                if one.id and now_s - self._heard_s.get(one.id, now_s) > patience_s:
                    await connection.alive()
                    raise Ended((one,), f"its subscription of {one.group.name} said nothing for {patience_s:.0f} s")

    def _named(self, one: Subscription) -> tuple[str, ...] | None:
        tags = sorted({tag for item in one.items for tag in item.tags})
        everything = {tag for group in one.device.groups for tag in group.tags}
        if len(tags) > TAGS_NAMED_MAX or len(tags) == len(everything):
            return None
        return tuple(one.device.table.tags[tag].name for tag in tags)


async def lost(connection: Connection) -> None:
    """Until the connection is. Raises NotConnected."""
    raise NotConnected("", await asyncio.shield(connection.lost))


def kept(future: "asyncio.Future[int]") -> bool:
    """Whether the buffer has a frame for good, or has told that it has not; one that closes leaves it to the server."""
    if not future.done() or future.cancelled():
        return False
    error = future.exception()
    return error is None or isinstance(error, Shed)
