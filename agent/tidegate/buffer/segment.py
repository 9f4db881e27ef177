"""Segment: one SQLite file of blocks. Written by the writer alone; sealed ones are read with `immutable`.

    made with its first block ──▶ appended to ──▶ sealed: WAL folded in, no journal left, never changed again

It does not know which number comes next, nor who reads.
"""

import os
import re
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.buffer.block import Block, decode
from tidegate.errors import BufferDamaged, FrameDamaged
from tidegate.model.frame import Frame
from tidegate.model.gap import Why

# Small pages: a commit of few readings writes few bytes. Builds of old made larger ones, with comments in the schema;
# without them all of it fits the first page.
PAGE_BYTES, OLD_PAGE_BYTES = 1024, 4096
TEXT = Path(__file__).with_name("segment.sql").read_text()
SCHEMAS = {PAGE_BYTES: re.sub(r"\s*--.*", "", TEXT), OLD_PAGE_BYTES: TEXT}
VERSION = 1
PAGE_BLOCKS_MAX = 64
PROBES_MAX = 62  # Doubling steps over damaged rows: reaches past every 63-bit number.
BUSY_S = 5.0
WAL_BYTES_KEPT = 1 << 20
# Its journal is folded in early, and begins anew then: a sync of a file that does not grow costs the file system less.
CHECKPOINT_PAGES = 128
JOURNAL_BYTES = 144 << 10
JOURNAL_SHARE = 32  # At most this share of a segment is laid out for it.
CACHE_KB = 512
REFUSALS = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    }
)
READ_ERRORS = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})

COLUMNS = "first, last, frames, readings, t0, t1, codec, crc32, prev, data"


@dataclass(frozen=True, slots=True)
class Meta:
    """What a segment says about itself."""

    epoch: str
    first: int
    before: bytes
    made_us: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Numbers first..last that can't be read: `readings` and times as far as the row still tells."""

    first: int
    last: int
    what: str
    readings: int = 0
    t0: int = 0
    t1: int = 0
    why: Why = Why.CORRUPT


@dataclass(frozen=True, slots=True)
class Found:
    """Frames of one segment up to number `upto`, and what of them is damaged."""

    frames: tuple[tuple[int, Frame], ...]
    upto: int
    damaged: tuple[Damage, ...] = ()


def is_refusal(error: sqlite3.Error) -> bool:
    """Whether the disk or its owner refused, so that the file itself need not be damaged."""
    code = getattr(error, "sqlite_errorcode", 0)
    # A read that fails may be a bad sector, and is asked again; any other I/O error says nothing of what is there.
    refused = code & 0xFF in REFUSALS or (code & 0xFF == sqlite3.SQLITE_IOERR and code not in READ_ERRORS)
    return isinstance(error, sqlite3.OperationalError) and refused


def connect(path: Path, checkpoint_pages: int = CHECKPOINT_PAGES) -> sqlite3.Connection:
    """The one connection that opens a file: WAL, every commit synced. Raises sqlite3.Error.

    Since it is the only one, the index of the WAL lies in its memory, not in a file that goes to the disk too.
    """
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        for pragma in (
            f"page_size={PAGE_BYTES}",
            "secure_delete=0",
            "trusted_schema=0",
            "cell_size_check=1",
            "mmap_size=0",
            # What is written is hardly ever read again: of the usual 2 MB only the tree above the blocks is of use.
            f"cache_size=-{CACHE_KB}",
            "locking_mode=EXCLUSIVE",
            f"journal_size_limit={WAL_BYTES_KEPT}",
            f"wal_autocheckpoint={checkpoint_pages}",
            "journal_mode=WAL",
            "synchronous=FULL",
        ):
            db.execute(f"PRAGMA {pragma}").fetchall()
    except BaseException:
        db.close()
        raise
    return db


def look(path: Path) -> sqlite3.Connection:
    """A connection that only reads a sealed segment, which by being sealed never changes. Raises sqlite3.Error."""
    where = path.absolute().as_uri() + "?mode=ro&immutable=1"
    return sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)


