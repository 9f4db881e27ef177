"""Tag and TagTable: what a device's values are called and what they mean.

A table is immutable. Its hash covers what a subscriber needs to understand a frame (name, type, unit, range,
description, label, identifier, access, names of values and bits), not how the value is fetched or thinned out.
"""

import hashlib
import json
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any

from tidegate.model.names import UNNAMED, Names


class Type(IntEnum):
    """Types of a value; numbers as OPC UA's built-in types (OPC 10000-6 §5.1.2). Names in files are lower case.

    In a frame's 8-byte slot, little-endian: bool and signed integers as int64, unsigned integers as uint64, float32
    as its 4 bytes and 4 zero bytes, float64 as its 8 bytes, string as u32 offset and u32 length into the side bytes.
    """

    BOOL = 1
    INT8 = 2
    UINT8 = 3
    INT16 = 4
    UINT16 = 5
    INT32 = 6
    UINT32 = 7
    INT64 = 8
    UINT64 = 9
    FLOAT32 = 10
    FLOAT64 = 11
    STRING = 12

    @property
    def word(self) -> str:
        """How the type is written in files and messages: `uint16`."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> "Type":
        """The type of a word, in any case; raises ValueError that lists the words."""
        try:
            return cls[word.strip().upper()]
        except KeyError:
            raise ValueError(f"unknown type {word!r}; one of {', '.join(t.word for t in cls)}") from None


INTEGERS = frozenset({Type.INT8, Type.UINT8, Type.INT16, Type.UINT16, Type.INT32, Type.UINT32, Type.INT64, Type.UINT64})
LABELS = ("public", "internal", "important", "core")
ACCESS = ("read", "write")
# The unit of a whole number that is a moment: microseconds since 1970 UTC.
TIME_UNIT = "us since 1970"


@dataclass(frozen=True, slots=True)
class Scale:
    """value = raw * numerator / denominator + offset. 1/1 and 0 leave integers exact."""

    numerator: int = 1
    denominator: int = 1
    offset: float = 0.0

    @property
    def neutral(self) -> bool:
        """Whether the raw value is the value."""
        return self.numerator == self.denominator and self.offset == 0


@dataclass(frozen=True, slots=True)
class Tag:
    """One named value of a device.

    `type` is what is published, `raw` what the device holds: they differ where a scale makes a float64 of an
    integer. `address` and `options` are the driver's own words, as the tag table has them (column, text).
    An element of an array has an option `count` that says which of how many it is, from 0: `3/10`.
    `deadband` is in the tag's unit; None reports every reading, 0 reports every change; `heartbeat_s` reports at
    least so often (0 = never for its own sake). `row` is where the tag table defines it, for messages. A tag with a
    `formula` is computed from others, and not read. `scale_by` names the tag of the same group whose value is a power
    of ten that this one is multiplied by as well. `names` are those of its values or bits, where it has such.
    """

    name: str
    type: Type
    raw: Type
    address: str = ""
    options: tuple[tuple[str, str], ...] = ()
    group: str = "default"
    scale: Scale = Scale()
    deadband: float | None = None
    heartbeat_s: float = 0.0
    unit: str = ""
    range: tuple[float, float] | None = None
    description: str = ""
    label: str = "internal"
    identifier: str = ""
    access: str = "read"
    row: int | None = None
    formula: str = ""
    scale_by: str = ""
    names: Names = UNNAMED

    def option(self, column: str, default: str = "") -> str:
        """The text in a driver's own column, or `default` when it is empty or absent."""
        for name, text in self.options:
            if name == column and text:
                return text
        return default


@dataclass(frozen=True)
class TagTable:
    """The tags of one device, in the order that frames index them. Compare and store it by `hash`."""

    device: str
    tags: tuple[Tag, ...]
    identifier: str = field(default="", compare=False)

    @cached_property
    def document(self) -> bytes:
        """The published table without its hash: JSON, UTF-8, keys in the order of formats §3, no white space.

        The hash is SHA-256 over exactly these bytes, so that a subscriber can check it.
        """
        described = {"v": 1, "dev": self.device, "tags": [_described(tag) for tag in self.tags]}
        return json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def hash(self) -> bytes:
        """First 8 bytes of SHA-256 over `document`."""
        return hashlib.sha256(self.document).digest()[:8]

    @cached_property
    def types(self) -> bytes:
        """One byte a tag: its Type, for the kernels."""
        return bytes(tag.type for tag in self.tags)

    def index(self, name: str) -> int:
        """The index of a tag by its name; raises KeyError."""
        for index, tag in enumerate(self.tags):
            if tag.name == name:
                return index
        raise KeyError(name)

    @classmethod
    def parse(cls, document: bytes) -> "TagTable":
        """A table from its `document`: enough to read and publish old frames, not to poll.

        Raises ValueError when the bytes are no table of version 1.
        """
        described = json.loads(document)
        if not isinstance(described, dict) or described.get("v") != 1:
            raise ValueError("not a tag table of version 1")
        return cls(described["dev"], tuple(_tag(entry) for entry in described["tags"]))


def _described(tag: Tag) -> dict[str, Any]:
    return {
        "name": tag.name,
        "type": tag.type.word,
        "unit": tag.unit,
        "range": list(tag.range) if tag.range else None,
        "description": tag.description,
        "label": tag.label,
        "identifier": tag.identifier,
        "access": tag.access,
        **tag.names.described,
    }


def _tag(entry: dict[str, Any]) -> Tag:
    kind = Type.of(entry["type"])
    bounds = entry["range"]
    return Tag(
        name=entry["name"],
        type=kind,
        raw=kind,
        unit=entry["unit"],
        range=(bounds[0], bounds[1]) if bounds else None,
        description=entry["description"],
        label=entry["label"],
        identifier=entry["identifier"],
        access=entry["access"],
        names=Names.of(entry),
    )
