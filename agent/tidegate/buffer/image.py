"""Image: the bytes of a database as far as the disk gives them, its journal folded in. Damage is judged by them.

    a read fails       SQLite calls a healthy file malformed: so the bytes are asked for first, with patience
    a journal breaks   SQLite forgets all commits past the first wrong checksum, silently: here they are kept

Whether the last commit was cut off or damaged later can't be told: it does not count then, and the end is not proven.
(The format is SQLite's file format, section 4, "The Write-Ahead Log".)
"""

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

# Pages of the files that this build makes, and of those that older ones made.
PAGE_SIZES = (1024, 4096)
PAGE_SIZE_AT = 16
READ_BYTES = 4096
PATIENCE_S = 3.0
PAUSE_S = 0.1
CHUNK_BYTES = 1 << 20
WAL = "-wal"
WAL_HEAD = Struct(">IIIIIIII")  # magic, version, page size, checkpoints, two salts, two sums
FRAME_HEAD = Struct(">IIIIII")  # page, pages after the commit (0: none), two salts, two sums
BIG_ENDIAN = 1  # Lowest bit of the magic: how the words under the checksum are read.
JOURNAL_MODE_AT = 18
NO_WAL = b"\x01\x01"
MAGIC = 0x377F0683
STRANGE_MAX = 2
MASK = 0xFFFFFFFF


def await_bytes(path: Path, patience_s: float = PATIENCE_S) -> bool:
    """Whether every byte of a database and its journal can be read, within some time. Blocks."""
    until_s = time.monotonic() + patience_s
    while not _can_be_read(path):
        if time.monotonic() >= until_s:
            return False
        time.sleep(PAUSE_S)
    return True


def _can_be_read(path: Path) -> bool:
    try:
        for name in (path, path.with_name(path.name + WAL)):
            with suppress(FileNotFoundError), name.open("rb", buffering=0) as file:
                while file.read(CHUNK_BYTES):
                    pass
    except OSError:
        return False
    return True