def sync_folder(folder: Path) -> None:
    """Make names that were made or removed in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Segment:
    """The segment that takes commits. Raises sqlite3.Error when the disk does not do its part."""

    def __init__(self, path: Path, db: sqlite3.Connection, tables: set[bytes]) -> None:
        self.path = path
        self._db = db
        self._tables = tables

    @classmethod
    def make(
        cls, path: Path, meta: Meta, blocks: Sequence[Block], tables: Mapping[bytes, bytes], size_bytes: int = 0
    ) -> "Segment":
        """A new file, with its first blocks in the transaction that makes it; it will be about `size_bytes` large."""
        db = connect(path)
        try:
            db.executescript("BEGIN IMMEDIATE;\n" + SCHEMAS[PAGE_BYTES])
            db.execute("INSERT INTO meta VALUES (?, ?, ?, ?)", (meta.epoch, meta.first, meta.before, meta.made_us))
            segment = cls(path, db, set())
            segment._insert(blocks, tables)
            db.execute("COMMIT")
            sync_folder(path.parent)
        except BaseException:
            db.close()
            raise
        _lay_journal(path, min(JOURNAL_BYTES, size_bytes // JOURNAL_SHARE))
        return segment

    @classmethod
    def reopen(cls, path: Path) -> "Segment":
        """A file that was not sealed: SQLite folds in what its WAL proves."""
        db = connect(path)
        try:
            tables = {row[0] for row in db.execute("SELECT hash FROM tables")}
        except BaseException:
            db.close()
            raise
        return cls(path, db, tables)

    @property
    def db(self) -> sqlite3.Connection:
        """For reading in the writer's thread."""
        return self._db

    def append(self, blocks: Sequence[Block], tables: Mapping[bytes, bytes]) -> None:
        """One transaction: blocks, and those of the tables that this segment has not yet."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._insert(blocks, tables)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _insert(self, blocks: Sequence[Block], tables: Mapping[bytes, bytes]) -> None:
        new = {key: document for key, document in tables.items() if key not in self._tables}
        self._db.executemany("INSERT OR IGNORE INTO tables VALUES (?, ?)", new.items())
        self._db.executemany(
            f"INSERT INTO blocks ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(b.first, b.last, b.frames, b.readings, b.t0, b.t1, b.codec, b.crc32, b.prev, b.data) for b in blocks],
        )
        self._tables |= new.keys()

    @property
    def size_bytes(self) -> int:
        """What it takes on disk now, journal and all."""
        return sum(size_of(self.path.with_name(self.path.name + end)) for end in ("", "-wal", "-shm"))

    def seal(self) -> int:
        """Fold the WAL in, leave one file that nobody changes any more, close it. Returns its bytes."""
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise sqlite3.OperationalError(f"{self.path.name}: somebody reads it, it can't be sealed")
        (mode,) = self._db.execute("PRAGMA journal_mode=DELETE").fetchone()
        if mode != "delete":
            raise sqlite3.OperationalError(f"{self.path.name}: its journal stays in mode {mode}")
        self._db.close()
        sync_folder(self.path.parent)
        return size_of(self.path)

    def close(self) -> None:
        """Let go of it as it is."""
        self._db.close()


def _lay_journal(path: Path, size_bytes: int) -> None:
    """Give a journal the length that it will have. SQLite takes zeros for the end of it; the next commit syncs them."""
    with suppress(OSError):
        descriptor = os.open(path.with_name(path.name + "-wal"), os.O_WRONLY | os.O_CLOEXEC)
        try:
            end = os.fstat(descriptor).st_size
            os.pwrite(descriptor, bytes(max(0, size_bytes - end)), end)
        finally:
            os.close(descriptor)


def seal_file(path: Path) -> int:
    """Seal a file that nobody has open; returns its bytes. A failure leaves it as unlocked as it was."""
    segment = Segment.reopen(path)
    try:
        return segment.seal()
    except BaseException:
        segment.close()
        raise


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def meta_of(db: sqlite3.Connection) -> Meta:
    """What a segment says about itself. Raises BufferDamaged when it is none that this build reads."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        raise BufferDamaged(f"a segment of version {version}; this build reads version {VERSION}")
    row = db.execute("SELECT epoch, first, before, made_us FROM meta").fetchone()
    if row is None:
        raise BufferDamaged("a segment that does not say whose it is")
    return Meta(*row)


