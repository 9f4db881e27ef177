"""Joined: the frames of one read that took several requests, as one frame. All are of one device and table."""

from collections.abc import Sequence
from dataclasses import replace
from struct import Struct

from tidegate.model.frame import U32, Frame, place
from tidegate.model.tag import Type

PAIR = Struct("<II")
SLOT = 8


def joined(frames: Sequence[Frame], types: bytes) -> Frame:
    """One frame in ascending order of tags, each of which comes once; `types` are those of the tag table."""
    if len(frames) == 1:
        return frames[0]
    rows: list[tuple[int, Frame, int, int]] = []
    side = bytearray()
    for frame in frames:
        rows += [
            (U32.unpack_from(frame.tags, place(frame.tags, i, 4))[0], frame, i, len(side)) for i in range(frame.count)
        ]
        side += frame.side
    rows.sort(key=lambda row: row[0])
    values = bytearray()
    for tag, frame, at, base in rows:
        slot = _item(frame.values, at, SLOT)
        if types[tag] == Type.STRING and slot != bytes(SLOT):
            offset, length = PAIR.unpack(slot)
            slot = PAIR.pack(offset + base, length)
        values += slot
    timed = any(frame.server_us for frame in frames)
    return replace(
        frames[-1],
        count=len(rows),
        tags=b"".join(U32.pack(tag) for tag, *_ in rows),
        source_us=b"".join(_item(frame.source_us, at, SLOT) for _, frame, at, _ in rows),
        server_us=b"".join(_item(frame.server_us or bytes(SLOT), at, SLOT) for _, frame, at, _ in rows)
        if timed
        else b"",
        status=b"".join(_item(frame.status, at, U32.size) for _, frame, at, _ in rows),
        values=bytes(values),
        side=bytes(side),
    )


def _item(column: bytes, index: int, width: int) -> bytes:
    at = place(column, index, width)
    return column[at : at + width]
