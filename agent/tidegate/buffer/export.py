"""Export: the readings of a buffer one by one, for people and their tools, straight from its segments.

It changes nothing and knows no target. While an agent runs only sealed segments are read.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tidegate.buffer.block import Block, decode
from tidegate.buffer.catalog import files_of
from tidegate.buffer.segment import COLUMNS, connect, look, meta_of
from tidegate.buffer.state import JOURNALS, SEGMENTS
from tidegate.errors import BufferDamaged, BufferFault, FrameDamaged
from tidegate.model.frame import Frame, Kind, Reading, readings
from tidegate.model.tag import TagTable

log = logging.getLogger(__name__)

INT64_MAX = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which readings: of an epoch ("": all), of frames numbered first..last, that came since_us..until_us (µs UTC)."""

    epoch: str = ""
    first: int = 1
    last: int = INT64_MAX
    since_us: int = -INT64_MAX
    until_us: int = INT64_MAX


@dataclass(frozen=True, slots=True)
class Exported:
    """One reading, with the number and clock state (see ClockState) of its frame, and its tag's unit."""

    epoch: str
    number: int
    clock: int
    unit: str
    reading: Reading


def export(folder: Path, wanted: Wanted, running: bool) -> Iterator[Exported]:
    """The readings that are wanted, segments in the order of their making. Logs what is damaged, and goes on.

    Unless an agent is `running`, the caller holds the buffer's lock. Raises BufferFault when there is no buffer.
    """
    if not (folder / SEGMENTS).is_dir():
        raise BufferFault(f"{folder}: there is no buffer here. Name the state folder, or the configuration")
    for path, opened in _in_order(folder, wanted, running):
        try:
            with closing(opened(path)) as db:
                yield from _segment(db, path, wanted)
        except sqlite3.DatabaseError as error:
            if path.exists():
                log.error("%s: %s; `tidegate buffer salvage` keeps what is good of it", path.name, error)


def _in_order(folder: Path, wanted: Wanted, running: bool) -> list[tuple[Path, Callable[[Path], sqlite3.Connection]]]:
    found = []
    for (epoch, first), (path, *_) in files_of(folder / SEGMENTS).items():
        unsealed = any(path.with_name(path.name + end).exists() for end in JOURNALS)
        if (wanted.epoch and epoch != wanted.epoch) or first > wanted.last or (unsealed and running):
            continue
        opened = connect if unsealed else look
        try:
            with closing(opened(path)) as db:
                made_us = meta_of(db).made_us
        except (sqlite3.DatabaseError, BufferDamaged, TypeError) as error:
            log.error("%s: %s; `tidegate buffer salvage` keeps what is good of it", path.name, error)
            continue
        found.append((made_us, epoch, first, path, opened))
    oldest: dict[str, int] = {}
    for made_us, epoch, *_ in found:
        oldest[epoch] = min(made_us, oldest.get(epoch, made_us))
    found.sort(key=lambda f: (oldest[f[1]], f[1], f[2]))
    return [(path, opened) for *_, path, opened in found]


def _segment(db: sqlite3.Connection, path: Path, wanted: Wanted) -> Iterator[Exported]:
    meta = meta_of(db)
    tables = {bytes(key): TagTable.parse(bytes(text)) for key, text in db.execute("SELECT hash, document FROM tables")}
    rows = db.execute(
        f"SELECT {COLUMNS} FROM blocks WHERE last >= ? AND first <= ? AND t1 >= ? AND t0 <= ? ORDER BY first",
        (wanted.first, wanted.last, wanted.since_us, wanted.until_us),
    )
    for row in rows:
        try:
            frames = [(number, Frame.decode(data)) for number, data in decode(Block(*row))]
        except (BufferDamaged, FrameDamaged, UnicodeDecodeError) as error:
            log.error("%s: %s", path.name, error)
            continue
        for number, frame in frames:
            if frame.kind != Kind.DATA or not wanted.first <= number <= wanted.last:
                continue
            if wanted.since_us <= frame.gateway_us <= wanted.until_us:
                yield from _frame(meta.epoch, number, frame, tables, path)


def _frame(epoch: str, number: int, frame: Frame, tables: dict[bytes, TagTable], path: Path) -> Iterator[Exported]:
    table = tables.get(frame.table)
    if table is None:
        log.error("%s: the tag table of number %d is not in it", path.name, number)
        return
    units = {tag.name: tag.unit for tag in table.tags}
    for reading in readings(frame, table):
        yield Exported(epoch, number, frame.clock, units[reading.tag], reading)
