"""Stored: what lies in a buffer that nobody runs, for people. The caller holds its lock."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tidegate.buffer.catalog import Entry, files_of
from tidegate.buffer.control import FILE, Control
from tidegate.buffer.cursors import Cursors
from tidegate.buffer.segment import connect, size_of
from tidegate.buffer.state import SEGMENTS
from tidegate.errors import BufferFault


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """One numbering: what can be read of it, and how many frames each target has still to get."""

    epoch: str
    first: int
    last: int
    waiting: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """A buffer at rest. Times in µs UTC (0: unknown); `gaps` are ledger rows by reason."""

    folder: str
    bytes_used: int
    segments: int
    readings: int
    t0: int
    t1: int
    clean: bool
    boots: int
    epochs: tuple[StoredEpoch, ...]
    gaps: tuple[tuple[str, int], ...]


def look_into(folder: Path) -> Stored:
    """What control.db and the newest segment say. Raises BufferFault when there is no buffer, or it can't be read."""
    if not (folder / FILE).exists():
        raise BufferFault(f"{folder}: there is no buffer here. Name the state folder, or the configuration")
    try:
        with closing(Control.open(folder / FILE).db) as db:
            return _stored(folder, Control(db))
    except sqlite3.DatabaseError as error:
        raise BufferFault(f"{folder}: {error}. `tidegate buffer verify` finds what is damaged") from error


def _stored(folder: Path, control: Control) -> Stored:
    entries = [entry if entry.sealed else _unsealed(folder, entry) for entry in control.segments()]
    marks = control.marks()
    cursors = Cursors(sorted({mark.target for mark in marks}), marks)
    epochs = []
    for numbering in control.numberings():
        last = max((e.last for e in entries if e.epoch == numbering.epoch), default=numbering.floor - 1)
        counts = tuple((t, cursors.waiting(t, numbering.epoch, numbering.floor, last).total) for t in cursors.targets)
        epochs.append(StoredEpoch(numbering.epoch, numbering.floor, last, counts))
    gaps = control.db.execute("SELECT why, count(*) FROM ledger GROUP BY why ORDER BY why").fetchall()
    return Stored(
        folder=str(folder),
        bytes_used=sum(size_of(p) for ps in files_of(folder / SEGMENTS).values() for p in ps) + size_of(folder / FILE),
        segments=len(entries),
        readings=sum(e.readings for e in entries),
        t0=min((e.t0 for e in entries), default=0),
        t1=max((e.t1 for e in entries), default=0),
        clean=control.box()[1],
        boots=control.start().boot,
        epochs=tuple(e for e in epochs if e.last >= e.first or e is epochs[-1]),
        gaps=tuple((why, count) for why, count in gaps),
    )


def _unsealed(folder: Path, entry: Entry) -> Entry:
    """The newest segment of an agent that was killed, by its own rows."""
    path = folder / SEGMENTS / entry.file
    if not path.exists():
        return entry
    with closing(connect(path)) as db:
        sums = "max(last), sum(frames), sum(readings), min(t0), max(t1)"
        last, frames, readings, t0, t1 = db.execute(f"SELECT {sums} FROM blocks").fetchone()
    return Entry(entry.epoch, entry.first, last, size_of(path), frames, readings, t0, t1, entry.hash, sealed=False)
