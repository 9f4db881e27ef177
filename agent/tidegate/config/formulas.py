"""The rows of a tag table that have a formula, against the other rows: names, circles, types, labels."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tidegate.config.problems import Problems
from tidegate.config.quantities import did_you_mean
from tidegate.model.tag import LABELS, Tag, Type
from tidegate.shape.formula import HINT_NAME, Alarm, Expression, Formula, plain
from tidegate.shape.watch import MEANING

# What an alarm's level fits in.
ALARM_TYPES = frozenset({Type.BOOL, Type.INT8, Type.INT16, Type.INT32, Type.INT64, Type.FLOAT32, Type.FLOAT64})
# An alarm is reported when it changes, and so often besides.
ALARM_HEARTBEAT_S = 60.0
# Deep enough for any plan of a plant, and far from what Python can follow.
CHAIN_MAX = 50
# Of computed tags so many may follow from one poll.
COMPUTED_MAX = 500


@dataclass(frozen=True, slots=True)
class Computed:
    """A tag that is computed, with its formula as it was read. Of unknown inputs nothing can be said."""

    tag: Tag
    formula: Formula


def usual_type(formula: Formula) -> Type:
    """The type of a computed tag whose row gives none."""
    if isinstance(formula, Alarm):
        return Type.INT8
    return Type.BOOL if isinstance(formula, Expression) and formula.boolean else Type.FLOAT64


def described(tag: Tag, formula: Formula) -> Tag:
    """An alarm says what its levels mean, and is reported on change, unless its row says otherwise."""
    if not isinstance(formula, Alarm):
        return tag
    return replace(
        tag,
        description=tag.description or ("" if tag.type == Type.BOOL else MEANING),
        deadband=0.0 if tag.deadband is None else tag.deadband,
        heartbeat_s=tag.heartbeat_s or ALARM_HEARTBEAT_S,
    )


def check_formulas(file: str, tags: Sequence[Tag], computed: Sequence[Computed], problems: Problems) -> None:
    """Note formulas over unknown tags, over themselves, and over what is no number."""
    read = {plain(tag.name): tag for tag in tags}
    if len(computed) > COMPUTED_MAX:
        what = f"it has {len(computed):,} computed tags"
        problems.fault(file, "", what, f"Share them out: a table takes {COMPUTED_MAX}", computed[0].tag.row, "formula")
        return
    made = {plain(one.tag.name): one for one in computed}
    twice = {name for name, count in _counts([*tags, *(one.tag for one in computed)]).items() if count > 1}
    for name, one in made.items():
        for needed in one.formula.inputs:
            what = remedy = ""
            if needed not in read and needed not in made:
                near = did_you_mean(
                    needed, [*(tag.name for tag in read.values()), *(c.tag.name for c in made.values())]
                )
                # A question has its own mark.
                ended = near if near.endswith("?") else f"{near}."
                what, remedy = f"there is no tag {needed!r} in this table", f"{ended} {HINT_NAME}"
            elif needed in twice:
                what, remedy = f"{needed!r} is the name of two tags", "Give one of them another name"
            elif needed in read and read[needed].type == Type.STRING:
                what, remedy = f"{needed!r} is a string", "Use tags that are numbers or bool"
            if what:
                problems.fault(file, one.tag.name, what, remedy, one.tag.row, "formula")
            elif one.tag.label and needed in read and _above(read[needed].label, one.tag.label):
                what = f"it has the label of its highest input, {needed!r}: {read[needed].label}"
                remedy = "Write that, or leave it empty"
                problems.warn(file, one.tag.name, what, remedy, one.tag.row, "label")
        circle = _circle(name, made)
        if circle:
            what = f"it needs itself: {' needs '.join(circle)}"
            problems.fault(file, one.tag.name, what, "Leave one of them out", one.tag.row, "formula")
        elif _depth(name, made) > CHAIN_MAX:
            what = f"it needs more than {CHAIN_MAX} computed tags, one after the other"
            problems.fault(file, one.tag.name, what, "Join some of them", one.tag.row, "formula")


def labels(tags: Iterable[Tag], computed: Sequence[Computed]) -> tuple[Tag, ...]:
    """The computed tags, each with the highest label of its own and its inputs'. All of `tags` have one."""
    found = {plain(tag.name): tag.label for tag in tags}
    todo = {plain(one.tag.name): one for one in computed}
    made: dict[str, Tag] = {}
    while todo:
        # Each round does at least one: there is no circle, or the configuration is refused anyway.
        ready = [name for name, one in todo.items() if not any(needed in todo for needed in one.formula.inputs)]
        for name in ready or list(todo):
            one = todo.pop(name)
            own = [one.tag.label] if one.tag.label else []
            given = own + [found[needed] for needed in one.formula.inputs if needed in found]
            found[name] = max(given, key=LABELS.index, default=LABELS[-1])
            made[name] = replace(one.tag, label=found[name])
    return tuple(made[plain(one.tag.name)] for one in computed)


def _above(label: str, other: str) -> bool:
    return bool(label) and LABELS.index(label) > LABELS.index(other)


def _counts(tags: Iterable[Tag]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tag in tags:
        counts[plain(tag.name)] = counts.get(plain(tag.name), 0) + 1
    return counts


def _circle(start: str, made: Mapping[str, Computed]) -> list[str]:
    """The way from a computed tag back to itself; [] when there is none."""
    ways, seen = [[start]], set()
    while ways:
        way = ways.pop()
        for needed in made[way[-1]].formula.inputs:
            if needed == start:
                return [*way, start]
            if needed in made and needed not in seen:
                seen.add(needed)
                ways.append([*way, needed])
    return []


def _depth(start: str, made: Mapping[str, Computed]) -> int:
    """How many computed tags follow one from another up to this one; it stops past CHAIN_MAX, also in a circle."""
    level, depth = {start}, 0
    while level and depth <= CHAIN_MAX:
        depth += 1
        level = {needed for name in level for needed in made[name].formula.inputs if needed in made}
    return depth
