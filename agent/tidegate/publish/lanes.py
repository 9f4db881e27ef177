"""The lanes of one connection that owe something: live from memory, backlog from the buffer.

Which of them goes first is not theirs to say.

commit ──▶ Live ──▶ message              a live run ends: what it did not send is the backlog's
             │ end
buffer ──▶ Paged (backlog, replay) ──▶ message
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

from tidegate.buffer.buffer import Buffer, Committed
from tidegate.model.frame import Frame, Kind
from tidegate.model.tag import TagTable
from tidegate.proof import Ranges
from tidegate.publish.feed import Batch, Feed

log = logging.getLogger(__name__)

# Live frames that may wait in memory; past it the run ends, although its time is not over.
LIVE_BYTES_MAX = 16 * 1024 * 1024
# One read from the buffer, and how little may wait before the next one is begun.
PAGE_BYTES = 256 * 1024

Span = tuple[str, int, int]


class Tables:
    """The tag tables that frames of this target used so far: as many as the buffer's segments and devices have."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        self._lost: set[bytes] = set()
        self.known: dict[bytes, TagTable] = {}

    def unknown(self, frames: Iterable[Frame]) -> set[bytes]:
        """Hashes of the tables that `learn` has to fetch before these frames can be sent."""
        used = {frame.table for frame in frames if frame.kind != Kind.GAP}
        return used - self.known.keys() - self._lost

    async def learn(self, hashes: Iterable[bytes]) -> None:
        """Fetch tables; one that is lost is logged once, and its frames stay where they are."""
        for hash in hashes:
            try:
                self.known[hash] = await self._buffer.table(hash)
            except KeyError:
                self._lost.add(hash)
                log.error("tag table %s is lost: its frames can't be published", hash.hex())


class Live:
    """The live lane: what commits bring, as long as the target keeps up with them."""

    def __init__(self, feed: Feed, tables: Tables, epoch: str, last: int) -> None:
        self.feed = feed
        self.unknown: set[bytes] = set()
        self._tables = tables
        self._epoch = epoch
        self._next = last + 1
        # The first number that no message of the run has taken whole.
        self._untaken = last + 1

    def committed(self, committed: Committed, now_s: float) -> list[Span]:
        """Take what a commit brought; the numbers, if any, that the backlog has to bring instead."""
        owed: list[Span] = []
        if committed.epoch != self._epoch:
            owed += self.end()
            self._epoch, self._next, self._untaken = committed.epoch, 1, 1
        if committed.last < self._next:
            return owed
        if committed.first > self._next:
            # Commits that nobody told us of; the next run begins after them.
            owed += self.end()
            owed.append((self._epoch, self._next, committed.first - 1))
            self._next = self._untaken = committed.first
        self.unknown |= self._tables.unknown(committed.frames)
        for number, frame in enumerate(committed.frames, committed.first):
            if number >= self._next:
                self.feed.put(self._epoch, number, frame, now_s)
        self._next = committed.last + 1
        if self.feed.bytes_waiting > LIVE_BYTES_MAX:
            owed += self.end()
        return owed

    def take(self, bytes_max: int) -> Batch | None:
        """The next live message; None when there is none."""
        batch = self.feed.take(bytes_max)
        if batch is not None:
            whole = batch.part is None or batch.part[0] == batch.part[1]
            self._untaken = batch.last + 1 if whole else batch.last
        return batch

    def end(self) -> list[Span]:
        """End the run: forget what waits, and return its numbers. The next commit begins a new run."""
        self.feed.end_run()
        left = [(self._epoch, self._untaken, self._next - 1)] if self._untaken < self._next else []
        self._untaken = self._next
        return left


class Paged:
    """A lane that reads what it owes from the buffer, page by page, a page ahead of what is sent."""

    def __init__(self, feed: Feed, buffer: Buffer, tables: Tables, wake: Callable[[], None]) -> None:
        self.feed = feed
        self._buffer = buffer
        self._tables = tables
        self._wake = wake
        # By epoch, those that were named first before the others.
        self._todo: dict[str, Ranges] = {}
        self._reading: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is left to read or send."""
        return not self._todo and self._reading is None and not len(self.feed)

    def owe(self, epoch: str, first: int, last: int) -> None:
        """These numbers have to be sent."""
        self._todo.setdefault(epoch, Ranges()).add(first, last)

    def take(self, bytes_max: int) -> Batch | None:
        """The next message; None when there is none, or when a page that would fill it is being read.

        Raises BufferFault when the buffer could not be read.
        """
        if self._reading is not None and self._reading.done():
            reading, self._reading = self._reading, None
            reading.result()
        if self._reading is None and self._todo and self.feed.bytes_waiting < PAGE_BYTES:
            self._reading = asyncio.create_task(self._read())
        if self._reading is not None and self.feed.bytes_waiting < bytes_max:
            return None
        return self.feed.take(bytes_max)

    async def _read(self) -> None:
        try:
            epoch, todo = next(iter(self._todo.items()))
            first, last = next(iter(todo))
            page = await self._buffer.read(epoch, first, last, PAGE_BYTES)
            await self._tables.learn(self._tables.unknown(frame for _, frame in page.frames))
            # Where the buffer answers for nothing of it, the whole epoch is gone.
            todo.remove(first, page.upto if page.upto >= first else last)
            if not todo:
                del self._todo[epoch]
            now_s = asyncio.get_running_loop().time()
            for number, frame in page.frames:
                self.feed.put(epoch, number, frame, now_s)
        finally:
            self._wake()

    def close(self) -> None:
        """Stop reading."""
        if self._reading is not None:
            self._reading.cancel()
