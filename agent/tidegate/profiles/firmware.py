"""Versions of firmware in their natural order, and ranges of them. It knows no device."""

import re
from collections.abc import Callable
from dataclasses import dataclass

ANY = "any"
VERSION_LETTERS_MAX = 64
HOW_TO_WRITE = 'Write any, 1.14, 2.x, <2, <=1.12, >=1.14, or two of them with a comma: ">=1.14, <2"'

# Eighteen digits at a time: more are no version, but must do no harm either.
_PART = re.compile(r"[0-9]{1,18}|[^\W\d_]+")
_VERSION = re.compile(r"[^\W_][\w. +/()-]*")
_CONDITION = re.compile(r"(<=|>=|<|>|=|up to|from)?\s*(.+)")

# A number is (1, number, ""), a word is (0, 0, word): 1.2b comes before 1.2.1 and after 1.2.
Key = tuple[tuple[int, int, str], ...]

_COMPARE: dict[str, Callable[[Key, Key], bool]] = {
    "<=": lambda mine, bound: mine <= bound,
    "up to": lambda mine, bound: mine <= bound,
    ">=": lambda mine, bound: mine >= bound,
    "from": lambda mine, bound: mine >= bound,
    "<": lambda mine, bound: mine < bound,
    ">": lambda mine, bound: mine > bound,
    "=": lambda mine, bound: mine == bound,
}


def key(version: str) -> Key:
    """What versions are ordered by: 1.9 before 1.14, V1.4 like 1.4, 1.0 like 1, any case."""
    parts = _PART.findall(version.lower())
    if parts[:1] == ["v"] and len(parts) > 1:
        parts = parts[1:]
    found = [(1, int(part), "") if part[0] in "0123456789" else (0, 0, part) for part in parts]
    while len(found) > 1 and found[-1] == (1, 0, ""):
        found.pop()
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Range:
    """Versions of firmware, as `text` says: all of `conditions` hold for them. None of them = any version."""

    text: str
    conditions: tuple[tuple[str, str], ...]

    @property
    def is_any(self) -> bool:
        """Whether it says nothing about firmware."""
        return not self.conditions

    def holds(self, version: str) -> bool:
        """Whether a version is one of them."""
        return all(_holds(sign, bound, version) for sign, bound in self.conditions)

    @classmethod
    def parse(cls, text: str) -> "Range":
        """The range of `any`, `1.14`, `2.x`, `<2`, `<=1.12` (or `up to`), `>=1.14` (or `from`), with commas: all hold.

        Raises ValueError that says what is wrong.
        """
        plain = text.strip()
        if plain.lower() == ANY:
            return cls(ANY, ())
        conditions = []
        for part in plain.split(","):
            matched = _CONDITION.fullmatch(part.strip())
            if matched is None or not _VERSION.fullmatch(matched[2]) or len(matched[2]) > VERSION_LETTERS_MAX:
                raise ValueError(f"{text!r} is no range of firmware")
            sign, bound = matched[1] or "=", matched[2]
            if bound.lower().endswith(".x"):
                if sign != "=":
                    raise ValueError(f"{bound} stands for many versions, and {sign} compares with one")
                sign, bound = "x", bound[:-2]
            conditions.append((sign, bound))
        return cls(plain, tuple(conditions))


def _holds(sign: str, bound: str, version: str) -> bool:
    mine, other = key(version), key(bound)
    if sign == "x":
        # Zeros at the end count here: 2.x holds 2 and 2.0, and 1.0.x does not hold 1.1.
        wanted = len(_PART.findall(bound.lower().removeprefix("v")))
        padded = (*mine, *((1, 0, ""),) * wanted)[:wanted]
        return padded == (*other, *((1, 0, ""),) * wanted)[:wanted]
    return _COMPARE[sign](mine, other)
