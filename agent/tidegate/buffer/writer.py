"""Writer: what happens in the writer thread. Commits, seals, cursors, new epochs, and reads of the active segment.

    commit:  ledger rows of what was told ─▶ blocks (numbers are given here) ─▶ confirmed ─▶ seal ─▶ make room
    a fault: the segment is let go of; before the next commit it is proven and sealed, and a new one begins

It knows no loop: each call blocks, and returns or raises BufferFault.
"""

import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidegate.buffer import ballast, missing
from tidegate.buffer.block import NO_HASH, Block, Encoded, encode
from tidegate.buffer.catalog import Entry, Numbering
from tidegate.buffer.image import await_bytes
from tidegate.buffer.renewal import adopt as adopt_renewal
from tidegate.buffer.renewal import cut
from tidegate.buffer.retention import free, make_room, prune_ledger
from tidegate.buffer.salvage import Salvaged, adopt, put_aside, salvage
from tidegate.buffer.segment import Damage, Found, Meta, Segment, collect, connect, is_refusal, seal_file
from tidegate.buffer.state import State, faults, is_full, unlink
from tidegate.buffer.survey import Survey, survey
from tidegate.buffer.tables import stored_table
from tidegate.errors import BufferFault
from tidegate.model.frame import Frame, Kind
from tidegate.model.gap import Gap, Why
from tidegate.model.identity import new_epoch
from tidegate.proof import Ranges

log = logging.getLogger(__name__)

NO_TABLE = bytes(8)
ROW_BYTES = 120  # What a block's row costs besides its data.


@dataclass(slots=True)
class Batch:
    """What one commit takes: frames, gaps that were told, the tag tables of the frames (hash, document)."""

    frames: list[Encoded] = field(default_factory=list)
    told: list[Gap] = field(default_factory=list)
    tables: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Done:
    """What a commit added: `frames` numbered first..last, gap frames before the others; none when last < first.

    `active` is the first number of the segment that takes commits now (0: none).
    """

    epoch: str
    first: int
    last: int
    frames: tuple[Frame, ...]
    active: int


@dataclass(frozen=True, slots=True)
class _Attempt:
    """Blocks that are being committed, and what is in them: gap frames of `rows`, then the batch's frames."""

    blocks: list[Block]
    frames: list[Encoded]
    rows: list[Gap]
    tables: dict[bytes, bytes]


