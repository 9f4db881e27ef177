"""Framer: the values of a message, or of a read, as a frame of their device. It knows no server.

A server's clock that is off by more than the device's `skew_max` is not believed: its times are shifted by what it is
off, so that they keep their distances, and that is said once.
"""

import logging
from collections.abc import Sequence
from struct import Struct
from typing import Any

from tidegate.clock import Clock, ClockState, Moment
from tidegate.model.device import Device
from tidegate.model.frame import I64, U32, Frame, pack_value
from tidegate.model.gap import Gap, Why
from tidegate.model.status import is_bad
from tidegate.model.tag import TagTable, Type
from tidegate_drivers.opcua.items import Item
from tidegate_drivers.opcua.message import Message, us
from tidegate_drivers.opcua.settings import Settings

# InfoType DataValue with the Overflow bit (OPC 10000-4 §7.39.1): the server's queue was full, values were dropped.
OVERFLOW = 0x480
BAD_TYPE_MISMATCH = 0x80740000
EMPTY_SLOT = bytes(8)
# A server's clock was believed to be off by so much, and is now by so much more or less: it was stepped.
STEP_US = 1_000_000
GAP_TAGS_MAX = 64

log = logging.getLogger(__name__)


class Framer:
    """That of the items of one group of a device. `table` is the one that frames come under."""

    def __init__(self, device: Device, settings: Settings, items: Sequence[Item], base: int, clock: Clock) -> None:
        self.table: TagTable = device.table
        # Items whose node the server said is gone, by index.
        self.gone: set[int] = set()
        self._device = device
        self._items = items
        self._base = base
        self._clock = clock
        self._skew_us_max = round(settings.skew_s_max * 1e6)
        self._skew_us = 0
        self._before_us = 0

    def framed(self, message: Message, seen: set[tuple[int, int]] | None) -> tuple[Frame | None, list[Gap]]:
        """The frame of a message (None: it holds no value), and a gap where values were dropped at the server.

        What is in `seen`, as (tag, source time), was committed before and is left out.
        """
        now = self._clock.moment()
        skew_us = self._skew(message.published_us, now)
        rows = _Rows()
        dropped: set[int] = set()
        for handle, value in message.values:
            index = handle - self._base
            if not 0 <= index < len(self._items):
                continue
            self._add(rows, index, value, message.published_us or now.wall_us, skew_us, seen, dropped)
        began_us, self._before_us = self._before_us or now.wall_us, now.wall_us
        return self._frame(rows, now), self._overflow(dropped, began_us, now.wall_us)

    def read(self, which: Sequence[int], values: Sequence[Any]) -> Frame | None:
        """The frame of a read of these items: a value each."""
        now = self._clock.moment()
        rows = _Rows()
        for index, value in zip(which, values, strict=True):
            stamp = us(value.ServerTimestamp) or now.wall_us
            self._add(rows, index, value, now.wall_us, self._skew(stamp, now), None, set())
        rows.sort()
        return self._frame(rows, now)

    def bad(self, codes: Sequence[tuple[int, int]]) -> Frame | None:
        """What is said of items (index, StatusCode) that the server gives no value of."""
        now = self._clock.moment()
        rows = _Rows()
        for index, code in codes:
            for tag in self._items[index].tags:
                rows.add(tag, now.wall_us, 0, code, EMPTY_SLOT)
        return self._frame(rows, now)

    def _add(self, rows: "_Rows", index: int, value: Any, default_us: int, skew_us: int,
             seen: set[tuple[int, int]] | None, dropped: set[int]) -> None:  # fmt: skip
        status = value.StatusCode.value if value.StatusCode is not None else 0
        server = us(value.ServerTimestamp) or 0
        source = us(value.SourceTimestamp) or server or default_us
        if status & OVERFLOW == OVERFLOW:
            dropped.add(index)
        if status & 0xFFFF0000 == 0x80340000:
            self.gone.add(index)
        else:
            self.gone.discard(index)
        for tag in self._items[index].tags:
            if seen is not None and (tag, source - skew_us) in seen:
                continue
            slot, code = self._slot(tag, value, rows.side) if not is_bad(status) else (EMPTY_SLOT, status)
            rows.add(tag, source - skew_us, server - skew_us if server else 0, status if code is None else code, slot)

    def _slot(self, tag: int, value: Any, side: bytearray) -> tuple[bytes, int | None]:
        kind, found = self.table.tags[tag].raw, value.Value.Value if value.Value is not None else None
        try:
            if found is None or isinstance(found, (str, list)) != (kind == Type.STRING):
                return EMPTY_SLOT, BAD_TYPE_MISMATCH
            return pack_value(kind, found, side), None
        except Exception:
            return EMPTY_SLOT, BAD_TYPE_MISMATCH

    def _frame(self, rows: "_Rows", now: Moment) -> Frame | None:
        if not rows.tags:
            return None
        return Frame(
            self._device.name, self.table.hash, len(rows.tags), self._clock.boot, now.mono_us, now.wall_us,
            _column("I", rows.tags, constant=False), _column("q", rows.source), _column("I", rows.status),
            b"".join(rows.slots), bytes(rows.side), _column("q", rows.server) if any(rows.server) else b"",
            clock=now.state,
        )  # fmt: skip

    def _overflow(self, dropped: set[int], began_us: int, now_us: int) -> list[Gap]:
        if not dropped:
            return []
        tags = sorted({tag for index in dropped for tag in self._items[index].tags})
        names = tuple(self.table.tags[tag].name for tag in tags) if len(tags) <= GAP_TAGS_MAX else None
        return [Gap(Why.SOURCE_OVERFLOW, began_us, now_us, len(tags), "least", self._device.name, names)]

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


class _Rows:
    """Readings, column by column."""

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.source: list[int] = []
        self.server: list[int] = []
        self.status: list[int] = []
        self.slots: list[bytes] = []
        self.side = bytearray()

    def add(self, tag: int, source_us: int, server_us: int, status: int, slot: bytes) -> None:
        self.tags.append(tag)
        self.source.append(source_us)
        self.server.append(server_us)
        self.status.append(status)
        self.slots.append(slot)

    def sort(self) -> None:
        """In ascending order of tags."""
        order = sorted(range(len(self.tags)), key=self.tags.__getitem__)
        for name in ("tags", "source", "server", "status", "slots"):
            column = getattr(self, name)
            setattr(self, name, [column[i] for i in order])


def _column(code: str, items: list[int], constant: bool = True) -> bytes:
    if constant and len(set(items)) == 1:
        return (I64 if code == "q" else U32).pack(items[0])
    return Struct(f"<{len(items)}{code}").pack(*items)
