"""State: what the writer thread, retention and recovery share. One connection to control.db, one active segment."""

import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.buffer.catalog import Catalog, Renewal
from tidegate.buffer.control import FILE, Control
from tidegate.buffer.cursors import Cursors
from tidegate.buffer.ledger import Ledger
from tidegate.buffer.segment import Segment, size_of, sync_folder
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.times import Times
from tidegate.clock import Clock, ClockState
from tidegate.errors import BufferFault

SEGMENTS = "segments"
QUARANTINE = "quarantine"
FULL_ERRNO = frozenset({errno.ENOSPC, errno.EDQUOT})
JOURNALS = ("-wal", "-shm", "-journal")


@dataclass(slots=True)
class State:
    """An opened buffer. `last` and `hash` are of the last committed block of `epoch`: (0, 32 zero bytes) for none."""

    settings: BufferSettings
    clock: Clock
    control: Control
    ledger: Ledger
    cursors: Cursors
    catalog: Catalog
    epoch: str
    last: int
    hash: bytes
    identity: str
    times: Times
    active: Segment | None = None
    # What the buffer took when the disk became scarce; None while it is not.
    scarce_bytes: int | None = None
    # By epoch: numbers that are not delivered under it, and how far their frames have new ones.
    renewals: dict[str, Renewal] = field(default_factory=dict)
    # By target: epoch and first number that its broker was not asked about; and whose answer is not stored yet.
    unasked: dict[str, tuple[str, int]] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @contextmanager
    def transaction(self, floors: Iterable[tuple[str, int]] = ()) -> Iterator[None]:
        """One transaction of control.db; it takes along whatever waits to be stored, since a sync costs the same."""
        marks, asked = self.cursors.marks(floors), tuple(self.asked)
        moment, known = self.clock.moment(), self.times.news(self.clock)
        with self.control.transaction():
            self.ledger.store_carriers()
            self.control.store_marks(marks)
            self.control.store_asked(asked)
            if moment.state is ClockState.SET:
                self.control.set_wall(moment.wall_us)
            if known is not None:
                self.control.set_clock(self.clock.boot, known.wall_us, known.mono_us)
            yield
        if known is not None:
            self.times.told(self.clock.boot, known)
        self.ledger.stored()
        self.cursors.stored(marks)
        self.asked.difference_update(asked)
        # It is committed, whatever this read does; the next transaction reads again.
        with suppress(sqlite3.Error):
            self.ledger.refresh()

    @property
    def bytes_used(self) -> int:
        """What segments and control.db take on disk."""
        folder = self.settings.folder
        control = sum(size_of(folder / (FILE + end)) for end in ("", "-wal"))
        return self.catalog.sealed_bytes + control + (self.active.size_bytes if self.active is not None else 0)


@contextmanager
def faults(what: str) -> Iterator[None]:
    """What SQLite and the disk raise, as an error of ours."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise BufferFault(f"{what} failed: {error}") from error


def is_full(error: Exception) -> bool:
    """Whether it was for want of room on the disk."""
    if isinstance(error, OSError):
        return error.errno in FULL_ERRNO
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def unlink(path: Path) -> None:
    """Remove a database with its journals, and see to it that it stays removed."""
    for end in ("", *JOURNALS):
        path.with_name(path.name + end).unlink(missing_ok=True)
    sync_folder(path.parent)


def quarantine(folder: Path, path: Path, bytes_max: int) -> Path:
    """Put a database and its journals aside, under a name that is free; returns it.

    Of what lies there the oldest files go, until `bytes_max` hold the rest; the newest stays however large it is.
    """
    target = folder / QUARANTINE
    if not target.is_dir():
        target.mkdir()
        sync_folder(folder)
    number = 0
    while (target / f"{path.name}.{number}").exists():
        number += 1
    aside = target / f"{path.name}.{number}"
    for end in (*JOURNALS, ""):
        with suppress(FileNotFoundError):
            os.rename(path.with_name(path.name + end), aside.with_name(aside.name + end))
    sync_folder(target)
    sync_folder(path.parent)
    _bound(target, aside.name, bytes_max)
    return aside


def _bound(folder: Path, newest: str, bytes_max: int) -> None:
    # st_ctime is when it was put here: a rename changes it, and nothing writes to it afterwards.
    lying = sorted(((p.stat().st_ctime_ns, p) for p in folder.iterdir() if p.is_file()), reverse=True)
    used = 0
    for _, path in lying:
        used += size_of(path)
        if used > bytes_max and not path.name.startswith(newest):
            path.unlink(missing_ok=True)
