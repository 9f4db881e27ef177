"""Control: the one connection to control.db. Epochs and floors, the list of segments, cursors, boots, tag tables.

It keeps rows and proves them; what they mean for a start or a removal is decided elsewhere.
"""

import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

from tidegate.buffer.catalog import Entry, Numbering, Renewal
from tidegate.buffer.cursors import Mark
from tidegate.buffer.migrations import migrate
from tidegate.buffer.segment import connect, is_refusal
from tidegate.errors import BufferDamaged, BufferFault

SCHEMA = Path(__file__).with_name("control.sql").read_text()
VERSION = 2
# Commands read what an older build wrote as it is; the agent migrates it when it starts.
VERSION_READ_MIN = 1
FILE = "control.db"
# It takes many small transactions: its journal counts towards the quota, and is folded in early.
CHECKPOINT_PAGES = 64
# Starts whose clock is looked up; frames of older ones keep the time that they were taken with.
BOOTS_MAX = 10_000

RENEWAL = "epoch, first, last, moved, into_epoch, after"
ENTRY = "epoch, first, last, bytes, frames, readings, t0, t1, hash, sealed"


def checksum(*fields: object) -> int:
    """CRC-32 of fields as text, joined by LF."""
    return zlib.crc32("\n".join(map(str, fields)).encode())


@dataclass(frozen=True, slots=True)
class Start:
    """A start of the gateway: its number, wall and monotonic µs of one moment, and the clock's state then."""

    boot: int
    wall_us: int
    mono_us: int
    clock: int


