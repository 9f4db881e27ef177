"""Buffer: keeps what was put until it is acknowledged and its room is needed, and numbers it. The loop's side of it.

It knows no broker and no driver. All that blocks happens in its writer and reader threads.
"""

import asyncio
import logging
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tidegate.buffer import ballast, lock, reader, served
from tidegate.buffer.catalog import Entry
from tidegate.buffer.committer import Committed, Committer
from tidegate.buffer.letters import Letters
from tidegate.buffer.recovery import recover
from tidegate.buffer.renewal import Renewer
from tidegate.buffer.scrub import Scrubber, ScrubStatus
from tidegate.buffer.segment import Found
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.state import SEGMENTS, State
from tidegate.buffer.status import BufferStatus
from tidegate.buffer.writer import NO_TABLE, Writer
from tidegate.clock import Clock, Known
from tidegate.errors import BufferFault
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.identity import box
from tidegate.model.tag import TagTable
from tidegate.proof import Ranges

__all__ = ["Buffer", "BufferStatus", "Committed", "Extent", "Page"]

log = logging.getLogger(__name__)

CLOSE_DEADLINE_S = 30.0
UNLOCK_DEADLINE_S = 1.0
# Who sends may be waiting for it.
STORE_RETRY_S = 1.0
# Pages that are being read at a time; who asks for more waits.
READS_MAX = 8
# A segment may be sealed or removed between finding it and reading it.
READ_TRIES = 8


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to `read`: frames with their numbers, rising. Numbers up to `upto` that are not among them are gone."""

    frames: tuple[tuple[int, Frame], ...]
    upto: int


@dataclass(frozen=True, slots=True)
class Extent:
    """The numbers of one epoch that the buffer still answers for: first..last, none when last < first."""

    epoch: str
    first: int
    last: int


class Buffer:
    """The buffer of one gateway. Made by `open`; everything else is called on the loop, after `start`."""

    def __init__(self, state: State, held: int) -> None:
        self._state = state
        self._held: int | None = held
        self._writer = Writer(state)
        self._writing = ThreadPoolExecutor(1, "tidegate-writer")
        self._reading = ThreadPoolExecutor(1, "tidegate-reader")
        self._reads = asyncio.Semaphore(READS_MAX)
        self._tables: dict[bytes, TagTable] = {}
        self._documents: dict[bytes, bytes] = {}
        self._committer = Committer(state, self._writer, self._writing, self._documents)
        self.progress = self._committer.progress
        self._scrubber = Scrubber(state, self._writer, self._writing, self._reading, self._committer.announce)
        self.letters = Letters(state, self._writing, self.read, self._committer.announce)
        self._renewer = Renewer(state, self._writing, self, self._learn)
        self._store_timer: asyncio.TimerHandle | None = None
        self._storing = self._store_again = False

    @classmethod
    def open(
        cls, settings: BufferSettings, clock: Clock, targets: Sequence[str], identity: Callable[[], str] = box
    ) -> "Buffer":
        """Lock the folder, recover what a crash left, count a new boot (`clock.boot`). Blocks.

        Raises BufferLocked when another process holds the folder, BufferFault when the disk or the folder can't be
        used at all. A target that the buffer has never seen is owed what comes from now on (see `since`).
        """
        folder = settings.folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (folder / SEGMENTS).mkdir(mode=0o700, exist_ok=True)
            held = lock.take(folder)
        except OSError as error:
            raise BufferFault(
                f"{folder} can't hold the buffer ({error}): make it a folder this user may write"
            ) from error
        try:
            try:
                state = recover(settings, clock, targets, identity())
            except (sqlite3.Error, OSError):
                ballast.drop(folder)
                state = recover(settings, clock, targets, identity())
        except (sqlite3.Error, OSError) as error:
            os.close(held)
            raise BufferFault(
                f"{folder}: the disk refuses ({error}): see that it has room and can be written"
            ) from error
        except BaseException:
            os.close(held)
            raise
        return cls(state, held)

    async def start(self) -> None:
        """Begin to commit; announces what the start found missing."""
        self._committer.listen(self._after_commit)
        self._committer.start(asyncio.get_running_loop())
        self._scrubber.start()
        self._renewer.start()

    async def close(self) -> None:
        """Commit all that was put, store the cursors, seal, unlock. Safe to call twice.

        When the disk does not take it within CLOSE_DEADLINE_S the rest is given up; the next start says so.
        """
        if self._held is None:
            return
        held, self._held = self._held, None
        await self._renewer.stop()
        self._committer.close()
        await self._scrubber.stop()
        if self._store_timer is not None:
            self._store_timer.cancel()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await self._committer.flush()
                await loop.run_in_executor(self._writing, self._writer.close, True)
        except (BufferFault, TimeoutError) as error:
            log.error("closed without having everything on disk: %s", error or "the disk took too long")
        finally:
            # The lock is held until the writer has let go of the files, however long the disk takes.
            self._committer.stop()
            letting_go = self._writing.submit(self._let_go, held)
            self._writing.shutdown(wait=False)
            self._reading.shutdown(wait=False)
        await asyncio.wait([asyncio.wrap_future(letting_go)], timeout=UNLOCK_DEADLINE_S)

    def _let_go(self, held: int) -> None:
        self._writer.close(False)
        os.close(held)

    def know(self, table: TagTable) -> None:
        """A table that frames may use; it is kept with the first block of a segment that uses it."""
        self._tables[table.hash] = table
        self._documents[table.hash] = table.document

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """See acquire.driver.Sink. Raises ValueError for a frame whose columns don't fit, or of an unknown table."""
        return await self._committer.put(frame)

    async def flush(self) -> None:
        """Returns when everything put or told so far is committed. Its deadline is the caller's."""
        await self._committer.flush()

    def tell(self, gap: Gap) -> None:
        """Something is missing that never got a number: a ledger row, announced in the next block. Never blocks."""
        self._committer.tell(gap)

    def listen(self, callback: Callable[[Committed], None]) -> Callable[[], None]:
        """Call back on the loop after each commit, in order. Returns what ends it."""
        return self._committer.listen(callback)

    @property
    def epoch(self) -> str:
        """The id of the current numbering."""
        return self._committer.epoch

    @property
    def last(self) -> int:
        """The last committed number of the current epoch; 0 when there is none."""
        return self._committer.last

    @property
    def first(self) -> int:
        """The floor: the lowest number of the current epoch that may still be read."""
        return self._floor(self.epoch)

    @property
    def gaps(self) -> int:
        """How many rows the ledger has had; their ids are 1..gaps."""
        return self._state.ledger.last

    def extents(self) -> tuple[Extent, ...]:
        """What is kept of each epoch, older ones first, the current one last."""
        numberings = self._state.catalog.numberings
        older = [Extent(n.epoch, n.floor, n.last) for n in numberings if n.epoch != self.epoch]
        return (*older, Extent(self.epoch, self.first, self.last))

    async def read(self, epoch: str, first: int, last: int, bytes_max: int) -> Page:
        """Frames from `first` on, at most to `last`, at most about `bytes_max` encoded (one frame at least).

        A page ends early at the end of a segment, and at the last committed number: go on at `upto` + 1. Raises
        BufferFault when the disk refuses just now.
        """
        return await self.kept(epoch, first, min(last, self._end(epoch)), bytes_max)

    async def kept(self, epoch: str, first: int, last: int, bytes_max: int) -> Page:
        """The same of numbers that are not delivered under this epoch any more (see renewal)."""
        catalog = self._state.catalog
        async with self._reads:
            for _ in range(READ_TRIES):
                entry = catalog.at(epoch, first)
                if entry is None or entry.first > last:
                    return Page((), max(last, first - 1))
                if entry.first > first:
                    return Page((), entry.first - 1)
                found = await self._page(entry, first, last, bytes_max)
                if found is not None:
                    return Page(found.frames, found.upto)
        raise BufferFault(f"epoch {epoch}, number {first}: its segment changed under {READ_TRIES} attempts to read it")

    async def _page(self, entry: Entry, first: int, last: int, bytes_max: int) -> Found | None:
        loop, catalog = asyncio.get_running_loop(), self._state.catalog
        if not entry.sealed:
            found = await loop.run_in_executor(self._writing, self._writer.page, entry.epoch, first, last, bytes_max)
        else:
            path, end = catalog.path(entry), min(last, entry.last)
            found = await loop.run_in_executor(self._reading, reader.page, path, first, end, bytes_max)
            if found.damaged and await self._scrubber.mend(entry, found.damaged):
                return None
        self._committer.announce()
        return found

    async def table(self, hash: bytes) -> TagTable:
        """The tag table of this hash; raises KeyError when it was never used."""
        if hash not in self._tables:
            document = await asyncio.get_running_loop().run_in_executor(self._writing, self._writer.table, hash)
            if document is None:
                raise KeyError(hash.hex())
            self._tables[hash] = TagTable.parse(document)
        return self._tables[hash]

    def time_known(self, boot: int) -> Known | None:
        """A moment of a start at which the time was known, for frames that were taken before it; None: not yet."""
        return self._state.times.known(boot)

    def since(self, target: str, epoch: str) -> int:
        """The first number of the epoch that this target is owed: from there on every number comes or is in a gap."""
        since = self._state.cursors.since(target, epoch)
        return self._end(epoch) + 1 if since is None else since

    def cursor(self, target: str, epoch: str) -> Ranges:
        """A copy of what need not be sent: acknowledged (stored or not yet), never owed, or gone (in the ledger)."""
        covered = self._state.cursors.covered(target, epoch)
        if covered is not None:
            return covered
        end = self._end(epoch)
        return Ranges([(1, end)]) if end > 0 else Ranges()

    def acknowledge(
        self, target: str, epoch: str, acknowledged: Ranges | tuple[int, int], messages_max: int = 16
    ) -> None:
        """One message was acknowledged. The cursor is stored some time later, or at once past `messages_max`."""
        pairs = acknowledged if isinstance(acknowledged, Ranges) else (acknowledged,)
        unstored = self._state.cursors.add(target, epoch, pairs, self._end(epoch))
        if unstored >= messages_max:
            self._store()
        elif unstored:
            self._store_later(self._state.settings.cursor_interval_s)

    def unstored(self, target: str) -> int:
        """Messages acknowledged whose cursor is not on disk yet: these plus those in flight are a kill's duplicates."""
        return self._state.cursors.unstored(target)

    async def gone(self, target: str, epoch: str, numbers: Ranges) -> list[tuple[Ranges, Why]]:
        """Which of these numbers this target will not get any more, and why."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writing, self._writer.gone, target, epoch, numbers)

    async def renumber(self, reason: str, first: int | None = None) -> str:
        """Begin a new epoch, as numbers (from `first` on: those move) were seen elsewhere (formats §2 c); its id."""
        loop = asyncio.get_running_loop()
        begun = loop.run_in_executor(self._writing, self._writer.renumber, self.epoch, reason, first)
        self._committer.renumbered(await begun)
        # Who asked may be gone before it is done.
        await asyncio.shield(self._renewer.start())
        return self.epoch

    def unasked(self, target: str) -> tuple[str, int]:
        """The current epoch, and its first number that the target's broker was not asked about (formats §2 c)."""
        epoch, first = self._state.unasked.get(target, ("", 0))
        return (epoch, first) if epoch == self.epoch else (self.epoch, self.last + 1)

    async def asked(self, target: str) -> None:
        """It was asked: what it shows from now on is ours. Raises BufferFault: then it is stored with what comes."""
        self._state.unasked.pop(target, None)
        self._state.asked.add(target)
        await asyncio.get_running_loop().run_in_executor(self._writing, self._writer.store)

    async def _learn(self, hash: bytes) -> None:
        """Know a table that the configuration may not have any more."""
        if hash not in self._documents and hash != NO_TABLE:
            self.know(await self.table(hash))

    def scrub(self) -> ScrubStatus:
        """Prove all sealed segments now, without pauses; how far it is."""
        self._scrubber.hurry()
        return self._scrubber.status

    def status(self) -> BufferStatus:
        """How the buffer is now."""
        figures, catalog = self._committer.figures, self._state.catalog
        waiting = {t: self._waiting(t) for t in self._state.cursors.targets}
        return BufferStatus(
            epoch=self.epoch,
            first=self.first,
            last=self.last,
            gaps=self.gaps,
            bytes_used=self._state.bytes_used,
            quota_bytes=self._state.settings.quota_bytes,
            segments=catalog.segments + (catalog.active is not None),
            **{name: getattr(figures, name) for name in ("commits", "frames", "readings", "shed_readings")},
            queue_readings=self._committer.queue_readings,
            queue_readings_max=self._state.settings.queue_readings_max,
            unacknowledged=tuple((target, sum(r.total for _, r in holes)) for target, holes in waiting.items()),
            oldest_us=min((us for holes in waiting.values() if (us := self._oldest_us(holes))), default=None),
            commit_ms=round(figures.commit_ms, 3),
            commit_ms_max=round(figures.commit_ms_max, 3),
            fault=figures.fault,
            scrub=self._scrubber.status,
        )

    async def serve(self, targets: Sequence[str]) -> None:
        """From now on these are the targets. Raises BufferFault when the disk refuses just now: it is stored later."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._writing, served.serve, self._state, targets)
        except BufferFault:
            self._store_later(STORE_RETRY_S)
            raise

    def _waiting(self, target: str) -> list[tuple[str, Ranges]]:
        """What a target is owed and has not acknowledged, by epoch, older ones first."""
        cursors = self._state.cursors
        holes = [(e.epoch, cursors.waiting(target, e.epoch, e.first, e.last)) for e in self.extents()]
        return [(epoch, ranges) for epoch, ranges in holes if ranges]

    def _oldest_us(self, holes: list[tuple[str, Ranges]]) -> int | None:
        """Gateway time of the oldest frame in them: of its commit when that is recent, else of its segment."""
        for epoch, ranges in holes:
            for first, _ in ranges:
                entry = self._state.catalog.at(epoch, first)
                return self._committer.taken_us(epoch, first) or (entry.t0 if entry is not None else None)
        return None

    def _end(self, epoch: str) -> int:
        """The last committed number of an epoch; 0 when it is not known (any more)."""
        if epoch == self.epoch:
            return self.last
        numbering = self._state.catalog.numbering(epoch)
        return numbering.last if numbering is not None else 0

    def _floor(self, epoch: str) -> int:
        numbering = self._state.catalog.numbering(epoch)
        return numbering.floor if numbering is not None else 1

    def _after_commit(self, _: Committed) -> None:
        """Who carried which row of the ledger is stored along with the cursors."""
        if self._state.ledger.unstored:
            self._store_later(self._state.settings.cursor_interval_s)

    def _store_later(self, after_s: float) -> None:
        if self._store_timer is None and self._held is not None:
            self._store_timer = asyncio.get_running_loop().call_later(after_s, self._store)

    def _store(self) -> None:
        """Store cursors now; once more when more was acknowledged meanwhile."""
        if self._store_timer is not None:
            self._store_timer.cancel()
            self._store_timer = None
        if self._held is None or self._storing:
            self._store_again = self._storing
            return
        self._storing = True
        loop = asyncio.get_running_loop()
        loop.run_in_executor(self._writing, self._writer.store).add_done_callback(self._stored)

    def _stored(self, future: "asyncio.Future[None]") -> None:
        self._storing = False
        again, self._store_again = self._store_again, False
        if not future.cancelled() and future.exception() is not None:
            log.error("%s; tried again in %g s", future.exception(), STORE_RETRY_S)
            self._store_later(STORE_RETRY_S)
        elif again:
            self._store()
