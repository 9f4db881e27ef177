"""Framer: the values of a message, or of a read, as a frame of their device. It knows no server.

Columns come from the compiled decoder; what that leaves aside (odd) is taken apart value by value, and put in between
where it belongs; events come behind. A server's clock that is off by more than the device's `skew_max` is not believed:
its times are shifted by what it is off, so that they keep their distances, and that is said once.
"""

import logging
from collections.abc import Collection, Sequence

from tidegate.clock import Clock, ClockState, Moment
from tidegate.model.device import Device
from tidegate.model.frame import I64, PAIR, U32, Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.status import (
    BAD_DECODING_ERROR,
    BAD_ENCODING_LIMITS_EXCEEDED,
    BAD_NODE_ID_INVALID,
    BAD_NODE_ID_UNKNOWN,
    BAD_NOT_READABLE,
    GOOD,
)
from tidegate.model.tag import TagTable
from tidegate_drivers.opcua.columns import Columns
from tidegate_drivers.opcua.event import QUEUE_OVERFLOW, REFRESH_REQUIRED, Event, event_of
from tidegate_drivers.opcua.items import Item
from tidegate_drivers.opcua.lately import Lately
from tidegate_drivers.opcua.message import Message
from tidegate_drivers.opcua.notice import Columns as Told
from tidegate_drivers.opcua.notice import Odd, fill
from tidegate_drivers.opcua.settings import Settings
from tidegate_drivers.opcua.structures import Types
from tidegate_drivers.opcua.values import Part, part_of, reading
from tidegate_drivers.opcua.variants import sample_of
from tidegate_drivers.opcua.wide import Wide, packed
from tidegate_drivers.opcua.wire import Reader, Sample, Undecodable

EMPTY_SLOT = bytes(8)
# A server's clock was believed to be off by so much, and is now by so much more or less: it was stepped.
STEP_US = 1_000_000
GAP_TAGS_MAX = 64
# For so long over a new connection servers tell last values once more, behind what they kept meanwhile.
REPEATS_US = 10_000_000
# Of a StatusCode without its bits of information.
CODE = 0xFFFF0000
# What a monitored node that is deleted is told with: node-opcua says the second.
GONE = frozenset({BAD_NODE_ID_UNKNOWN, BAD_NODE_ID_INVALID})
TICKS_OF_1970, TICKS_US = 116_444_736_000_000_000, 10

log = logging.getLogger(__name__)


