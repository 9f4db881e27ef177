"""Selection: a row of a tag table that stands for all variables below a node, whichever those are. It knows no server.

    nsu=http://vendor.com/plc;s=Line1#/**          all of them, however deep
    nsu=http://vendor.com/plc;s=Line1#/*           those of the node itself
    nsu=http://vendor.com/plc;s=Line1#/**/Temp*    those whose names begin so
    /Objects/nsu=http://vendor.com/;Lines/*/Speed  the Speed of each of the Lines

`*` is any text within a name, and `**` alone any number of names. A name in a selection has any namespace unless it
says its own; before the first `*` it is as in any path. `&*` is a star. The column `of_type` narrows it: variables of
this type, or within objects of this type, subtypes too.
"""

import re
from dataclasses import dataclass

from tidegate.model.option import Options
from tidegate.model.tag import Tag
from tidegate_drivers.opcua.address import Place, parse_node, parse_start
from tidegate_drivers.opcua.browsepath import ESCAPE, cut_uri, elements, parse_path, until

ANY_DEPTH = "**"
# Each is a way to go wrong at every letter of a name.
STARS_A_NAME_MAX = 4
# How often the address space is looked through where the server does not tell that it changed.
EVERY_S, EVERY_S_MIN, EVERY_S_MAX = 600.0, 10.0, 86400.0
COLUMNS = ("of_type", "look_again")

States = frozenset[int]
BEGIN: States = frozenset({0})


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a pattern: in which namespace (None: any), and which; name None is any number of any names."""

    uri: str | None
    name: re.Pattern[str] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """The variables below `start` whose way from there fits `pattern`. `of_type` None: of any type."""

    start: Place
    pattern: tuple[Step, ...]
    of_type: Place | None
    every_s: float

    def advance(self, states: States, uri: str, name: str) -> States:
        """How far in the pattern a way may be that goes on with this name; empty when it can't fit any more."""
        found = set()
        for at in self._also(states):
            step = self.pattern[at] if at < len(self.pattern) else None
            if step is None:
                continue
            if step.name is None:
                found.add(at)
            elif step.uri in (None, uri) and step.name.fullmatch(name):
                found.add(at + 1)
        return frozenset(found)

    def fits(self, states: States) -> bool:
        """Whether a way that ends here fits all of the pattern."""
        return len(self.pattern) in self._also(states)

    def _also(self, states: States) -> States:
        """With those that are reached where `**` is no name at all."""
        found = set(states)
        for at in sorted(states):
            while at < len(self.pattern) and self.pattern[at].name is None:
                at += 1
                found.add(at)
        return frozenset(found)


def parse_selection(tag: Tag, namespace: str) -> Selection | None:
    """What a row selects; None when its address names one node. Raises ValueError when it is neither."""
    if "*" not in tag.address:
        return None
    (uri, kind, identifier), rest = parse_start(tag.address, namespace)
    absolute = tag.address.startswith("/")
    parts, extras = elements(rest) if rest.startswith("/") else ([], rest)
    first = next((number for number, part in enumerate(parts) if _starred(part)), None)
    if first is None:
        return None
    if extras:
        raise ValueError(f"{extras} does not belong behind a selection, which has a tag a variable")
    before = "".join(f"/{part}" for part in parts[:first])
    path, _ = parse_path(before, namespace if absolute else uri, absolute)
    pattern = tuple(_step(part) for part in parts[first:])
    options = Options(tag.options, tag.name, tag.row)
    of_type = options.text("of_type")
    every_s = options.duration_s("look_again", EVERY_S, EVERY_S_MIN, EVERY_S_MAX)
    if options.problems:
        raise ValueError(f"look_again: {options.problems[0].what}, write it as 10min")
    return Selection(
        Place(uri, kind, identifier, path), pattern, parse_node(of_type, namespace) if of_type else None, every_s
    )


def _starred(part: str) -> bool:
    raw = cut_uri(part)[1]
    return until(raw, "*") < len(raw)


def _step(part: str) -> Step:
    uri, raw = cut_uri(part)
    if raw == ANY_DEPTH and uri is None:
        return Step(None, None)
    if not raw:
        raise ValueError("a path has an empty name, write /** for any number of names")
    text, stars, at = "", 0, 0
    while at < len(raw):
        if raw[at] == ESCAPE and at + 1 < len(raw):
            at += 1
            text += re.escape(raw[at])
        elif raw[at] == "*":
            stars += 1
            text += ".*"
        else:
            text += re.escape(raw[at])
        at += 1
    if stars > STARS_A_NAME_MAX:
        raise ValueError(f"{part!r} has {stars} stars; at most {STARS_A_NAME_MAX} in a name")
    return Step(uri, re.compile(text, re.DOTALL))
