"""Salvage: what is good in a damaged segment goes, under its own numbers, into a new file beside it.

    good blocks ──▶ ...-salvaged.db, sealed ──▶ one transaction: a row for the rest, new file listed ──▶ quarantine/

Cut off anywhere it is done again, since as long as the damaged file lies there it is the segment. It repairs no block.
"""

import logging
import sqlite3
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from struct import error as StructError
from struct import pack_into

from tidegate.buffer.block import NO_HASH, Block, prove
from tidegate.buffer.catalog import SALVAGED, Entry, file_parts
from tidegate.buffer.image import await_bytes, image, opened
from tidegate.buffer.missing import unnamed
from tidegate.buffer.segment import COLUMNS, SCHEMAS, Meta, Segment, meta_of
from tidegate.buffer.state import State, quarantine, unlink
from tidegate.buffer.tables import proven_tables
from tidegate.errors import BufferDamaged
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

log = logging.getLogger(__name__)

# A file that was damaged more often than this lies on a disk that is dying: no new one is made of it.
SALVAGES_MAX = 4
STEPS_MAX = 100_000  # Stretches of one segment that can't be read; past them the rest of it counts as lost.
POWERS_MAX = 62
BATCH_BYTES = 4 << 20
WHOLE_BYTES_MAX = 256 << 20

UNREADABLE = (sqlite3.DatabaseError, BufferDamaged, TypeError, ValueError, OverflowError, StructError)


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What became of a damaged file: `entry` is the new one (None: no block was good), `gaps` tell of the rest."""

    path: Path
    entry: Entry | None
    gaps: tuple[Gap, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row of a damaged segment, without its data."""

    first: int
    last: int
    readings: int
    frames: int
    t0: int
    t1: int
    prev: bytes
    hash: bytes
    proven: bool


def salvage(path: Path, connect: Callable[[Path], sqlite3.Connection], listed: Entry | None, reached: int) -> Salvaged:
    """Put the good blocks of a damaged segment into a new, sealed file beside it; changes nothing else.

    `listed` is what control.db says of it (None: nothing it can be sure of), `reached` the last number that it had.
    Raises sqlite3.Error or OSError when the disk refuses.
    """
    parts = file_parts(path.name)
    assert parts is not None
    epoch, first = parts
    times = path.name.count(SALVAGED)
    with closing(_open(path, connect)) as db:
        seen = [one for one in _look(db) if first <= one.first and (listed is None or one.last <= reached)]
        good = list(_good(seen))
        entry = None
        if good and times < SALVAGES_MAX:
            entry = _entry(epoch, first, times + 1, good)
            size = _write(db, path.with_name(entry.file), _meta(db, epoch, first, seen), good)
            entry = replace(entry, size_bytes=size)
    kept = good if entry is not None else []
    end = max([reached, *(one.last for one in kept)])
    lost = Ranges([(first, end)]).without(Ranges((one.first, one.last) for one in kept))
    return Salvaged(path, entry, (_gap(epoch, lost, kept, listed),) if lost else ())


def adopt(state: State, entry: Entry, salvaged: Salvaged) -> None:
    """Take the new file for the damaged one of `entry`, which is put aside. Raises sqlite3.Error or OSError."""
    if state.catalog.at(entry.epoch, entry.first) != entry:
        # Removed for its room meanwhile.
        if salvaged.entry is not None:
            unlink(state.catalog.path(salvaged.entry))
        return
    with state.transaction():
        state.ledger.write(unnamed(salvaged.gaps, state.ledger))
        if salvaged.entry is not None:
            state.control.list_segment(salvaged.entry)
        else:
            state.control.drop_segment(entry.epoch, entry.first)
    if salvaged.entry is not None:
        state.catalog.replace(entry, salvaged.entry)
    else:
        state.catalog.remove(entry)
    put_aside(state.settings.folder, salvaged, state.settings.quarantine_bytes_max)


def put_aside(folder: Path, salvaged: Salvaged, bytes_max: int) -> None:
    """The last step: the damaged file leaves the folder of segments. Raises OSError."""
    aside = quarantine(folder, salvaged.path, bytes_max)
    lost = Ranges(pair for gap in salvaged.gaps for pair in gap.frames)
    kept = f"{salvaged.entry.frames} frames of it are in {salvaged.entry.file}" if salvaged.entry else "nothing is left"
    name = salvaged.path.name
    log.error("segment %s was damaged: %s, lost numbers: %s; put aside as %s", name, kept, lost, aside.name)


def _open(path: Path, connect: Callable[[Path], sqlite3.Connection]) -> sqlite3.Connection:
    """A connection for reading it: from memory, so that no page is lost to a read that fails now and again.

    Where SQLite does not even know it, its first page is replaced.
    """
    if path.stat().st_size > WHOLE_BYTES_MAX:
        return connect(path)
    await_bytes(path)
    content, likely = image(path), opened(b"")
    for size in (0, *SCHEMAS):
        db = opened(_with_first_page(content, size) if size else content)
        try:
            # Its schema knows all columns, and a first row can be read; where none can, the schema decides.
            db.execute(f"EXPLAIN SELECT {COLUMNS} FROM blocks").fetchone()
            likely = db
            db.execute("SELECT 1 FROM blocks LIMIT 1").fetchone()
            return db
        except sqlite3.DatabaseError:
            continue
    return likely


