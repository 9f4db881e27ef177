"""Frame: the unit that flows. A batch of readings of one device in columns, or one gap.

    byte  0  version = 1                  32  tag-table hash (8 bytes)
          1  kind                         40  boot number u32
          2  clock state                  44  reserved, 0 (u32)
          3  origin                       48  monotonic µs i64
          4  columns that are constant    56  gateway time µs i64
          5  reserved, 0                  64  device name, UTF-8
          6  length of device name u16     …  tags u32, source time i64, server time i64, status u32, values 8 bytes
          8  count u32                     …  side bytes
         12  length of side bytes u32      …  CRC-32 (IEEE 802.3) of all before it, u32
         16  reserved, 0 (16 bytes)

All little-endian. A column holds `count` items, or one that holds for all of them: bit 0 tags, 1 source time,
2 server time, 3 status, 4 values; bit 7 says that there is no server time. A gap has count 0, no columns, and its
ledger row as JSON in the side bytes. It does not know what the values mean: that is the tag table's.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING

from tidegate.clock import ClockState
from tidegate.model.status import GOOD
from tidegate.model.tag import TagTable, Type
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate.model import _frame_py as twin
else:
    twin = choose("tidegate.model._frame")

FRAME_BYTES_MAX = 16 * 1024 * 1024

U32 = Struct("<I")
I64 = Struct("<q")
U64 = Struct("<Q")
F32 = Struct("<f")
F64 = Struct("<d")
PAIR = Struct("<II")

Value = bool | int | float | str | None


class Kind(IntEnum):
    """What a frame carries."""

    DATA = 1
    GAP = 2
    EVENT = 3


class Origin(IntEnum):
    """Where the values come from: read just now, from the machine's history, or put in their place by us."""

    LIVE = 0
    BACKFILL = 1
    SUBSTITUTED = 2


@dataclass(frozen=True, slots=True)
class Frame:
    """A columnar batch of one device.

    Columns are little-endian bytes of `count` items, or of one item that holds for all: `tags` u32 indexes into the
    tag table, `source_us` i64 (time of the machine or of its reply), `server_us` i64 (b"" = there is none), `status`
    u32 OPC UA StatusCode, `values` 8-byte slots (see Type). Strings lie in `side`. `table` is the 8-byte hash.
    """

    device: str
    table: bytes
    count: int
    boot: int
    mono_us: int
    gateway_us: int
    tags: bytes
    source_us: bytes
    status: bytes
    values: bytes
    side: bytes = b""
    server_us: bytes = b""
    kind: int = Kind.DATA
    clock: int = ClockState.SET
    origin: int = Origin.LIVE

    def encode(self) -> bytes:
        """The frame's bytes, version 1, with checksum. Raises ValueError when a column has the wrong length."""
        return twin.encode(
            self.kind, self.clock, self.origin, self.device.encode(), self.table, self.count, self.boot,
            self.mono_us, self.gateway_us, self.tags, self.source_us, self.server_us, self.status, self.values,
            self.side,
        )  # fmt: skip

    @classmethod
    def decode(cls, data: bytes) -> "Frame":
        """The frame of these bytes, all of them. Raises FrameDamaged on a wrong checksum, length or version."""
        (
            kind, clock, origin, device, table, count, boot, mono_us, gateway_us, tags, source_us, server_us, status,
            values, side,
        ) = twin.decode(data)  # fmt: skip
        return cls(
            device.decode(), table, count, boot, mono_us, gateway_us, tags, source_us, status, values, side,
            server_us, kind, clock, origin,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one tag at one time: an object of the edges (CLI, console, tests), never of the data path."""

    device: str
    tag: str
    value: Value
    source_us: int
    server_us: int | None
    status: int


def readings(frame: Frame, table: TagTable) -> Iterator[Reading]:
    """The readings of a frame one by one, for people and tests. `table` must be the one it was taken under."""
    for i in range(frame.count):
        tag = table.tags[U32.unpack_from(frame.tags, place(frame.tags, i, 4))[0]]
        server = I64.unpack_from(frame.server_us, place(frame.server_us, i, 8))[0] if frame.server_us else None
        at = place(frame.values, i, 8)
        yield Reading(
            frame.device,
            tag.name,
            unpack_value(tag.type, frame.values[at : at + 8], frame.side),
            I64.unpack_from(frame.source_us, place(frame.source_us, i, 8))[0],
            server,
            U32.unpack_from(frame.status, place(frame.status, i, 4))[0],
        )


def place(column: bytes, index: int, width: int) -> int:
    """Byte offset of an item in a column that may be constant."""
    return 0 if len(column) == width else index * width


def unpack_value(kind: Type, slot: bytes, side: bytes = b"") -> Value:
    """The value in an 8-byte slot."""
    if kind == Type.BOOL:
        return bool(I64.unpack(slot)[0])
    if kind == Type.FLOAT64:
        return float(F64.unpack(slot)[0])
    if kind == Type.FLOAT32:
        return float(F32.unpack_from(slot)[0])
    if kind == Type.STRING:
        offset, length = PAIR.unpack(slot)
        return side[offset : offset + length].decode("utf-8", "replace")
    return int((U64 if kind in UNSIGNED else I64).unpack(slot)[0])


def pack_value(kind: Type, value: bool | int | float | str, side: bytearray) -> bytes:
    """The 8-byte slot of a value; a string is appended to `side`. Raises struct.error when it does not fit."""
    if kind == Type.STRING:
        text = str(value).encode()
        side += text
        return PAIR.pack(len(side) - len(text), len(text))
    if kind == Type.FLOAT64:
        return F64.pack(float(value))
    if kind == Type.FLOAT32:
        return F32.pack(float(value)) + bytes(4)
    return (U64 if kind in UNSIGNED else I64).pack(int(value))


UNSIGNED = frozenset({Type.UINT8, Type.UINT16, Type.UINT32, Type.UINT64})
ALL_GOOD = U32.pack(GOOD)
