"""Deadband, or report by exception: keeps of a frame what changed, and a heartbeat. Its memory is passed in."""

import math
from typing import TYPE_CHECKING

from tidegate.model.frame import PAIR, U32, Frame, place
from tidegate.model.tag import TagTable, Type
from tidegate.shape._deadband_py import RULE
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate.shape import _deadband_py as twin
else:
    twin = choose("tidegate.shape._deadband")

POSITION_BYTES = 4
SLOT_BYTES = 8


def deadband_rules(table: TagTable) -> bytes:
    """The kernel's rules for a table; b"" when every reading of every tag is reported."""
    if all(tag.deadband is None for tag in table.tags):
        return b""
    return b"".join(
        RULE.pack(math.nan if tag.deadband is None else tag.deadband, round(tag.heartbeat_s * 1e6), tag.type)
        for tag in table.tags
    )


def fresh_memory(table: TagTable) -> bytearray:
    """A memory that has reported nothing, so that the next value of every tag is reported."""
    return twin.fresh(len(table.tags))


def thinned(frame: Frame, rules: bytes, memory: bytearray) -> Frame | None:
    """The frame with only the readings worth reporting; None when there are none. Brings `memory` up to date."""
    if not rules:
        return frame
    kept = twin.select(
        frame.tags, frame.status, frame.values, frame.side, rules, memory, frame.mono_us, frame.count
    )  # fmt: skip
    count = len(kept) // POSITION_BYTES
    if count == frame.count:
        return frame
    if count == 0:
        return None
    tags, values, side = twin.take(frame.tags, kept, 4), twin.take(frame.values, kept, SLOT_BYTES), frame.side
    if side and len(values) == count * SLOT_BYTES:
        values, side = _own_side(tags, values, rules, side)
    return Frame(
        frame.device, frame.table, count, frame.boot, frame.mono_us, frame.gateway_us, tags,
        twin.take(frame.source_us, kept, 8), twin.take(frame.status, kept, 4), values, side,
        twin.take(frame.server_us, kept, 8), frame.kind, frame.clock, frame.origin,
    )  # fmt: skip


def _own_side(tags: bytes, values: bytes, rules: bytes, side: bytes) -> tuple[bytes, bytes]:
    """Values and side bytes with only the strings that are kept."""
    slots, own = bytearray(values), bytearray()
    for i in range(len(values) // SLOT_BYTES):
        tag = U32.unpack_from(tags, place(tags, i, 4))[0]
        if RULE.unpack_from(rules, tag * RULE.size)[2] == Type.STRING:
            offset, length = PAIR.unpack_from(slots, i * SLOT_BYTES)
            PAIR.pack_into(slots, i * SLOT_BYTES, len(own), length)
            own += side[offset : offset + length]
    return bytes(slots), bytes(own)