def _with_first_page(content: bytes, size: int) -> bytes:
    """Every segment is made by the same text, so that its first page differs by the count of pages only."""
    if len(content) <= size:
        return b""
    with closing(sqlite3.connect(":memory:")) as model:
        model.execute(f"PRAGMA page_size={size}")
        model.executescript(SCHEMAS[size])
        first = bytearray(model.serialize()[:size])
    pack_into(">I", first, 28, len(content) // size)
    first[24:28] = content[24:28]
    first[92:96] = content[24:28]
    return bytes(first) + content[size : len(content) // size * size]


def _rows(db: sqlite3.Connection) -> Generator[Block, None, None]:
    """Every row that can be read, rising; steps over those that can't."""
    at: int | None = 0
    for _ in range(STEPS_MAX):
        if at is None:
            return
        try:
            with closing(db.execute(f"SELECT {COLUMNS} FROM blocks WHERE first >= ? ORDER BY first", (at,))) as rows:
                for row in rows:
                    at = row[0] + 1
                    yield Block(*row)
            return
        except sqlite3.DatabaseError:
            at = readable_from(db, at)


def readable_from(db: sqlite3.Connection, at: int) -> int | None:
    """The lowest number past `at` from which a row can be read again, where the one at `at` can't; None for none."""

    def answers(number: int) -> bool:
        try:
            db.execute(f"SELECT {COLUMNS} FROM blocks WHERE first >= ? ORDER BY first LIMIT 1", (number,)).fetchone()
        except sqlite3.DatabaseError:
            return False
        return True

    low, high = at, None
    for power in range(POWERS_MAX):
        if answers(at + (1 << power)):
            high = at + (1 << power)
            break
        low = at + (1 << power)
    while high is not None and high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if answers(middle) else (middle, high)
    return high


def _look(db: sqlite3.Connection) -> Iterator[_Seen]:
    for block in _rows(db):
        try:
            prove(block)
            digest, proven = block.hash, True
        except UNREADABLE:
            digest, proven = b"", False
        if proven or (isinstance(block.last, int) and isinstance(block.prev, bytes)):
            yield _Seen(
                block.first, block.last, block.readings, block.frames, block.t0, block.t1, block.prev, digest, proven
            )


def _good(seen: Sequence[_Seen]) -> Iterator[_Seen]:
    """Those that are proven, and that the chain of hashes does not contradict on every side that it has."""
    last = -1
    for i, one in enumerate(seen):
        before = seen[i - 1] if i and seen[i - 1].proven and seen[i - 1].last + 1 == one.first else None
        after = seen[i + 1] if i + 1 < len(seen) and seen[i + 1].first == one.last + 1 else None
        sides = [before.hash == one.prev] if before is not None else []
        sides += [after.prev == one.hash] if after is not None else []
        if one.proven and one.first > last and (not sides or any(sides)):
            last = one.last
            yield one


def _meta(db: sqlite3.Connection, epoch: str, first: int, seen: Sequence[_Seen]) -> Meta:
    try:
        meta = meta_of(db)
        if (meta.epoch, meta.first) == (epoch, first) and len(meta.before) == len(NO_HASH):
            return meta
    except UNREADABLE:
        pass
    before = seen[0].prev if seen and seen[0].proven and seen[0].first == first else NO_HASH
    return Meta(epoch, first, before, seen[0].t0 if seen else 0)


def _write(db: sqlite3.Connection, path: Path, meta: Meta, good: Sequence[_Seen]) -> int:
    """The new file; returns its bytes."""
    unlink(path)
    segment = None
    try:
        for blocks in _batches(db, good):
            if segment is None:
                segment = Segment.make(path, meta, blocks, proven_tables(db))
            else:
                segment.append(blocks, {})
        assert segment is not None
        return segment.seal()
    except BaseException:
        if segment is not None:
            segment.close()
        with suppress(OSError):
            unlink(path)
        raise


def _batches(db: sqlite3.Connection, good: Sequence[_Seen]) -> Iterator[list[Block]]:
    held: list[Block] = []
    size = 0
    for one in good:
        row = db.execute(f"SELECT {COLUMNS} FROM blocks WHERE first = ?", (one.first,)).fetchone()
        # Where a key on the way to it is damaged, it is found only by going through all, as it was the first time.
        block = Block(*row) if row is not None else next((b for b in _rows(db) if b.first == one.first), None)
        if block is None or block.hash != one.hash:
            raise sqlite3.OperationalError(f"block {one.first}..{one.last} reads differently each time")
        held.append(block)
        size += len(block.data)
        if size >= BATCH_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def _entry(epoch: str, first: int, times: int, good: Sequence[_Seen]) -> Entry:
    return Entry(
        epoch, first, good[-1].last, 0, sum(g.frames for g in good), sum(g.readings for g in good),
        min(g.t0 for g in good), max(g.t1 for g in good), good[-1].hash, salvaged=times,
    )  # fmt: skip


def _gap(epoch: str, lost: Ranges, kept: Sequence[_Seen], listed: Entry | None) -> Gap:
    """One row for all that is lost: its times lie between those of its neighbours."""
    pairs = tuple(lost)
    before = [one.t1 for one in kept if one.last < pairs[0][0]]
    after = [one.t0 for one in kept if one.first > pairs[-1][1]]
    t0 = max(before, default=listed.t0 if listed is not None else 0)
    t1 = min(after, default=listed.t1 if listed is not None else t0)
    n = listed.readings - sum(one.readings for one in kept) if listed is not None else -1
    n, n_is = (n, "exact") if n >= 0 else (0, "unknown")
    return Gap(Why.CORRUPT, t0, max(t0, t1), n, n_is, frames=pairs, epoch=epoch)
