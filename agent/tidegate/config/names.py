"""Names of values and bits, as a tag table writes them: `0=Stopped; 1=Running; 2=Fault`."""

import re

from tidegate.config.quantities import Unfit
from tidegate.model.names import WIDTH_BITS, Names
from tidegate.model.tag import INTEGERS, Type

NAMES_MAX = 256
NAME_LETTERS_MAX = 128

_ENTRY = re.compile(r"\s*(-?\d{1,20}|0x[0-9a-f]{1,16})\s*=\s*(\S.*?)\s*", re.ASCII | re.IGNORECASE)
# Between entries; a cell of a workbook may have lines.
_BETWEEN = re.compile(r"[;\r\n]")
_UNSIGNED = frozenset({Type.BOOL, Type.UINT8, Type.UINT16, Type.UINT32, Type.UINT64})


def value_names(text: str, kind: Type, scaled: bool) -> Names:
    """Names of the values of a tag of this type. Raises Unfit."""
    _refuse_fractions(kind, scaled)
    width = WIDTH_BITS[kind.word]
    low, high = (0, 2**width - 1) if kind in _UNSIGNED else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
    return Names(values=_named(text, "value", low, high, kind))


def bit_names(text: str, kind: Type, scaled: bool) -> Names:
    """Names of the bits of a tag of this type. Raises Unfit."""
    _refuse_fractions(kind, scaled)
    if kind == Type.BOOL:
        raise Unfit("a bool has one bit", "Name its values: 0=Closed; 1=Open in the column `values`")
    return Names(bits=_named(text, "bit", 0, WIDTH_BITS[kind.word] - 1, kind))


def _refuse_fractions(kind: Type, scaled: bool) -> None:
    if kind not in INTEGERS and kind != Type.BOOL:
        raise Unfit(f"a {kind.word} has no names for what it holds", "Leave it empty, or use whole numbers")
    if scaled:
        raise Unfit("what is scaled is a float64, and has no names", "Leave scale, offset and scale_by empty, or this")


def _named(text: str, what: str, low: int, high: int, kind: Type) -> tuple[tuple[int, str], ...]:
    found: dict[int, str] = {}
    for entry in _BETWEEN.split(text):
        if not entry.strip():
            continue
        matched = _ENTRY.fullmatch(entry)
        if matched is None:
            raise Unfit(f"{entry.strip()!r} names no {what}", "Write number=name, with semicolons between: 0=Off; 1=On")
        number, name = int(matched[1], 0) if matched[1][:2].lower() == "0x" else int(matched[1]), matched[2]
        if not low <= number <= high:
            raise Unfit(f"{what} {matched[1]} is outside of {kind.word}", f"Use {low} to {high}")
        if number in found:
            raise Unfit(f"{what} {matched[1]} has two names, {found[number]!r} and {name!r}", "Leave one of them out")
        if len(name) > NAME_LETTERS_MAX or not name.isprintable():
            raise Unfit(f"the name of {what} {matched[1]} can't be used",
                        f"Use at most {NAME_LETTERS_MAX} letters without control characters")  # fmt: skip
        found[number] = name
    if len(found) > NAMES_MAX:
        raise Unfit(f"it has {len(found)} names", f"Name at most {NAMES_MAX}")
    return tuple(sorted(found.items()))
