"""Survey: proves a segment from end to end, block by block and frame by frame. It repairs nothing."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidegate.buffer.block import Block, decode, prove
from tidegate.buffer.catalog import SALVAGED, Entry, file_parts
from tidegate.buffer.image import await_bytes, broken_journal, image, opened
from tidegate.buffer.segment import COLUMNS, Meta, meta_of, size_of
from tidegate.errors import BufferDamaged
from tidegate.model.frame import Frame, Kind
from tidegate.model.gap import Gap
from tidegate.proof import Ranges

# A read error of a healthy file shows as "malformed" too: look again before believing it.
LOOKS = 3


@dataclass(frozen=True, slots=True)
class Survey:
    """What a segment holds. `damage` is "" when all of it is proven.

    `entry` covers what was proven (None: not one block); `reached` is the last number that the file speaks of at
    all, `t0` the earliest gateway time of the last proven block, `boot` of its last frame; `carriers` are gap frames
    as (ledger id, number); `holes` are numbers that a salvaged segment has no blocks of. `refused` is set when the
    disk, not the file, was at fault: looking later may help.
    """

    path: Path
    meta: Meta | None
    entry: Entry | None
    reached: int
    damage: str
    t0: int = 0
    boot: int = 0
    carriers: tuple[tuple[int, int], ...] = ()
    holes: Ranges = field(default_factory=Ranges)
    refused: sqlite3.OperationalError | None = None


@dataclass(slots=True)
class _Sum:
    """The proven blocks so far."""

    last: int
    hash: bytes
    frames: int = 0
    readings: int = 0
    t0: int = 0
    t1: int = 0
    block: Block | None = None

    def add(self, block: Block) -> None:
        self.t0 = min(self.t0, block.t0) if self.block is not None else block.t0
        self.t1 = max(self.t1, block.t1) if self.block is not None else block.t1
        self.last, self.hash, self.block = block.last, block.hash, block
        self.frames += block.frames
        self.readings += block.readings


def survey(path: Path, connect: Callable[[Path], sqlite3.Connection]) -> Survey:
    """Prove a segment through a connection of the caller's making; looks LOOKS times before it says damaged."""
    broken = broken_journal(path)
    if broken:
        # SQLite would take the commits up to there for all that there were.
        with closing(opened(image(path))) as db:
            return replace(_judged(path, db), damage=broken)
    for _ in range(LOOKS - 1):
        found = _once(path, connect)
        if not found.damage:
            return found
        await_bytes(path)
    return _once(path, connect)


def _once(path: Path, connect: Callable[[Path], sqlite3.Connection]) -> Survey:
    try:
        db = connect(path)
    except sqlite3.DatabaseError as error:
        return Survey(
            path, None, None, 0, str(error), refused=error if isinstance(error, sqlite3.OperationalError) else None
        )
    with closing(db):
        return _judged(path, db)


def _judged(path: Path, db: sqlite3.Connection) -> Survey:
    try:
        return _prove(path, db)
    except sqlite3.OperationalError as error:
        return Survey(path, None, None, 0, str(error), refused=error)
    except (sqlite3.DatabaseError, BufferDamaged, TypeError, ValueError) as error:
        return Survey(path, None, None, 0, str(error))


def _prove(path: Path, db: sqlite3.Connection) -> Survey:
    if db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
        return Survey(path, None, None, 0, "")
    meta = meta_of(db)
    if file_parts(path.name) != (meta.epoch, meta.first):
        return Survey(path, meta, None, 0, f"it says that it is {meta.epoch}-{meta.first}")
    total = _Sum(meta.first - 1, meta.before)
    carriers: list[tuple[int, int]] = []
    holes, may_miss = Ranges(), SALVAGED in path.name
    damage = ""
    try:
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            damage = "quick_check finds it malformed"
        for row in db.execute(f"SELECT {COLUMNS} FROM blocks ORDER BY first"):
            block = Block(*row)
            if may_miss and block.first > total.last + 1:
                holes.add(total.last + 1, block.first - 1)
                total.last, total.hash = block.first - 1, block.prev
            _prove_next(total, block)
            carriers += _carriers(block)
            total.add(block)
    except sqlite3.OperationalError:
        raise
    except (sqlite3.DatabaseError, BufferDamaged, TypeError, ValueError) as error:
        damage = damage or str(error)
    reached = _reached(db, total.last) if damage else total.last
    return replace(_survey(path, meta, total, carriers, damage, reached), holes=holes)


def _prove_next(total: _Sum, block: Block) -> None:
    if block.first != total.last + 1:
        raise BufferDamaged(f"numbers {total.last + 1}..{block.first - 1} are missing")
    if block.prev != total.hash:
        raise BufferDamaged(f"block {block.first}..{block.last}: the chain of hashes breaks here")
    prove(block)


def _carriers(block: Block) -> list[tuple[int, int]]:
    frames = [(number, Frame.decode(data)) for number, data in decode(block)]
    return [(Gap.decode(frame.side).id, number) for number, frame in frames if frame.kind == Kind.GAP]


def _reached(db: sqlite3.Connection, last: int) -> int:
    try:
        (reached,) = db.execute("SELECT coalesce(max(last), 0) FROM blocks").fetchone()
    except sqlite3.DatabaseError:
        return last
    return max(last, int(reached))


def _survey(path: Path, meta: Meta, total: _Sum, carriers: list[tuple[int, int]], damage: str, reached: int) -> Survey:
    if total.block is None:
        return Survey(path, meta, None, reached, damage)
    entry = Entry(
        meta.epoch, meta.first, total.last, size_of(path), total.frames, total.readings, total.t0, total.t1, total.hash
    )
    boot = Frame.decode(decode(total.block)[-1][1]).boot
    return Survey(path, meta, entry, reached, damage, total.block.t0, boot, tuple(carriers))