class Writer:
    """The writer thread's side of a buffer."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tables = state.control.table_keys()
        # After a fault: whether the segment's file must be proven first, and the commit that may or may not be in it.
        self._suspect = False
        self._attempt: _Attempt | None = None
        self._landed: _Attempt | None = None
        self._closed = False
        self._ballast = True
        self._listed_first = ("", 0)

    def commit(self, batch: Batch) -> Done:
        """Put a batch on disk. Raises BufferFault: call again with the same batch; it is never written twice."""
        with faults("commit"):
            try:
                done = self._commit(batch)
            except (sqlite3.Error, OSError) as error:
                if not is_full(error):
                    raise
                self._ballast = free(self._state, error)
                done = self._commit(batch)
        self._tend()
        active = self._state.catalog.active
        return replace(done, active=active.first if active is not None else 0)

    def _commit(self, batch: Batch) -> Done:
        state = self._state
        self._resume()
        if self._landed is not None:
            landed, self._landed = self._landed, None
            return _done(state.epoch, landed)
        new = {key: document for key, document in batch.tables.items() if key not in self._tables}
        if batch.told or new:
            with state.transaction():
                state.ledger.write(batch.told)
                state.control.keep_tables(new)
            batch.told = []
            self._tables |= new.keys()
        rows = state.ledger.waiting()
        frames = [*map(self._gap_frame, rows), *batch.frames]
        if not frames:
            return Done(state.epoch, state.last + 1, state.last, (), 0)
        attempt = _Attempt(list(self._blocks(frames)), frames, rows, batch.tables)
        self._append(attempt)
        self._grow(attempt)
        return _done(state.epoch, attempt)

    def _gap_frame(self, gap: Gap) -> Encoded:
        now = self._state.clock.moment()
        frame = Frame(
            gap.device or "", NO_TABLE, 0, self._state.clock.boot, now.mono_us, now.wall_us, b"", b"", b"", b"",
            gap.encode(), kind=Kind.GAP, clock=now.state,
        )  # fmt: skip
        return Encoded(frame, frame.encode())

    def _blocks(self, frames: Sequence[Encoded]) -> Iterator[Block]:
        """Cut at the commit's limits, so that a page of a long queue stays small too."""
        settings = self._state.settings
        first, prev = self._state.last + 1, self._state.hash
        held: list[Encoded] = []
        size = readings = 0
        for encoded in frames:
            held.append(encoded)
            size += len(encoded.data)
            readings += encoded.frame.count
            if size >= settings.commit_bytes or readings >= settings.commit_readings:
                block = encode(first, held, prev)
                yield block
                first, prev, held, size, readings = block.last + 1, block.hash, [], 0, 0
        if held:
            yield encode(first, held, prev)

    def _append(self, attempt: _Attempt) -> None:
        state = self._state
        self._attempt, self._suspect = attempt, True
        if state.active is None:
            meta = Meta(state.epoch, state.last + 1, state.hash, state.clock.now_us())
            blocks, tables = attempt.blocks, attempt.tables
            state.active = Segment.make(self._path(), meta, blocks, tables, state.settings.segment_bytes)
        else:
            state.active.append(attempt.blocks, attempt.tables)
        self._attempt, self._suspect = None, False

    def _grow(self, attempt: _Attempt) -> None:
        """The blocks of an attempt are committed: numbers, catalog and carriers go on."""
        state, blocks = self._state, attempt.blocks
        first = blocks[0].first
        state.last, state.hash = blocks[-1].last, blocks[-1].hash
        state.ledger.announced((gap.id, state.epoch, first + i) for i, gap in enumerate(attempt.rows))
        added = Entry(
            state.epoch,
            first,
            state.last,
            sum(len(b.data) + ROW_BYTES for b in blocks),
            len(attempt.frames),
            sum(b.readings for b in blocks),
            min(b.t0 for b in blocks),
            max(b.t1 for b in blocks),
            state.hash,
            sealed=False,
        )
        before = state.catalog.active
        state.catalog.grow(added if before is None else before.joined(added))

    def _path(self) -> Path:
        active = self._state.catalog.active
        first = active.first if active is not None else self._state.last + 1
        return self._state.catalog.folder / f"{self._state.epoch}-{first}.db"

    def _tend(self) -> None:
        """After a commit was confirmed: list a new segment, seal a full one, keep the quota. A fault here waits."""
        active = self._state.catalog.active
        try:
            try:
                self._tend_to(active)
            except (sqlite3.Error, OSError) as error:
                if not is_full(error):
                    raise
                self._ballast = free(self._state, error)
        except (BufferFault, sqlite3.Error, OSError) as error:
            log.error("after a commit: %s", error)
        except Exception:
            # Nothing may make a commit that stands look like one that failed: it would be written twice.
            log.exception("after a commit")

    def _tend_to(self, active: Entry | None) -> None:
        state = self._state
        if not self._ballast:
            self._ballast = ballast.lay(state.settings.folder)
        if active is not None and active.size_bytes >= state.settings.segment_bytes:
            self._seal()
        elif active is not None and (not self._listed(active) or state.times.news(state.clock)):
            with state.transaction():
                state.control.list_segment(active)
        make_room(state)

    def _listed(self, active: Entry) -> bool:
        """Whether control.db knows of the active segment, so that its loss would be seen."""
        if self._listed_first != (active.epoch, active.first):
            if not self._state.control.lists(active.epoch, active.first):
                return False
            self._listed_first = (active.epoch, active.first)
        return True

    def _seal(self) -> None:
        state, entry = self._state, self._state.catalog.active
        if state.active is None or entry is None:
            return
        self._suspect = True
        size = state.active.seal()
        state.active = None
        self._mark_sealed(replace(entry, size_bytes=size, sealed=True))
        self._suspect = False

    def _mark_sealed(self, entry: Entry) -> None:
        with self._state.transaction():
            self._state.control.list_segment(entry)
            prune_ledger(self._state)
        self._state.catalog.seal(entry)

    def _resume(self) -> None:
        """After a fault: prove the segment that was let go of, and seal it. Nothing to do otherwise."""
        if not self._suspect:
            return
        state, path = self._state, self._path()
        if state.active is not None:
            with suppress(sqlite3.Error):
                state.active.close()
            state.active = None
        if path.exists() or state.catalog.active is not None:
            found = survey(path, connect) if path.exists() else Survey(path, None, None, 0, "it is missing")
            if found.refused is not None and is_refusal(found.refused):
                raise found.refused
            if found.entry is None and not found.damage and state.catalog.active is None:
                unlink(path)
            elif found.entry is not None and not found.damage and self._is_ours(found.entry):
                size = seal_file(path)
                self._mark_sealed(replace(found.entry, size_bytes=size))
            else:
                self._abandon(path, found.damage or "it is not what was written")
        self._suspect, self._attempt = False, None

    def _is_ours(self, entry: Entry) -> bool:
        """Whether a segment ends where we think: with the last commit, or with the one whose outcome was not told."""
        state, attempt = self._state, self._attempt
        end = (entry.last, entry.hash)
        if attempt is not None and end == (attempt.blocks[-1].last, attempt.blocks[-1].hash):
            self._grow(attempt)
            self._landed, self._attempt = attempt, None
            return True
        return end == (state.last, state.hash)

    def _abandon(self, path: Path, damage: str) -> None:
        """The newest segment is damaged: keep what is good of it, say what is lost, number anew, put it aside."""
        state, entry = self._state, self._state.catalog.active
        log.error("segment %s can't be proven: %s", path.name, damage)
        salvaged = Salvaged(path, None, ())
        if entry is not None and path.exists():
            salvaged = salvage(path, connect, entry, entry.last)
        elif entry is not None:
            frames = ((entry.first, entry.last),)
            lost = Gap(Why.CORRUPT, entry.t0, entry.t1, entry.readings, "exact", frames=frames, epoch=entry.epoch)
            salvaged = Salvaged(path, None, (lost,))
        self._begin("the newest segment was damaged", salvaged.gaps, salvaged.entry)
        put_aside(state.settings.folder, salvaged, state.settings.quarantine_bytes_max)

    def _begin(
        self, reason: str, gaps: Sequence[Gap] = (), kept: Entry | None = None, renewed: int | None = None
    ) -> None:
        state, before = self._state, self._state.epoch
        epoch = new_epoch()
        for target in state.cursors.targets:
            state.cursors.begin(target, epoch, 1)
        left = kept is not None or bool(state.catalog.sealed(before))
        try:
            with state.transaction():
                state.ledger.write(gaps)
                state.control.drop_unsealed()
                if kept is not None:
                    state.control.list_segment(kept)
                ordinal = state.control.begin(epoch, 1, reason)
                renewal = cut(state, renewed, epoch)
        except BaseException:
            state.cursors.forget(epoch)
            raise
        state.catalog.active = None
        if kept is not None:
            state.catalog.seal(kept)
        state.catalog.number(Numbering(ordinal, epoch, 1, 0))
        if renewal is not None:
            adopt_renewal(state, renewal)
        if not left:
            state.catalog.forget(before)
            state.cursors.forget(before)
        state.epoch, state.last, state.hash = epoch, 0, NO_HASH
        log.warning("numbers begin again in epoch %s: %s", epoch, reason)

    def renumber(self, of: str, reason: str, first: int | None = None) -> str:
        """A new epoch, empty, after `of`, whose numbers from `first` on are not delivered under it any more.

        When `of` is not the current one somebody else has begun a new one just before: that is it.
        """
        if of != self._state.epoch:
            return self._state.epoch
        with faults("new epoch"):
            self._resume()
            self._seal()
            self._begin(reason, renewed=first)
        return self._state.epoch

    def seal_aged(self, epoch: str, first: int) -> None:
        """Seal the active segment if it still is the one that began with this number."""
        active = self._state.catalog.active
        if active is not None and (active.epoch, active.first) == (epoch, first):
            with faults("seal"):
                self._resume()
                self._seal()
                make_room(self._state)

    def store(self) -> None:
        """Store cursors and carriers."""
        with faults("cursors"), self._state.transaction():
            pass

    def page(self, epoch: str, first: int, last: int, bytes_max: int) -> Found | None:
        """Frames of the active segment; None when the number is not in it any more."""
        with faults("read"):
            self._resume()
            entry = self._state.catalog.at(epoch, first)
            if entry is None or entry.sealed or entry.first > first or self._state.active is None:
                return None
            found = collect(self._state.active.db, first, min(last, entry.last), bytes_max)
            if found.damaged:
                found = collect(self._state.active.db, first, min(last, entry.last), bytes_max)
            if found.damaged and not await_bytes(self._state.active.path, 0):
                raise BufferFault(f"{self._state.active.path.name} can't be read just now")
        self.note(epoch, found.damaged)
        return found

    def note(self, epoch: str, damaged: Sequence[Damage]) -> None:
        """Put numbers that turned out unreadable into the ledger, each once."""
        with faults("ledger"):
            missing.note(self._state, epoch, damaged)

    def news(self, epoch: str, damaged: Sequence[Damage]) -> bool:
        """Whether any of these numbers is not in the ledger yet."""
        with faults("ledger"):
            return missing.news(self._state, epoch, damaged)

    def adopt(self, entry: Entry, salvaged: Salvaged) -> None:
        """Take what was salvaged of a damaged segment for the segment."""
        with faults("salvage"):
            adopt(self._state, entry, salvaged)

    def gone(self, target: str, epoch: str, numbers: Ranges) -> list[tuple[Ranges, Why]]:
        """Which of these numbers a target will not get, and why."""
        with faults("ledger"):
            return missing.gone(self._state, target, epoch, numbers)

    def table(self, key: bytes) -> bytes | None:
        """The document of a tag table."""
        return stored_table(self._state, key)

    def close(self, complete: bool) -> None:
        """Let go of the files; seal and note that all is well when it is `complete`. Twice is once."""
        state = self._state
        try:
            with faults("close"):
                if not complete or self._closed:
                    return
                self._resume()
                self._seal()
                with state.transaction():
                    state.control.set_clean()
        finally:
            self._closed = True
            with suppress(sqlite3.Error):
                if state.active is not None:
                    state.active.close()
                state.control.close()


def _done(epoch: str, attempt: _Attempt) -> Done:
    blocks = attempt.blocks
    return Done(epoch, blocks[0].first, blocks[-1].last, tuple(e.frame for e in attempt.frames), 0)
