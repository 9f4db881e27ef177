"""Columns: readings one by one into the columns of a frame."""

from struct import Struct

from tidegate_drivers.opcua.values import EMPTY

U32, I64 = Struct("<I"), Struct("<q")


class Columns:
    """Grows by readings in the order they came; `side` takes the texts. A column whose items are all equal is one."""

    def __init__(self) -> None:
        self.count = 0
        self.side = bytearray()
        self._tags = bytearray()
        self._source = bytearray()
        self._server = bytearray()
        self._status = bytearray()
        self._values = bytearray()
        self._timed = False

    def add(self, tag: int, source_us: int, server_us: int, status: int, slot: bytes = EMPTY) -> None:
        """One reading: index of the tag, times in µs since 1970 (a server time of 0: there is none), its StatusCode."""
        self.count += 1
        self._tags += U32.pack(tag)
        self._source += I64.pack(source_us)
        self._server += I64.pack(server_us)
        self._status += U32.pack(status)
        self._values += slot
        self._timed = self._timed or server_us != 0

    @property
    def tags(self) -> bytes:
        """Indexes of tags, u32."""
        return _column(self._tags, 4)

    @property
    def source_us(self) -> bytes:
        """Source times, i64."""
        return _column(self._source, 8)

    @property
    def server_us(self) -> bytes:
        """Server times, i64; empty where no reading has one."""
        return _column(self._server, 8) if self._timed else b""

    @property
    def status(self) -> bytes:
        """StatusCodes, u32."""
        return _column(self._status, 4)

    @property
    def values(self) -> bytes:
        """Slots of 8 bytes."""
        return _column(self._values, 8)


def _column(items: bytearray, width: int) -> bytes:
    """All items, or the one that they all are."""
    first = bytes(items[:width])
    return first if items == first * (len(items) // width) else bytes(items)