def image(path: Path) -> bytes:
    """A database in one piece, without a journal; pages that the disk does not give are zeros. Raises OSError."""
    content = _content(path)
    size = page_bytes(content)
    pages, _ = _journal(path, len(content) // size)
    size = next((len(data) for data in pages.values()), size)
    for page, data in pages.items():
        start = (page - 1) * size
        if len(content) < start:
            content.extend(bytes(start - len(content)))
        content[start : start + size] = data
    del content[len(content) // size * size :]
    if len(content) >= size:
        content[JOURNAL_MODE_AT : JOURNAL_MODE_AT + 2] = NO_WAL
    return bytes(content)


def page_bytes(content: bytes | bytearray) -> int:
    """How large the pages of a database are, by its first page; the usual size where that makes no sense."""
    said = int.from_bytes(content[PAGE_SIZE_AT : PAGE_SIZE_AT + 2], "big")
    return said if said in PAGE_SIZES else PAGE_SIZES[0]


def opened(content: bytes) -> sqlite3.Connection:
    """A connection to a database that lies in memory; to an empty one where SQLite does not take it for any."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    if content:
        with suppress(sqlite3.Error):
            db.deserialize(content)
    return db


def broken_journal(path: Path) -> str:
    """Why SQLite would not see all commits that its journal holds; "" when it would."""
    return _journal(path)[1]


def _content(path: Path) -> bytearray:
    content = bytearray()
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        for at in range(0, size, READ_BYTES):
            wanted = min(READ_BYTES, size - at)
            try:
                data = os.pread(descriptor, wanted, at)
            except OSError:
                data = b""
            content += data.ljust(wanted, b"\0")
    finally:
        os.close(descriptor)
    return content


@dataclass(frozen=True, slots=True)
class _Frame:
    """A page in a journal. `ours`: of this generation, not of the one before; `right`: SQLite sees nothing wrong.

    `flipped`: one bit of it, or of its sum, is not what it was.
    """

    page: int
    commits: bool
    ours: bool
    right: bool
    flipped: bool
    data: bytes


def _journal(path: Path, size_pages: int = 0) -> tuple[dict[int, bytes], str]:
    """Pages of all commits that a journal of a file so large holds, and whether SQLite would miss some of them."""
    name = path.with_name(path.name + WAL)
    try:
        content = bytes(_content(name))
    except FileNotFoundError:
        return {}, ""
    if len(content) < WAL_HEAD.size + FRAME_HEAD.size:
        return {}, ""
    frames = list(_frames(content))
    commits = [i for i, frame in enumerate(frames) if frame.ours and frame.commits]
    end, before = [-1, -1, *commits][:-3:-1]
    wrong = [i for i in range(end + 1) if not frames[i].right]
    # A kill may come between the head of the last page and the page itself; a bit that changed by itself is damage.
    cut_off = wrong == [end] and not frames[end].flipped
    damaged = (bool(wrong) and not cut_off) or (bool(commits) and not _head_is_right(content))
    broken = f"{name.name} is damaged" if damaged else ""
    if wrong and wrong[0] > before:
        # Half of a commit is worse than none of it.
        end = before
    pages_max = len(frames) + size_pages
    return {frame.page: frame.data for frame in frames[: end + 1] if 0 < frame.page <= pages_max}, broken


def _frames(content: bytes) -> Iterator[_Frame]:
    """The frames of a journal's own generation; what a longer one before it left lies behind them."""
    magic, *_, salt, pepper, one, two = WAL_HEAD.unpack_from(content)
    order, before = magic & BIG_ENDIAN, (one, two)
    salts = [salt, pepper]
    if not _head_is_right(content):
        order, salts = int(sys.byteorder == "big"), list(FRAME_HEAD.unpack_from(content, WAL_HEAD.size)[2:4])
    strange = 0
    size = _journal_page_bytes(content)
    for at in range(WAL_HEAD.size, len(content) - FRAME_HEAD.size - size + 1, FRAME_HEAD.size + size):
        page, commits, *its, one, two = FRAME_HEAD.unpack_from(content, at)
        data = content[at + FRAME_HEAD.size : at + FRAME_HEAD.size + size]
        # One flipped bit may lie in the salts of a frame, which its sum does not cover.
        strange = 0 if its == salts else strange + 1
        if strange == STRANGE_MAX:
            return
        right = _sums(content[at : at + 8] + data, before, order) == (one, two)
        flipped = (right and its != salts) or _one_bit_off(content[at : at + 8] + data, before, order, (one, two))
        if not right and its == salts:
            page, commits = _mended(content[at : at + 8], data, before, order, (one, two))
        yield _Frame(page, commits > 0, its == salts or right, its == salts and right, flipped, data)
        before = (one, two)


def _mended(head: bytes, data: bytes, before: tuple[int, int], order: int, wanted: tuple[int, int]) -> tuple[int, int]:
    """Page and size of a wrong frame: with one bit changed where that makes it right, else as they are."""
    number = int.from_bytes(head, "big")
    for bit in range(8 * len(head)):
        tried = (number ^ 1 << bit).to_bytes(len(head), "big")
        if _sums(tried + data, before, order) == wanted:
            head = tried
            break
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


def _one_bit_off(data: bytes, before: tuple[int, int], order: int, wanted: tuple[int, int]) -> bool:
    """Whether a sum is wrong, and right with one bit of the data or of itself changed.

    The sum is linear: what a bit adds to it depends on how many words follow, and on nothing else.
    """
    had = _sums(data, before, order)
    if had == wanted:
        return False
    off = ((wanted[0] - had[0]) & MASK, (wanted[1] - had[1]) & MASK)
    singles = {1 << bit for bit in range(32)}
    if (had[0] == wanted[0] and had[1] ^ wanted[1] in singles) or (
        had[1] == wanted[1] and had[0] ^ wanted[0] in singles
    ):
        return True
    even, odd = (1, 1), (0, 1)
    for _ in range(len(data) // 8):
        for one, two in (even, odd):
            for bit in range(32):
                added = (one << bit & MASK, two << bit & MASK)
                if off == added or off == (-added[0] & MASK, -added[1] & MASK):
                    return True
        even, odd = (((one + two) & MASK, (one + 2 * two) & MASK) for one, two in (even, odd))
    return False


def _journal_page_bytes(content: bytes) -> int:
    """How large its pages are: by its head, or where that is damaged, by where another frame has the same salts."""
    said = WAL_HEAD.unpack_from(content)[2]
    if said in PAGE_SIZES and _head_is_right(content):
        return int(said)
    salts = content[WAL_HEAD.size + 8 : WAL_HEAD.size + 16]
    for size in PAGE_SIZES:
        second = WAL_HEAD.size + FRAME_HEAD.size + size
        if second == len(content) or content[second + 8 : second + 16] == salts:
            return size
    return PAGE_SIZES[0]


def _head_is_right(content: bytes) -> bool:
    (magic, *_, one, two) = WAL_HEAD.unpack_from(content)
    return magic | BIG_ENDIAN == MAGIC and _sums(content[:24], (0, 0), magic & BIG_ENDIAN) == (one, two)


def _sums(data: bytes, before: tuple[int, int], big_endian: int) -> tuple[int, int]:
    words = Struct(f"{'>' if big_endian else '<'}{len(data) // 4}I").unpack(data)
    one, two = before
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & MASK
        two = (two + odd + one) & MASK
    return one, two
