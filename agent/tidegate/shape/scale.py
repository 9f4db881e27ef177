"""Scale: raw slots become values in the tag's unit. A step that takes a frame and gives a frame."""

from typing import TYPE_CHECKING

from tidegate.model.frame import Frame
from tidegate.model.tag import TagTable
from tidegate.shape._scale_py import RULE
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate.shape import _scale_py as twin
else:
    twin = choose("tidegate.shape._scale")


def scale_rules(table: TagTable) -> bytes:
    """The kernel's rules for a table; b"" when no tag is scaled and frames pass as they are."""
    if all(tag.scale.neutral for tag in table.tags):
        return b""
    return b"".join(
        RULE.pack(
            float(tag.scale.numerator), float(tag.scale.denominator), tag.scale.offset, tag.raw, tag.scale.neutral
        )
        for tag in table.tags
    )


def scaled(frame: Frame, rules: bytes) -> Frame:
    """The frame with every raw slot turned into its tag's type."""
    if not rules:
        return frame
    values = twin.scale(frame.tags, frame.status, frame.values, rules, frame.count)
    # Written out: dataclasses.replace takes three times as long.
    return Frame(
        frame.device, frame.table, frame.count, frame.boot, frame.mono_us, frame.gateway_us, frame.tags,
        frame.source_us, frame.status, values, frame.side, frame.server_us, frame.kind, frame.clock, frame.origin,
    )  # fmt: skip