def blocks_from(db: sqlite3.Connection, first: int, last: int) -> Generator[Block, None, None]:
    """The blocks that hold any of first..last, rising, one at a time; at most PAGE_BLOCKS_MAX.

    Close it when it is not read to its end: an open statement would keep the segment from being sealed.
    """
    with closing(db.cursor()) as found:
        found.execute(
            f"SELECT {COLUMNS} FROM blocks WHERE first <= ?2 AND first >= "
            "coalesce((SELECT max(first) FROM blocks WHERE first <= ?1), ?1) ORDER BY first LIMIT ?3",
            (first, last, PAGE_BLOCKS_MAX),
        )
        for row in found:
            yield Block(*row)


def collect(db: sqlite3.Connection, first: int, last: int, bytes_max: int) -> Found:
    """Frames first..last of one segment, until about `bytes_max` of them (at least one). Damage is told, not raised."""
    page = _Page(first, last, bytes_max)
    try:
        with closing(blocks_from(db, first, last)) as blocks:
            for block in blocks:
                if page.take(block):
                    return page.found()
        if page.at == first or not _further(db, page.at, last):
            page.miss(Damage(page.at, last, "no block holds these numbers", why=Why.LOST))
    except sqlite3.DatabaseError as error:
        page.miss(Damage(page.at, _past(db, page.at, last), str(error)))
    return page.found()


class _Page:
    """What `collect` has so far; `at` is the next number."""

    def __init__(self, first: int, last: int, bytes_max: int) -> None:
        self.at = first
        self._last = last
        self._bytes_left = bytes_max
        self._frames: list[tuple[int, Frame]] = []
        self._damaged: list[Damage] = []

    def take(self, block: Block) -> bool:
        """The frames of the next block; True when the page is full or at its end."""
        if block.last < self.at:
            return False
        if block.first > self.at:
            self.miss(Damage(self.at, block.first - 1, "no block holds these numbers", why=Why.LOST))
        try:
            listed = decode(block)
        except BufferDamaged as error:
            end = min(block.last, self._last)
            self.miss(Damage(self.at, end, str(error), block.readings, block.t0, block.t1))
            return self.at > self._last
        for number, data in listed[self.at - block.first : self._last + 1 - block.first]:
            if self._frames and len(data) > self._bytes_left:
                return True
            try:
                frame = Frame.decode(data)
            except (FrameDamaged, UnicodeDecodeError) as error:
                self.miss(Damage(number, number, str(error), 0, block.t0, block.t1))
                continue
            self._frames.append((number, frame))
            self._bytes_left -= len(data)
            self.at = number + 1
        return self.at > self._last

    def miss(self, damage: Damage) -> None:
        """Numbers that can't be read."""
        self._damaged.append(damage)
        self.at = damage.last + 1

    def found(self) -> Found:
        """The page."""
        return Found(tuple(self._frames), self.at - 1, tuple(self._damaged))


def _further(db: sqlite3.Connection, at: int, last: int) -> bool:
    """Whether the page ended for its length only, and blocks go on at number `at`."""
    return db.execute("SELECT 1 FROM blocks WHERE first BETWEEN ? AND ?", (at, last)).fetchone() is not None


def _past(db: sqlite3.Connection, at: int, last: int) -> int:
    """The last number of a stretch that can't be read from `at` on: steps over it, doubling, until a row answers."""
    for power in range(PROBES_MAX):
        beyond = at + (1 << power)
        if beyond > last:
            break
        try:
            row = db.execute(
                f"SELECT {COLUMNS} FROM blocks WHERE first >= ? ORDER BY first LIMIT 1", (beyond,)
            ).fetchone()
        except sqlite3.DatabaseError:
            continue
        return min(last, row[0] - 1) if row is not None else last
    return last
