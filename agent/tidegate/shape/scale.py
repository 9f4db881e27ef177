"""Scale: raw slots become values in the tag's unit. A step that takes a frame and gives a frame."""

from typing import TYPE_CHECKING

from tidegate.model.frame import Frame
from tidegate.model.tag import Tag, TagTable
from tidegate.shape._scale_py import RULE
from tidegate.shape.power import Powers
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate.shape import _scale_py as twin
else:
    twin = choose("tidegate.shape._scale")


def scale_rules(table: TagTable) -> bytes:
    """The kernel's rules for a table; b"" when no tag is scaled and frames pass as they are."""
    if all(tag.scale.neutral and not tag.scale_by for tag in table.tags):
        return b""
    return b"".join([_rule(tag) for tag in table.tags])


def _rule(tag: Tag) -> bytes:
    numerator, denominator = float(tag.scale.numerator), float(tag.scale.denominator)
    return RULE.pack(numerator, denominator, tag.scale.offset, tag.raw, tag.scale.neutral and not tag.scale_by)


def scaled(frame: Frame, rules: bytes, powers: Powers | None = None) -> Frame:
    """The frame with every raw slot turned into its tag's type; by powers of ten of its own where tags ask for it."""
    if not rules:
        return frame
    status = frame.status
    if powers is not None:
        rules, status = powers.of(frame)
    values = twin.scale(frame.tags, status, frame.values, rules, frame.count)
    # Written out: dataclasses.replace takes three times as long.
    return Frame(
        frame.device, frame.table, frame.count, frame.boot, frame.mono_us, frame.gateway_us, frame.tags,
        frame.source_us, status, values, frame.side, frame.server_us, frame.kind, frame.clock, frame.origin,
    )  # fmt: skip
