"""Tag tables and frames for tests: what a device could have said."""

import struct

from tidegate.clock import ClockState
from tidegate.model.frame import Frame, Kind, Origin, pack_value
from tidegate.model.gap import Gap
from tidegate.model.tag import Tag, TagTable, Type

T0_US = 1_800_000_000_000_000


def table(device: str = "meter1", tags: int = 3, kind: Type = Type.UINT16) -> TagTable:
    """A table of equal tags."""
    return TagTable(device, tuple(Tag(f"tag{i}", kind, kind) for i in range(tags)))


def frame(
    of: TagTable, value: int = 0, gateway_us: int = T0_US, clock: ClockState = ClockState.SET,
    origin: Origin = Origin.LIVE,
) -> Frame:  # fmt: skip
    """One reading of every tag; all have the same value."""
    n = len(of.tags)
    side = bytearray()
    slots = b"".join(pack_value(tag.type, value, side) for tag in of.tags)
    tags = struct.pack(f"<{n}I", *range(n))
    source = struct.pack("<q", gateway_us - 1000)
    return Frame(
        of.device, of.hash, n, 3, 12345, gateway_us, tags, source, bytes(4), slots, bytes(side), clock=clock,
        origin=origin,
    )  # fmt: skip


def gap_frame(gap: Gap, gateway_us: int = T0_US) -> Frame:
    """A ledger row as it lies in the stream."""
    return Frame(gap.device or "", bytes(8), 0, 3, 12345, gateway_us, b"", b"", b"", b"", gap.encode(), kind=Kind.GAP)
