"""Deadband, or report by exception: keeps of a frame what changed, and a heartbeat. Its memory is passed in."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from tidegate.model.frame import Frame
from tidegate.model.tag import TagTable
from tidegate.shape._deadband_py import RULE
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate.shape import _deadband_py as twin
else:
    twin = choose("tidegate.shape._deadband")

POSITION_BYTES = 4


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
    return replace(
        frame,
        count=count,
        tags=twin.take(frame.tags, kept, 4),
        source_us=twin.take(frame.source_us, kept, 8),
        server_us=twin.take(frame.server_us, kept, 8),
        status=twin.take(frame.status, kept, 4),
        values=twin.take(frame.values, kept, 8),
    )
