"""A buffer in memory with the surface of tidegate.buffer.buffer.Buffer, as far as a target uses it."""

import asyncio
from collections.abc import Callable
from typing import Self

from tests.fakes.frames import frame
from tidegate.buffer.buffer import BufferStatus, Committed, Extent, Page
from tidegate.buffer.scrub import ScrubStatus
from tidegate.clock import Known
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import TagTable
from tidegate.proof import Ranges

FRAME_BYTES = 512


class MemoryLetters:
    """The dead letters of a MemoryBuffer."""

    def __init__(self, buffer: "MemoryBuffer") -> None:
        self._buffer = buffer
        self.gaps: list[Gap] = []

    def kept(self, target: str = "") -> tuple[Gap, ...]:
        return tuple(gap for gap in self.gaps if target in ("", *gap.targets))

    async def bury(self, target: str, epoch: str, number: int) -> None:
        numbers = ((number, number),)
        self.gaps.append(Gap(Why.DEAD_LETTER, 0, 0, frames=numbers, epoch=epoch, targets=(target,)))
        self._buffer.cursors.setdefault((target, epoch), Ranges()).add(number, number)

    async def resubmit(self, target: str) -> list[tuple[str, int, int]]:
        owed = [(gap.epoch, *gap.frames[0]) for gap in self.kept(target)]
        self.gaps.clear()
        for epoch, first, last in owed:
            self._buffer.cursors[target, epoch].remove(first, last)
        return owed


class MemoryBuffer:
    """Commits at once, forgets only what it is told to, and reads when `reading` (an Event, if any) is set."""

    def __init__(self, epoch: str = "a" * 16) -> None:
        self.epoch = epoch
        self.gaps = 0
        self.frames: dict[str, dict[int, Frame]] = {epoch: {}}
        self.floors: dict[str, int] = {epoch: 1}
        self.cursors: dict[tuple[str, str], Ranges] = {}
        self.lost: dict[tuple[str, int], Why] = {}
        self.gone_by_epoch: dict[str, Ranges] = {}
        self.tables: dict[bytes, TagTable] = {}
        self.times: dict[int, Known] = {}
        self.acknowledged: list[tuple[str, int, int]] = []
        self.owed_from: dict[str, int] = {}
        self.renumbered: list[str] = []
        self.renumbered_from: list[int | None] = []
        # Since when the brokers were not asked for a head; None: since now.
        self.unasked_from: int | None = None
        self.were_asked: list[str] = []
        self.reading: asyncio.Event | None = None
        self.reads = 0
        self.letters = MemoryLetters(self)
        self.not_stored = 0
        self._listeners: list[Callable[[Committed], None]] = []

    @classmethod
    def of(cls, table: TagTable, frames: int) -> Self:
        """A buffer that knows a table and holds so many frames of it."""
        made = cls()
        made.know(table)
        if frames:
            made.commit(*(frame(table, i) for i in range(frames)))
        return made

    def know(self, table: TagTable) -> None:
        self.tables[table.hash] = table

    def commit(self, *frames: Frame) -> tuple[int, int]:
        """Number these frames and tell whoever listens."""
        first = self.last + 1
        for number, kept in enumerate(frames, first):
            self.frames[self.epoch][number] = kept
        for listener in list(self._listeners):
            listener(Committed(self.epoch, first, self.last, tuple(frames)))
        return first, self.last

    def lose(self, first: int, last: int, why: Why = Why.EVICTED, epoch: str = "") -> None:
        """Numbers that will not come any more."""
        for number in range(first, last + 1):
            self.frames[epoch or self.epoch].pop(number, None)
            self.lost[epoch or self.epoch, number] = why
            self.gone_by_epoch.setdefault(epoch or self.epoch, Ranges()).add(number, number)

    def listen(self, callback: Callable[[Committed], None]) -> Callable[[], None]:
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback) if callback in self._listeners else None

    @property
    def last(self) -> int:
        return max(self.frames[self.epoch], default=self.floors[self.epoch] - 1)

    @property
    def first(self) -> int:
        return self.floors[self.epoch]

    def extents(self) -> tuple[Extent, ...]:
        return tuple(Extent(e, self.floors[e], max(f, default=self.floors[e] - 1)) for e, f in self.frames.items())

    async def read(self, epoch: str, first: int, last: int, bytes_max: int) -> Page:
        self.reads += 1
        if self.reading is not None:
            await self.reading.wait()
        else:
            await asyncio.sleep(0)
        upto = min(last, first + max(1, bytes_max // FRAME_BYTES) - 1)
        held = self.frames[epoch]
        return Page(tuple((n, held[n]) for n in range(first, upto + 1) if n in held), upto)

    def time_known(self, boot: int) -> Known | None:
        """The moments that a test has put into `times`."""
        return self.times.get(boot)

    async def table(self, hash: bytes) -> TagTable:
        return self.tables[hash]

    def since(self, target: str, epoch: str) -> int:
        return self.owed_from.get(epoch, 1)

    def cursor(self, target: str, epoch: str) -> Ranges:
        cursor = self.cursors.get((target, epoch), Ranges()).copy()
        cursor.update(self.gone_by_epoch.get(epoch, Ranges()))
        return cursor

    def acknowledge(
        self, target: str, epoch: str, acknowledged: Ranges | tuple[int, int], messages_max: int = 16
    ) -> None:
        pairs = acknowledged if isinstance(acknowledged, Ranges) else [acknowledged]
        for first, last in pairs:
            self.cursors.setdefault((target, epoch), Ranges()).add(first, last)
            self.acknowledged.append((epoch, first, last))

    def unstored(self, target: str) -> int:
        return self.not_stored

    async def gone(self, target: str, epoch: str, numbers: Ranges) -> list[tuple[Ranges, Why]]:
        found: dict[Why, Ranges] = {}
        for (of, number), why in self.lost.items():
            if of == epoch and number in numbers:
                found.setdefault(why, Ranges()).add(number, number)
        return [(ranges, why) for why, ranges in found.items()]

    async def renumber(self, reason: str, first: int | None = None) -> str:
        self.renumbered.append(reason)
        self.renumbered_from.append(first)
        self.epoch = "b" * 16
        self.frames[self.epoch] = {}
        self.floors[self.epoch] = 1
        return self.epoch

    def unasked(self, target: str) -> tuple[str, int]:
        return self.epoch, self.unasked_from or self.last + 1

    async def asked(self, target: str) -> None:
        await asyncio.sleep(0)
        self.were_asked.append(target)

    def owed(self, target: str, epoch: str = "") -> int:
        """Frames not acknowledged."""
        epoch = epoch or self.epoch
        return self.cursor(target, epoch).holes(1, max(self.frames[epoch], default=0)).total

    def status(self) -> BufferStatus:
        return BufferStatus(
            self.epoch, self.first, self.last, self.gaps, 0, 2 << 30, 1, 0, self.last, 0, 0, 0, 200_000, (), None,
            0.0, 0.0, "", ScrubStatus(),
        )  # fmt: skip
