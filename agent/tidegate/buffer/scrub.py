"""Scrub: proves the sealed segments in the background, a little at a time, and has salvaged whatever is damaged.

    sealed segment ─▶ reader thread: a step of blocks ─▶ damage nobody knows yet ─▶ salvage (reader) ─▶ adopt (writer)

Its reading is bounded by a rate. What a subscriber's own reading finds damaged comes here too.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.buffer.block import Block, prove
from tidegate.buffer.catalog import Entry
from tidegate.buffer.image import await_bytes
from tidegate.buffer.salvage import SALVAGES_MAX, readable_from, salvage
from tidegate.buffer.segment import COLUMNS, Damage, blocks_from, look, meta_of
from tidegate.buffer.state import State
from tidegate.buffer.survey import LOOKS
from tidegate.buffer.writer import Writer
from tidegate.errors import BufferDamaged, BufferFault
from tidegate.model.gap import Why

log = logging.getLogger(__name__)

STEP_BYTES = 256 << 10
ROW_BYTES = 120


@dataclass(frozen=True, slots=True)
class ScrubStatus:
    """How far the scrub is: segments proven of the pass that is under way (of how many), and what it found since the
    start. `ended_us` is when the last whole pass ended (µs UTC, None: not yet); `now` is the file being read."""

    passes: int = 0
    segments: int = 0
    of: int = 0
    bytes: int = 0
    damaged: int = 0
    salvaged: int = 0
    ended_us: int | None = None
    now: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """Blocks proven up to number `upto`, of so many bytes, and what of them is damaged."""

    upto: int
    bytes: int
    damaged: tuple[Damage, ...] = ()


def prove_step(path: Path, first: int, last: int, bytes_max: int) -> Step:
    """Prove blocks of a sealed segment from a number on, until about `bytes_max`. Raises BufferFault (see reader)."""
    step = Step(first - 1, 0)
    for _ in range(LOOKS):
        step = _once(path, first, last, bytes_max)
        if not step.damaged:
            break
        await_bytes(path)
    return step


def _once(path: Path, first: int, last: int, bytes_max: int) -> Step:
    at, size = first, 0
    try:
        with closing(look(path)) as db:
            try:
                before = _before(db, first)
                with closing(blocks_from(db, first, last)) as blocks:
                    for block in blocks:
                        if block.first > at:
                            gone = Damage(at, block.first - 1, "no block holds these numbers", why=Why.LOST)
                            return Step(block.first - 1, size, (gone,))
                        at = block.first
                        prove(block)
                        if before is not None and before[0] + 1 == block.first and before[1] != block.prev:
                            raise BufferDamaged(f"block {block.first}..{block.last}: the chain of hashes breaks here")
                        before = block.last, block.hash
                        at, size = block.last + 1, size + len(block.data) + ROW_BYTES
                        if at > last or size >= bytes_max:
                            return Step(at - 1, size)
                    more = db.execute("SELECT 1 FROM blocks WHERE first BETWEEN ? AND ?", (at, last)).fetchone()
                    if more is None or at == first:
                        gone = Damage(at, last, "no block holds these numbers", why=Why.LOST)
                        return Step(last, size, (gone,))
            except (sqlite3.DatabaseError, BufferDamaged, TypeError, ValueError) as error:
                beyond = readable_from(db, at)
                end = last if beyond is None else min(last, _next(db, beyond, last) - 1)
                return Step(max(at, end), size, (Damage(at, max(at, end), str(error)),))
    except sqlite3.OperationalError as error:
        raise BufferFault(f"{path.name} can't be read just now: {error}") from error
    except sqlite3.DatabaseError as error:
        return Step(last, size, (Damage(at, last, str(error)),))
    return Step(at - 1, size)


def _before(db: sqlite3.Connection, number: int) -> tuple[int, bytes] | None:
    """Last number and hash of the block before a number; None where that can't be known."""
    try:
        found = db.execute(f"SELECT {COLUMNS} FROM blocks WHERE first < ? ORDER BY first DESC LIMIT 1", (number,))
        row = found.fetchone()
        if row is None:
            meta = meta_of(db)
            return meta.first - 1, meta.before
        block = Block(*row)
        prove(block)
    except (sqlite3.DatabaseError, BufferDamaged, TypeError, ValueError):
        return None
    return block.last, block.hash


