"""Where the bytes of blocks lie in a segment's files: a reading of SQLite's file format of its own, without SQLite.

leaf of a table   type 0x0d, cells from the list at its head: size and row id as varints, payload, overflow page
payload           what does not fit goes on in a chain of overflow pages: u32 next page, bytes
journal           pages in frames, the last one of each that a commit reached counts
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from struct import unpack_from

WAL_HEAD, FRAME_HEAD = 32, 24
LEAF = 0x0D
FILE_HEAD = 100
PAGE_SIZE_AT, WAL_PAGE_SIZE_AT = 16, 8
INTEGER_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)
ONE, TEXT = 9, 12


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes offset..offset+size of a file that belong to the block which begins with a number."""

    path: Path
    offset: int
    size: int
    first: int


def pieces(segment: Path) -> list[Piece]:
    """All bytes of all blocks of a segment, journal and all."""
    pages = _Pages(segment)
    return [piece for number in pages.leaves(pages.root()) for piece in pages.blocks(number)]


class _Pages:
    """The pages of a segment, wherever they lie."""

    def __init__(self, segment: Path) -> None:
        wal = segment.with_name(segment.name + "-wal")
        self._content = {path: path.read_bytes() for path in (segment, wal) if path.exists()}
        journal = self._content.get(wal, b"")
        self._size = int.from_bytes(
            journal[WAL_PAGE_SIZE_AT : WAL_PAGE_SIZE_AT + 4] or self._content[segment][PAGE_SIZE_AT : PAGE_SIZE_AT + 2],
            "big",
        )
        self._places = {at // self._size + 1: (segment, at) for at in range(0, len(self._content[segment]), self._size)}
        waiting: dict[int, tuple[Path, int]] = {}
        for at in range(WAL_HEAD, len(journal) - FRAME_HEAD - self._size + 1, FRAME_HEAD + self._size):
            if journal[at + 8 : at + 16] != journal[16:24]:
                break
            number, commits = unpack_from(">II", journal, at)
            waiting[number] = (wal, at + FRAME_HEAD)
            if commits:
                self._places |= waiting
                waiting.clear()

    def _page(self, number: int) -> bytes:
        path, offset = self._places[number]
        return self._content[path][offset : offset + self._size]

    def root(self) -> int:
        """The first page of the table `blocks`, by the schema on page 1 and below it."""
        for number in self.leaves(1):
            page = self._page(number)
            for at, size, _ in _cells(page, FILE_HEAD if number == 1 else 0):
                name, root = _schema_row(page[at : at + min(size, len(page) - at)])
                if name == b"blocks":
                    return root
        raise ValueError("no table of blocks")

    def leaves(self, number: int) -> Iterator[int]:
        """The leaf pages of a table."""
        data, head = self._page(number), FILE_HEAD if number == 1 else 0
        if data[head] == LEAF:
            yield number
            return
        (count,) = unpack_from(">H", data, head + 3)
        for i in range(count):
            (at,) = unpack_from(">H", data, head + 12 + 2 * i)
            yield from self.leaves(unpack_from(">I", data, at)[0])
        yield from self.leaves(unpack_from(">I", data, head + 8)[0])

    def blocks(self, number: int) -> Iterator[Piece]:
        """The bytes of the blocks whose rows begin on a leaf."""
        for at, size, first in _cells(self._page(number), 0):
            yield from self._payload(number, at, size, first)

    def _payload(self, number: int, at: int, size: int, first: int) -> Iterator[Piece]:
        local_min, local = (self._size - 12) * 32 // 255 - 23, size
        if size > self._size - 35:
            local = local_min + (size - local_min) % (self._size - 4)
            local = local_min if local > self._size - 35 else local
        path, offset = self._places[number]
        yield Piece(path, offset + at, local, first)
        left = size - local
        following = unpack_from(">I", self._page(number), at + local)[0] if left else 0
        while left:
            path, offset = self._places[following]
            here = min(left, self._size - 4)
            yield Piece(path, offset + 4, here, first)
            left -= here
            following = unpack_from(">I", self._page(following), 0)[0]


def _schema_row(record: bytes) -> tuple[bytes, int]:
    """Name and root page of a row of the schema: type, name, table, root page, text."""
    head, at = _varint(record, 0)
    kinds = []
    while at < head:
        kind, at = _varint(record, at)
        kinds.append(kind)
    sizes = [(kind - TEXT) // 2 if kind >= TEXT else INTEGER_SIZES[kind] for kind in kinds]
    name, root = head + sizes[0], head + sum(sizes[:3])
    number = 1 if kinds[3] == ONE else int.from_bytes(record[root : root + sizes[3]], "big")
    return record[name : name + sizes[1]], number


def _cells(data: bytes, head: int) -> Iterator[tuple[int, int, int]]:
    """Where each cell's payload begins, its size, its row id."""
    (count,) = unpack_from(">H", data, head + 3)
    for i in range(count):
        (at,) = unpack_from(">H", data, head + 8 + 2 * i)
        size, at = _varint(data, at)
        row, at = _varint(data, at)
        yield at, size, row


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        value = value << 7 | data[at + i] & 0x7F
        if not data[at + i] & 0x80:
            return value, at + i + 1
    return value << 8 | data[at + 8], at + 9
