"""Tags that are scaled by another one: whether that can be read together with them, and is a power of ten at all."""

from collections.abc import Sequence

from tidegate.config.arrays import firsts
from tidegate.config.problems import Problems
from tidegate.config.quantities import did_you_mean
from tidegate.errors import Problem
from tidegate.model.tag import INTEGERS, Tag, Type

UNSCALED = frozenset({Type.BOOL, Type.STRING})
# A uint64 is no power: the largest would look like -1.
POWERS = INTEGERS - {Type.UINT64}
WIDE = frozenset({Type.INT64, Type.UINT64})


def check_powers(file: str, tags: Sequence[Tag], problems: Problems) -> None:
    """Note what is wrong with the column `scale_by` of a table."""
    named = {tag.name: tag for tag in tags}
    for tag in firsts(tags):
        if tag.scale_by:
            what, remedy = _wrong(tag, named.get(tag.scale_by), list(named))
            if what:
                problems.fault(file, tag.name, what, remedy, tag.row, "scale_by")
            elif tag.raw in WIDE and tag.range is None:
                what = "scaled values are float64, which rounds whole numbers beyond 2^53, and this tag may reach them"
                remedy = "Leave scale_by empty to keep every digit, or fill in low and high"
                problems.add(Problem(file, tag.name, what, remedy, tag.row, "scale_by", fatal=False))


def _wrong(tag: Tag, power: Tag | None, names: Sequence[str]) -> tuple[str, str]:
    """What is wrong, and what to do about it; two empty texts where nothing is."""
    if tag.raw in UNSCALED:
        return f"a {tag.raw.word} can't be scaled", "Leave scale_by empty"
    if power is None:
        return f"there is no tag {tag.scale_by!r} in this table that is read", did_you_mean(tag.scale_by, names)
    if power is tag:
        return "a tag can't be scaled by itself", "Name the tag that holds the power of ten"
    if power.raw not in POWERS or power.type != power.raw:
        return f"{power.name} is no whole number, and a power of ten is", "Give it type int16, and no scale of its own"
    if power.group != tag.group:
        what = f"{power.name} is read in group {power.group}, and this tag in group {tag.group}"
        return what, "Put both into one group, so that they are read together"
    return "", ""
