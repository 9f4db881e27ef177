"""Golden vectors: the words that lie in a device's registers, and what its tags must read from them.

A row says it all by itself, wire address included, so that it also tries how a tag table's address is understood.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.model.tag import INTEGERS, Tag, Type
from tidegate.profiles.identity import ADDRESS_MAX, FUNCTIONS, PLACE, REGISTERS_MAX

COLUMNS = ("tag", "at", "words", "raw", "value")
# What is expected where a reading must not be good.
BAD = "bad"

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Vector:
    """`words` from wire address `address` on are read as `raw` and, scaled, as `value`: texts, "bad" for not good."""

    tag: str
    function: int
    address: int
    words: tuple[int, ...]
    raw: str
    value: str
    row: int | None = None


def parse(tag: str, at: str, words: str, raw: str, value: str, row: int | None) -> Vector:
    """A vector of a row's texts. Raises ValueError that says what is wrong."""
    place = PLACE.fullmatch(at)
    if place is None:
        raise ValueError(f"{at!r} is no place: write input 0x0000 or holding 0x0302, as on the wire")
    address = int(place[2], 16 if place[2][:2].lower() == "0x" else 10)
    try:
        found = tuple(int(word, 16) for word in words.split())
    except ValueError:
        raise ValueError(f"{words!r} is not made of registers: write 4 hex digits for each") from None
    if not 1 <= len(found) <= REGISTERS_MAX or not all(0 <= word <= 0xFFFF for word in found):
        raise ValueError(f"{words!r} is not made of 1 to {REGISTERS_MAX} registers of 4 hex digits")
    if address + len(found) - 1 > ADDRESS_MAX:
        raise ValueError(f"{at} is outside of 0x0000 to 0x{ADDRESS_MAX:04X} with these words")
    if not raw or not value:
        raise ValueError("it does not say what is expected: fill in raw and value")
    return Vector(tag, FUNCTIONS[place[1].lower()], address, found, raw, value, row)


def expected(text: str, kind: Type) -> Value:
    """The value that a text stands for in a tag of this type. Raises ValueError."""
    if kind == Type.STRING:
        return text
    if kind == Type.BOOL:
        if text not in ("true", "false"):
            raise ValueError(f"{text!r} is neither true nor false")
        return text == "true"
    return int(text) if kind in INTEGERS else float(text)


def same(one: Value, other: Value | None) -> bool:
    """Whether a reading is exactly what was expected, of the same type too; not a number is not a number."""
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@dataclass(slots=True)
class Round:
    """Vectors that one state of the device's registers shows at the same time."""

    vectors: dict[str, Vector]
    words: dict[tuple[int, int], int]

    def takes(self, vector: Vector) -> bool:
        """Add a vector, unless its tag has one here or its registers hold something else."""
        mine = {(vector.function, vector.address + i): word for i, word in enumerate(vector.words)}
        if vector.tag in self.vectors or any(self.words.get(at, word) != word for at, word in mine.items()):
            return False
        self.vectors[vector.tag] = vector
        self.words.update(mine)
        return True


def rounds(vectors: Sequence[Vector]) -> list[Round]:
    """As few states as simply found: each vector goes into the first that takes it."""
    found: list[Round] = []
    for vector in vectors:
        if not any(one.takes(vector) for one in found):
            found.append(Round({vector.tag: vector}, {}))
            found[-1].words.update({(vector.function, vector.address + i): w for i, w in enumerate(vector.words)})
    return found


def untried(tags: Sequence[Tag], vectors: Sequence[Vector]) -> list[str]:
    """The tags that no vector is for."""
    tried = {vector.tag for vector in vectors}
    return [tag.name for tag in tags if tag.name not in tried]