class Framer:
    """That of the items of one group of a device. `table` is the one that frames come under; `types` what the server
    says of its structures; `names` are those of an item's enumeration. `base` is the client handle of the first item.
    """

    def __init__(self, device: Device, settings: Settings, items: Sequence[Item], base: int, clock: Clock) -> None:
        self.table: TagTable = device.table
        self.types = Types()
        self.names: dict[int, dict[int, str]] = {}
        # Items whose node the server said is gone, by index.
        self.gone: set[int] = set()
        # Whether the server said that standing alarms have to be told again.
        self.to_refresh = False
        self.lately = Lately()
        # Until then, monotonic µs, what was told last may be told once more.
        self._repeats_until_us = 0
        self._device = device
        self._items = items
        self._base = base
        self._clock = clock
        self._skew_us_max = round(settings.skew_s_max * 1e6)
        self._skew_us = 0
        # The tag of each client handle from 0 on; those before `base` are never looked up.
        self._tags = bytes(4 * base) + b"".join(U32.pack(item.tags[0]) for item in items)

    @property
    def skew_us(self) -> int:
        """What is taken from the server's times now."""
        return self._skew_us

    def expect_repeats(self) -> None:
        """It goes on over a new connection."""
        self._repeats_until_us = self._clock.mono_us() + REPEATS_US

    def believe(self, skew_us: int) -> None:
        """What a process before took from the server's times."""
        self._skew_us = skew_us

    def told_us(self, message: Message, before_us: int) -> int:
        """Until when, at least, the server has told all that it had: gateway's µs UTC, `before_us` if it can't say."""
        stamp_us = message.notice.publish_us or message.stamp_us
        return min(self._clock.now_us(), stamp_us - self._skew_us) if stamp_us else before_us

    def framed(
        self, message: Message, seen: Collection[tuple[int, int | str]] | None, since_us: int, again: bool = False
    ) -> tuple[Frame | None, list[Gap]]:
        """The frame of a message (None: it holds no value), and a gap where values were dropped at the server.

        What is in `seen`, as (tag, source time) or (tag, EventId), was committed before and is left out. What was
        dropped, was since `since_us`. A message that is told `again` is old, and says nothing of the server's clock.
        """
        now = self._clock.moment()
        told = message.notice.columns
        gaps: list[Gap] = []
        events, dropped = self._events(message)
        dropped |= {one - self._base for (one,) in U32.iter_unpack(told.overflowed)}
        if dropped:
            gaps = [self._overflow(dropped, min(since_us or now.wall_us, now.wall_us), now)]
        self._note_all(told)
        if not told.count and not told.odd and not events:
            return None, gaps
        stamp_us = message.notice.publish_us or message.stamp_us
        skew_us = self._skew_us if again else self._skew(stamp_us, now)
        publish_us = message.notice.publish_us or now.wall_us
        return self._frame(told, message.body, publish_us, skew_us, now, seen, events=events), gaps

    def read(self, which: Sequence[int], told: Told, body: bytes) -> Frame | None:
        """The frame of a read of these items, in ascending order of tags; a handle is a place in `which`."""
        now = self._clock.moment()
        stamp_us = I64.unpack_from(told.server_us)[0] if told.server_us else 0
        return self._frame(told, body, now.wall_us, self._skew(stamp_us, now), now, None, which)

    def bad(self, codes: Sequence[tuple[int, int]], unread: Sequence[int] = ()) -> Frame | None:
        """What is said of items (index, StatusCode) without a value at the server, and of tags that are not read."""
        now = self._clock.moment()
        rows = Columns()
        for index, code in codes:
            for tag in self._items[index].tags:
                rows.add(tag, now.wall_us, 0, code, EMPTY_SLOT)
        for tag in unread:
            rows.add(tag, now.wall_us, 0, BAD_NOT_READABLE, EMPTY_SLOT)
        if not rows.count:
            return None
        return self._made(
            rows.count, rows.tags, rows.source_us, rows.server_us, rows.status, rows.values, bytes(rows.side), now
        )

    def _frame(
        self, told: Told, body: bytes, default_us: int, skew_us: int, now: Moment,
        seen: Collection[tuple[int, int | str]] | None, which: Sequence[int] | None = None,
        events: Sequence[tuple[int, Event]] = (),
    ) -> Frame | None:  # fmt: skip
        table = self._tags if which is None else b"".join(U32.pack(self._items[i].tags[0]) for i in which)
        tags = fill(told.handles, table)
        dated = (
            told.source_us != EMPTY_SLOT if len(told.source_us) == 8 else 0 not in memoryview(told.source_us).cast("q")
        )
        repeats = which is None and now.mono_us < self._repeats_until_us
        if dated and not (told.odd or skew_us or seen or events or repeats) and (which is None or _rising(tags)):
            return self._made(
                told.count, tags, told.source_us, told.server_us, told.status, told.values, told.side, now
            )
        wide = Wide(tags, told)
        self._put_odd(wide, told.odd, body, which)
        wide.date(default_us, skew_us)
        if seen:
            wide.leave_out(seen)
        if repeats:
            self.lately.leave_out(wide, self.table)
        self._put_events(wide, events, default_us, skew_us, seen or ())
        if which is not None:
            wide.sort()
        if not len(wide):
            return None
        server = packed(wide.server)
        return self._made(
            len(wide), packed(wide.tags), packed(wide.source), b"" if server == EMPTY_SLOT else server,
            packed(wide.status), bytes(wide.values), bytes(wide.side), now,
        )  # fmt: skip

    def _put_odd(self, wide: Wide, odd: Sequence[Odd], body: bytes, which: Sequence[int] | None) -> None:
        """Put in what the decoder left aside, behind as many rows as came before it."""
        added = 0
        for one in odd:
            index = one.handle - self._base if which is None else which[one.handle]
            if not 0 <= index < len(self._items):
                continue
            sample = _sample(body, one)
            self._note(index, sample.status)
            for tag, part in _parts(self.table, self._items[index]):
                slot, status = reading(part, sample, wide.side, self.types, self.names.get(index))
                wide.insert(one.row + added, tag, _us(sample.source), _us(sample.server), status, slot)
                added += 1

    def _events(self, message: Message) -> tuple[list[tuple[int, Event]], set[int]]:
        """The events of a message by their items' indexes, and the items of which the server dropped some."""
        found: list[tuple[int, Event]] = []
        dropped: set[int] = set()
        for handle, fields in message.events:
            index = handle - self._base
            if not 0 <= index < len(self._items):
                continue
            event = event_of(fields, self.types)
            if event.kind == QUEUE_OVERFLOW:
                dropped.add(index)
                continue
            self.to_refresh = self.to_refresh or event.kind == REFRESH_REQUIRED
            found.append((index, event))
        return found, dropped

    def _put_events(
        self, wide: Wide, events: Sequence[tuple[int, Event]], default_us: int, skew_us: int,
        seen: Collection[tuple[int, int | str]],
    ) -> None:  # fmt: skip
        """A row an event behind all others; the machine's time is when it happened, the server's when it heard."""
        for index, event in events:
            slot, status = EMPTY_SLOT, BAD_ENCODING_LIMITS_EXCEEDED
            if event.text is not None:
                slot, status = PAIR.pack(len(wide.side), len(event.text)), GOOD
                wide.side += event.text
            source_us = event.time_us - skew_us if event.time_us else default_us
            server_us = event.received_us - skew_us if event.received_us else 0
            for tag in self._items[index].tags:
                if (tag, event.id) not in seen:
                    wide.insert(len(wide), tag, source_us, server_us, status, slot)

    def _note_all(self, told: Told) -> None:
        """Which items' nodes are gone, of those in the columns; nothing that is Good says so."""
        if len(told.status) == U32.size and U32.unpack(told.status)[0] & CODE not in GONE:
            if self.gone:
                self.gone.difference_update(handle - self._base for (handle,) in U32.iter_unpack(told.handles))
            return
        handles, status = memoryview(told.handles).cast("I"), memoryview(told.status).cast("I")
        for row, handle in enumerate(handles):
            self._note(handle - self._base, status[0 if len(status) == 1 else row])

    def _note(self, index: int, status: int) -> None:
        if status & CODE in GONE:
            self.gone.add(index)
        else:
            self.gone.discard(index)

    def _made(
        self,
        count: int,
        tags: bytes,
        source: bytes,
        server: bytes,
        status: bytes,
        values: bytes,
        side: bytes,
        now: Moment,
    ) -> Frame:
        return Frame(
            self._device.name, self.table.hash, count, self._clock.boot, now.mono_us, now.wall_us, tags, source,
            status, values, side, server, clock=now.state,
        )  # fmt: skip

    def _overflow(self, dropped: set[int], began_us: int, now: Moment) -> Gap:
        tags = sorted({tag for index in dropped for tag in self._items[index].tags})
        names = tuple(self.table.tags[tag].name for tag in tags) if len(tags) <= GAP_TAGS_MAX else None
        return Gap(Why.SOURCE_OVERFLOW, began_us, now.wall_us, len(tags), "least", self._device.name, names)

    def _skew(self, theirs_us: int, now: Moment) -> int:
        """What is taken from the server's times: 0 while its clock is believed, or ours is not."""
        if not theirs_us or now.state != ClockState.SET:
            return 0
        off_us = theirs_us - now.wall_us
        if abs(off_us) <= self._skew_us_max:
            if self._skew_us:
                log.info("%s: the server's clock is right again", self._device.name)
            self._skew_us = 0
        elif abs(off_us - self._skew_us) > STEP_US:
            log.warning("%s: the server's clock is off by %.1f s: its times are shifted by that", self._device.name,
                        off_us / 1e6)  # fmt: skip
            self._skew_us = off_us
        return self._skew_us


def _parts(table: TagTable, item: Item) -> tuple[tuple[int, Part], ...]:
    return tuple((tag, part_of(table.tags[tag], item.fields[at])) for at, tag in enumerate(item.tags))


def _sample(body: bytes, one: Odd) -> Sample:
    if one.value is not None:
        return sample_of(one.value)
    try:
        return Reader(body, one.at, one.at + one.length).sample()
    except Undecodable:
        return Sample(status=BAD_DECODING_ERROR)


def _us(ticks: int) -> int:
    return max(0, (ticks - TICKS_OF_1970) // TICKS_US) if ticks else 0


def _rising(tags: bytes) -> bool:
    column = memoryview(tags).cast("I")
    return all(column[i] < column[i + 1] for i in range(len(column) - 1))
