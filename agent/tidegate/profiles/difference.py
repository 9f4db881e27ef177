"""Differences between two sets of registers, tag by tag: what a change of firmware or model means for the readings."""

from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.tag import Scale, Tag


@dataclass(frozen=True, slots=True)
class Register:
    """A tag as it goes over the wire: `wire` is the driver's line (registers, type, order), the rest is ours."""

    tag: str
    wire: str
    scale: str
    unit: str
    names: str = ""

    def __str__(self) -> str:
        scale = f", x {self.scale}" if self.scale else ""
        return ", ".join(part for part in (f"{self.wire}{scale}", self.unit, self.names) if part)


@dataclass(frozen=True, slots=True)
class Difference:
    """A tag that two sets read otherwise; None on the side that has no such tag."""

    tag: str
    one: Register | None
    other: Register | None


def registers(tags: Sequence[Tag], wires: Sequence[str]) -> list[Register]:
    """The registers of tags; `wires` are the driver's lines about them, in the same order."""
    return [Register(t.name, wire, _scaled(t), t.unit, str(t.names)) for t, wire in zip(tags, wires, strict=True)]


def scale(of: Scale) -> str:
    """A scale as a person writes it: `1/10`, `10`, `1/10 - 40`; "" for none."""
    if of.neutral:
        return ""
    ratio = f"{of.numerator}" if of.denominator == 1 else f"{of.numerator}/{of.denominator}"
    return ratio if not of.offset else f"{ratio} {'+' if of.offset > 0 else '-'} {abs(of.offset):g}"


def _scaled(tag: Tag) -> str:
    """A tag's scale, with the tag that has a power of ten for it."""
    power = f"10^{tag.scale_by}" if tag.scale_by else ""
    return " x ".join(part for part in (scale(tag.scale), power) if part)


def differences(one: Sequence[Register], other: Sequence[Register]) -> list[Difference]:
    """What differs, in the order of the first, then what only the other has."""
    mine, theirs = {r.tag: r for r in one}, {r.tag: r for r in other}
    found = [Difference(tag, r, theirs.get(tag)) for tag, r in mine.items() if r != theirs.get(tag)]
    return found + [Difference(tag, None, r) for tag, r in theirs.items() if tag not in mine]