def _next(db: sqlite3.Connection, number: int, last: int) -> int:
    row = db.execute("SELECT min(first) FROM blocks WHERE first >= ?", (number,)).fetchone()
    return last + 1 if row[0] is None else int(row[0])


class Scrubber:
    """The loop's side: one task, one step at a time. `announce` is called when the ledger may have new rows."""

    def __init__(
        self, state: State, writer: Writer, writing: Executor, reading: Executor, announce: Callable[[], None]
    ) -> None:
        self._state = state
        self._writer = writer
        self._writing = writing
        self._reading = reading
        self._announce = announce
        self._task: asyncio.Task[None] | None = None
        self._hurried = asyncio.Event()
        self._mending = asyncio.Lock()
        self.status = ScrubStatus()

    def start(self) -> None:
        """Begin, some time after the start."""
        self._task = asyncio.create_task(self._run(), name="scrub")

    async def stop(self) -> None:
        """End where it is."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def hurry(self) -> None:
        """Begin a pass now, or go on with this one, without pauses."""
        self._hurried.set()

    async def mend(self, entry: Entry, damaged: Sequence[Damage]) -> bool:
        """Salvage a sealed segment in which this is damaged; whether it has another file (or is gone) now.

        False when the ledger knew all of it, or when no new file can be made: then its rows are written.
        """
        loop = asyncio.get_running_loop()
        async with self._mending:
            if self._state.catalog.at(entry.epoch, entry.first) != entry:
                return True
            if not await loop.run_in_executor(self._writing, self._writer.news, entry.epoch, damaged):
                return False
            self.status = replace(self.status, damaged=self.status.damaged + 1)
            path = self._state.catalog.path(entry)
            try:
                if entry.salvaged >= SALVAGES_MAX or not path.exists():
                    raise BufferFault("it can't be salvaged")
                saved = await loop.run_in_executor(self._reading, salvage, path, look, entry, entry.last)
                await loop.run_in_executor(self._writing, self._writer.adopt, entry, saved)
            except (BufferFault, sqlite3.Error, OSError) as error:
                log.error("segment %s is damaged (%s) and stays as it is: %s", entry.file, damaged[0].what, error)
                await loop.run_in_executor(self._writing, self._writer.note, entry.epoch, damaged)
                return False
            finally:
                self._announce()
            self.status = replace(self.status, salvaged=self.status.salvaged + (saved.entry is not None))
            return True

    async def _run(self) -> None:
        await self._pause(self._state.settings.scrub_delay_s)
        while True:
            await self._pass()
            await self._pause(self._state.settings.scrub_pause_s)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), seconds)

    async def _pass(self) -> None:
        catalog = self._state.catalog
        entries = [entry for numbering in catalog.numberings for entry in catalog.sealed(numbering.epoch)]
        self.status = replace(self.status, segments=0, of=len(entries), bytes=0)
        for entry in entries:
            self.status = replace(self.status, now=entry.file)
            try:
                await self._segment(entry)
            except BufferFault as error:
                log.warning("scrub: %s; the next pass looks again", error)
            self.status = replace(self.status, segments=self.status.segments + 1)
        self._hurried.clear()
        ended_us = self._state.clock.now_us()
        self.status = replace(self.status, passes=self.status.passes + 1, ended_us=ended_us, now="")

    async def _segment(self, entry: Entry) -> None:
        loop, catalog, settings = asyncio.get_running_loop(), self._state.catalog, self._state.settings
        at = entry.first
        while at <= entry.last:
            if catalog.at(entry.epoch, entry.first) != entry:
                return  # Removed, or salvaged: then the new file was proven while it was made.
            step = await loop.run_in_executor(
                self._reading, prove_step, catalog.path(entry), at, entry.last, min(STEP_BYTES, settings.scrub_bytes_s)
            )
            if step.damaged and await self.mend(entry, step.damaged):
                return
            self.status = replace(self.status, bytes=self.status.bytes + step.bytes)
            at = step.upto + 1
            if not self._hurried.is_set():
                await asyncio.sleep(step.bytes / settings.scrub_bytes_s)
