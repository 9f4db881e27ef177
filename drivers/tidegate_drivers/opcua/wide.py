"""Wide: columns item by item, where what came from the decoder is not yet what a frame holds. It knows no tags.

It is the slow way: values put in between, times that are missing or shifted, readings left out, another order.
"""

import sys
from array import array
from collections.abc import Collection, Sequence

from tidegate_drivers.opcua.notice import Columns

SLOT = 8


class Wide:
    """Columns of equal length: tags u32, times i64 us (0: none), status u32, slots of 8 bytes, side bytes."""

    def __init__(self, tags: bytes, columns: Columns) -> None:
        count = columns.count
        self.tags = _array("I", tags, count)
        self.source = _array("q", columns.source_us, count)
        self.server = _array("q", columns.server_us or bytes(SLOT), count)
        self.status = _array("I", columns.status, count)
        self.values = bytearray(columns.values)
        self.side = bytearray(columns.side)

    def __len__(self) -> int:
        return len(self.tags)

    def insert(self, at: int, tag: int, source_us: int, server_us: int, status: int, slot: bytes) -> None:
        """One reading before that at `at`."""
        self.tags.insert(at, tag)
        self.source.insert(at, source_us)
        self.server.insert(at, server_us)
        self.status.insert(at, status)
        self.values[SLOT * at : SLOT * at] = slot

    def date(self, default_us: int, shift_us: int) -> None:
        """A source time that is missing is the server's, else `default_us`; all times but that are shifted."""
        for at, source_us in enumerate(self.source):
            server_us = self.server[at]
            if server_us:
                self.server[at] = server_us - shift_us
            self.source[at] = (source_us or server_us) - shift_us if source_us or server_us else default_us

    def leave_out(self, seen: Collection[tuple[int, int | str]]) -> None:
        """Leave out those of which (tag, source time) is in `seen`."""
        self.keep([at for at in range(len(self)) if (self.tags[at], self.source[at]) not in seen])

    def sort(self) -> None:
        """In ascending order of tags."""
        self.keep(sorted(range(len(self)), key=self.tags.__getitem__))

    def keep(self, order: Sequence[int]) -> None:
        """Those at these places, in this order."""
        for name in ("tags", "source", "server", "status"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, [column[at] for at in order]))
        self.values = bytearray(b"".join(self.values[SLOT * at : SLOT * (at + 1)] for at in order))


def packed(column: "array[int]") -> bytes:
    """As a frame has it: one item where all are the same."""
    column = column[:1] if column.count(column[0]) == len(column) else column
    return _little(column).tobytes()


def _array(code: str, data: bytes, count: int) -> "array[int]":
    made = array(code)
    made.frombytes(data * count if len(data) == made.itemsize and count != 1 else data)
    return _little(made)


def _little(column: "array[int]") -> "array[int]":
    """Frames are little-endian, whatever the machine is."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column