class Control:
    """control.db, opened. Every call raises sqlite3.Error when the disk does not do its part."""

    def __init__(self, db: sqlite3.Connection, version: int = VERSION) -> None:
        self.db = db
        self.version = version
        # The version that it had before it was migrated just now; None: it was not.
        self.before: int | None = None

    @classmethod
    def open(cls, path: Path, migrating: bool = False) -> "Control":
        """Open it, or make it; `migrating`: bring what an older build wrote to the version of this one.

        Raises BufferDamaged when it can't be proven, BufferFault when a newer build made it, sqlite3.Error when the
        disk refuses.
        """
        control = cls._opened(path)
        if not migrating or control.version == VERSION:
            return control
        control.close()
        migrate(path, control.version)
        migrated = cls._opened(path)
        migrated.before = control.version
        return migrated

    @classmethod
    def _opened(cls, path: Path) -> "Control":
        try:
            db = connect(path, CHECKPOINT_PAGES)
        except sqlite3.DatabaseError as error:
            if is_refusal(error):
                raise
            raise BufferDamaged(f"{path.name}: {error}") from error
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            empty = db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
            if version > VERSION:
                raise BufferFault(
                    f"{path}: written by a newer tidegate (version {version}, this one reads {VERSION}): install that"
                )
            if version == 0 and empty:
                db.executescript("BEGIN IMMEDIATE;\n" + SCHEMA + "\nCOMMIT;")
                version = VERSION
            elif version < VERSION_READ_MIN:
                raise BufferDamaged(f"{path.name}: not a control database")
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise BufferDamaged(f"{path.name}: quick_check finds it malformed")
            control = cls(db, version)
            control.numberings()
            if version == VERSION:
                control.renewals()
        except sqlite3.DatabaseError as error:
            db.close()
            if is_refusal(error):
                raise
            raise BufferDamaged(f"{path.name}: {error}") from error
        except BaseException:
            db.close()
            raise
        return control

    def close(self) -> None:
        """Let go of the file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what is done within, or nothing."""
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise

    def numberings(self) -> list[Numbering]:
        """Epochs, the current one last; `last` is not known here (0). Raises BufferDamaged on a wrong checksum."""
        found = []
        for ordinal, epoch, floor, crc32 in self.db.execute(
            "SELECT ordinal, epoch, floor, crc32 FROM epochs ORDER BY ordinal"
        ):
            if checksum(ordinal, epoch, floor) != crc32:
                raise BufferDamaged(f"{FILE}: the row of epoch {epoch} has a wrong checksum")
            found.append(Numbering(ordinal, epoch, floor, 0))
        return found

    def begin(self, epoch: str, floor: int, reason: str, older: bool = False) -> int:
        """A new epoch, after all others (before them when `older`); returns its ordinal."""
        side, step = ("min", -1) if older else ("max", 1)
        (ordinal,) = self.db.execute(f"SELECT coalesce({side}(ordinal), 0) + ? FROM epochs", (step,)).fetchone()
        crc32 = checksum(ordinal, epoch, floor)
        self.db.execute("INSERT INTO epochs VALUES (?, ?, ?, ?, ?)", (ordinal, epoch, floor, reason, crc32))
        return int(ordinal)

    def set_floor(self, numbering: Numbering) -> None:
        """An epoch's floor has risen."""
        crc32 = checksum(numbering.ordinal, numbering.epoch, numbering.floor)
        self.db.execute(
            "UPDATE epochs SET floor = ?, crc32 = ? WHERE epoch = ?", (numbering.floor, crc32, numbering.epoch)
        )

    def forget(self, epoch: str) -> None:
        """Nothing is left of an epoch. Its row stays, so that a file of it that turns up again is known to be gone."""
        for table in ("cursors", "renewals"):
            self.db.execute(f"DELETE FROM {table} WHERE epoch = ?", (epoch,))

    def renewals(self) -> list[Renewal]:
        """Numbers that were, or have to be, given anew. Raises BufferDamaged on a wrong checksum."""
        found = []
        for *fields, crc32 in self.db.execute(f"SELECT {RENEWAL}, crc32 FROM renewals"):
            if checksum(*fields) != crc32:
                raise BufferDamaged(f"{FILE}: the row of renewed numbers of epoch {fields[0]} has a wrong checksum")
            found.append(Renewal(*fields))
        return found

    def store_renewal(self, renewal: Renewal) -> None:
        """How far they are."""
        fields = astuple(renewal)
        self.db.execute(
            f"INSERT OR REPLACE INTO renewals ({RENEWAL}, crc32) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*fields, checksum(*fields)),
        )

    def unasked(self) -> dict[str, tuple[str, int]]:
        """By target the epoch and the first number that its broker was not asked about. A wrong row is left out."""
        rows = self.db.execute("SELECT target, epoch, first, crc32 FROM unasked")
        return {
            target: (epoch, first) for target, epoch, first, crc32 in rows if checksum(target, epoch, first) == crc32
        }

    def store_unasked(self, target: str, epoch: str, first: int) -> None:
        """From this number on the target's broker was not asked."""
        self.db.execute(
            "INSERT OR REPLACE INTO unasked VALUES (?, ?, ?, ?)", (target, epoch, first, checksum(target, epoch, first))
        )

    def store_asked(self, targets: Iterable[str]) -> None:
        """The brokers of these targets were asked."""
        self.db.executemany("DELETE FROM unasked WHERE target = ?", [(target,) for target in targets])

    def segments(self) -> list[Entry]:
        """All listed segments, sealed or not."""
        rows = self.db.execute(f"SELECT {ENTRY} FROM segments ORDER BY epoch, first")
        return [
            Entry(epoch, first, last, size, frames, readings, t0, t1, digest, bool(sealed))
            for epoch, first, last, size, frames, readings, t0, t1, digest, sealed in rows
        ]

    def list_segment(self, entry: Entry) -> None:
        """A segment is there, or is sealed now."""
        self.db.execute(
            f"INSERT OR REPLACE INTO segments ({ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                entry.epoch, entry.first, entry.last, entry.size_bytes, entry.frames, entry.readings, entry.t0,
                entry.t1, entry.hash, int(entry.sealed),
            ),
        )  # fmt: skip

    def drop_segment(self, epoch: str, first: int) -> None:
        """A segment is not there any more."""
        self.db.execute("DELETE FROM segments WHERE epoch = ? AND first = ?", (epoch, first))

    def lists(self, epoch: str, first: int) -> bool:
        """Whether a segment is listed."""
        found = self.db.execute("SELECT 1 FROM segments WHERE epoch = ? AND first = ?", (epoch, first))
        return found.fetchone() is not None

    def drop_unsealed(self) -> None:
        """No segment takes commits now."""
        self.db.execute("DELETE FROM segments WHERE sealed = 0")

    def marks(self) -> list[Mark]:
        """The stored cursors. One with a wrong checksum counts as nothing acknowledged: a duplicate, not a loss."""
        found = []
        for target, epoch, since, upto, above, crc32 in self.db.execute(
            "SELECT target, epoch, since, upto, above, crc32 FROM cursors"
        ):
            if checksum(target, epoch, since, upto, above) == crc32:
                pairs = tuple((a, b) for a, b in json.loads(above))
                found.append(Mark(target, epoch, since, upto, pairs))
            else:
                found.append(Mark(target, epoch, 1, 0, ()))
        return found

    def store_marks(self, marks: Iterable[Mark]) -> None:
        """Cursors as they are now."""
        for mark in marks:
            above = json.dumps([list(pair) for pair in mark.above], separators=(",", ":"))
            crc32 = checksum(mark.target, mark.epoch, mark.since, mark.upto, above)
            self.db.execute(
                "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?)",
                (mark.target, mark.epoch, mark.since, mark.upto, above, crc32),
            )

    def keep_tables(self, tables: Mapping[bytes, bytes]) -> None:
        """Tag tables by hash."""
        self.db.executemany("INSERT OR IGNORE INTO tables VALUES (?, ?)", tables.items())

    def mend_table(self, key: bytes, document: bytes) -> None:
        """In the place of what is stored under this hash."""
        self.db.execute("INSERT OR REPLACE INTO tables VALUES (?, ?)", (key, document))

    def table(self, key: bytes) -> bytes | None:
        """The document of a tag table, as it is stored."""
        row = self.db.execute("SELECT document FROM tables WHERE hash = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def table_keys(self) -> set[bytes]:
        """The hashes of all tag tables."""
        return {row[0] for row in self.db.execute("SELECT hash FROM tables")}

    def box(self) -> tuple[str, bool, int]:
        """Identity of the box, whether the last shutdown was clean, and a wall time that has passed (µs)."""
        row = self.db.execute("SELECT identity, clean, wall_us FROM box").fetchone()
        return ("", True, 0) if row is None else (row[0], bool(row[1]), row[2])

    def set_box(self, identity: str, clean: bool, wall_us: int) -> None:
        """The same, for the next start."""
        self.db.execute("INSERT OR REPLACE INTO box VALUES (1, ?, ?, ?)", (identity, int(clean), wall_us))

    def set_clean(self) -> None:
        """Everything is committed and sealed."""
        self.db.execute("UPDATE box SET clean = 1")

    def set_wall(self, wall_us: int) -> None:
        """A wall time that was believed has passed."""
        self.db.execute("UPDATE box SET wall_us = max(wall_us, ?)", (wall_us,))

    def start(self) -> Start:
        """The last start; number 0 for none."""
        row = self.db.execute("SELECT boot, wall_us, mono_us, clock FROM boots ORDER BY boot DESC LIMIT 1").fetchone()
        return Start(0, 0, 0, 0) if row is None else Start(*row)

    def add_boot(self, boot: int, kernel: str, wall_us: int, mono_us: int, clock: int) -> None:
        """A start."""
        self.db.execute("INSERT INTO boots VALUES (?, ?, ?, ?, ?, NULL, NULL)", (boot, kernel, wall_us, mono_us, clock))

    def boots(self) -> list[tuple[int, str, int | None, int | None]]:
        """The last starts: number, the kernel's id, and wall and monotonic time (µs) of a moment that was known."""
        rows = self.db.execute(
            "SELECT boot, kernel, set_wall_us, set_mono_us FROM boots ORDER BY boot DESC LIMIT ?", (BOOTS_MAX,)
        ).fetchall()
        return rows[::-1]

    def set_clock(self, boot: int, wall_us: int, mono_us: int) -> None:
        """The time of a start is known now, or better than before."""
        self.db.execute("UPDATE boots SET set_wall_us = ?, set_mono_us = ? WHERE boot = ?", (wall_us, mono_us, boot))
