"""Bytes of a frame, pure: the specification of `_frame_c.pyx` and its oracle in the tests. Layout: frame.py."""

import zlib
from struct import Struct, error

from tidegate.errors import FrameDamaged

HEADER = Struct("<BBBBBBHII16x8sI4xqq")
CRC = Struct("<I")
VERSION = 1
WIDTHS = (4, 8, 8, 4, 8)
NO_SERVER_TIME = 0x80

Parts = tuple[int, int, int, bytes, bytes, int, int, int, int, bytes, bytes, bytes, bytes, bytes, bytes]


def encode(
    kind: int, clock: int, origin: int, device: bytes, table: bytes, count: int, boot: int, mono_us: int,
    gateway_us: int, tags: bytes, source_us: bytes, server_us: bytes, status: bytes, values: bytes, side: bytes,
) -> bytes:  # fmt: skip
    """One frame's bytes. Raises ValueError when a column has neither `count` items nor one, or a number is too big."""
    columns = (tags, source_us, server_us, status, values)
    constant = 0 if server_us else NO_SERVER_TIME
    for bit, (column, width) in enumerate(zip(columns, WIDTHS, strict=True)):
        if bit == 2 and not server_us:
            continue
        if count > 1 and len(column) == width:
            constant |= 1 << bit
        elif len(column) != width * count:
            raise ValueError(f"column {bit} has {len(column)} bytes for {count} readings")
    try:
        header = HEADER.pack(
            VERSION, kind, clock, origin, constant, 0, len(device), count, len(side), table, boot, mono_us, gateway_us
        )
    except error as wrong:
        raise ValueError(f"a frame's header does not hold this: {wrong}") from None
    if len(table) != 8:
        raise ValueError(f"a tag-table hash has 8 bytes, not {len(table)}")
    body = b"".join((header, device, *columns, side))
    return body + CRC.pack(zlib.crc32(body))


def decode(data: bytes) -> Parts:
    """The parts of one frame in the order that `encode` takes them. Raises FrameDamaged."""
    end = len(data) - CRC.size
    if end < HEADER.size:
        raise FrameDamaged(f"a frame of {len(data)} bytes is too short")
    if data[0] != VERSION:
        raise FrameDamaged(f"a frame of version {data[0]}; this build reads version {VERSION}")
    if CRC.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        raise FrameDamaged("a frame's checksum is wrong")
    (
        _, kind, clock, origin, constant, _, device_length, count, side_length, table, boot, mono_us, gateway_us,
    ) = HEADER.unpack_from(data)  # fmt: skip
    lengths = [width if count > 1 and constant >> bit & 1 else width * count for bit, width in enumerate(WIDTHS)]
    if constant & NO_SERVER_TIME:
        lengths[2] = 0
    if HEADER.size + device_length + sum(lengths) + side_length != end:
        raise FrameDamaged("a frame's length is not what its header says")
    at = HEADER.size
    parts = []
    for length in (device_length, *lengths, side_length):
        parts.append(data[at : at + length])
        at += length
    device, tags, source_us, server_us, status, values, side = parts
    return (
        kind, clock, origin, device, table, count, boot, mono_us, gateway_us, tags, source_us, server_us, status,
        values, side,
    )  # fmt: skip
