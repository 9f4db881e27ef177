"""Structures: bodies of ExtensionObjects taken apart, as the server's own definitions say (OPC 10000-6 §5.2.7).

asyncua makes Python classes of the definitions, registered for the whole process under ids that two servers may use for
different things, and builds the old ones as source text out of names that a server sent. Here a definition is data, it
belongs to one server, and what it does not fit is never taken for a value.
"""

from dataclasses import dataclass, field
from enum import Enum
from math import prod

from tidegate_drivers.opcua.wire import (
    BINARY_BODY,
    EXTENSION_OBJECT,
    INT32,
    UINT32,
    Datum,
    Extension,
    Identifier,
    Reader,
    Undecodable,
)

# Of one server, so that a wrong one can't fill the memory.
STRUCTURES_MAX = 5000
FIELDS_MAX = 1000
UNKNOWN_MAX = 1000
# The bits of the mask of optional fields.
OPTIONAL_MAX = 32


class Form(Enum):
    """How a structure lies in its body."""

    PLAIN = 0
    OPTIONAL = 1
    UNION = 2


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `rank` is -1 for a single value, else the number of dimensions.

    `structure` is the data type of a structure that lies in the body without its id; a field of any structure is an
    EXTENSION_OBJECT, and one of any value a VARIANT. `names` are those of an enumeration.
    """

    name: str
    builtin: int
    rank: int = -1
    optional: bool = False
    structure: Identifier | None = None
    names: dict[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Structure:
    """A definition. Raises ValueError on one that can't be: names twice, too many fields, ranks without a meaning."""

    name: str
    fields: tuple[Field, ...]
    form: Form = Form.PLAIN

    def __post_init__(self) -> None:
        if len({one.name for one in self.fields}) < len(self.fields) or len(self.fields) > FIELDS_MAX:
            raise ValueError(f"the structure {self.name} has fields of one name, or more than {FIELDS_MAX}")
        if sum(one.optional for one in self.fields) > OPTIONAL_MAX:
            raise ValueError(f"the structure {self.name} has more than {OPTIONAL_MAX} optional fields")
        if any(one.rank == 0 or one.rank < -1 for one in self.fields):
            raise ValueError(f"the structure {self.name} has a field of which nobody knows whether it is an array")


@dataclass(frozen=True, slots=True)
class Record:
    """A structure taken apart: its fields in their order, without optional ones that are absent.

    Of a union the one field that is set, or none.
    """

    structure: Structure
    fields: dict[str, Datum]


class UnknownType(LookupError):
    """A body whose encoding nobody defined."""


@dataclass(slots=True)
class Types:
    """What one server said of its types. `structures` and `enumerations` by data type, `encodings` into data types.

    `bases` are the built-in types that data types come down to. `unknown` are the encodings that were met and are not
    defined, less those after which the server was `asked`.
    """

    namespaces: tuple[str, ...] = ()
    structures: dict[Identifier, Structure] = field(default_factory=dict)
    encodings: dict[Identifier, Identifier] = field(default_factory=dict)
    enumerations: dict[Identifier, dict[int, str]] = field(default_factory=dict)
    bases: dict[Identifier, int] = field(default_factory=dict)
    unknown: set[Identifier] = field(default_factory=set)
    asked: set[Identifier] = field(default_factory=set)
    # The body that was taken apart last: tags that share a node ask for the same one, one after the other.
    _last: tuple[Extension, Record] | None = None

    def add(self, data_type: Identifier, structure: Structure, *encodings: Identifier) -> None:
        """Define a structure, unless there are too many: the rest stays unknown."""
        if len(self.structures) >= STRUCTURES_MAX:
            return
        self.structures[data_type] = structure
        self.bases[data_type] = EXTENSION_OBJECT
        # Some servers put the data type where the encoding belongs.
        for one in (data_type, *encodings):
            if one != Identifier():
                self.encodings[one] = data_type

    def record(self, extension: Extension) -> Record:
        """An ExtensionObject taken apart. Raises UnknownType, and Undecodable where its body is not as defined."""
        if self._last is not None and self._last[0] is extension:
            return self._last[1]
        structure = self.structures.get(self.encodings.get(extension.encoding, Identifier()))
        if structure is None or extension.form != BINARY_BODY:
            if extension.encoding not in self.asked and len(self.unknown) < UNKNOWN_MAX:
                self.unknown.add(extension.encoding)
            raise UnknownType(f"nothing says what is in a body of the encoding {extension.encoding}")
        reader = Reader(extension.body)
        found = self._structure(reader, structure)
        if reader.at != reader.end:
            # What is left over was meant to be something: the definition is not that of this body.
            raise Undecodable(f"{reader.end - reader.at} bytes are left over behind a {structure.name}")
        self._last = extension, found
        return found

    def _structure(self, reader: Reader, structure: Structure) -> Record:
        reader.deeper()
        if structure.form is Form.UNION:
            found = self._union(reader, structure)
        else:
            mask = reader.whole(UINT32) if structure.form is Form.OPTIONAL else 0
            found = Record(structure, self._fields(reader, structure, mask))
        reader.depth -= 1
        return found

    def _fields(self, reader: Reader, structure: Structure, mask: int) -> dict[str, Datum]:
        found: dict[str, Datum] = {}
        for one in structure.fields:
            if one.optional and structure.form is Form.OPTIONAL:
                present = mask & 1
                mask >>= 1
                if not present:
                    continue
            found[one.name] = self._field(reader, one)
        if mask:
            raise Undecodable(f"a {structure.name} says that it has optional fields which are not defined")
        return found

    def _union(self, reader: Reader, structure: Structure) -> Record:
        which = reader.whole(UINT32)
        if which > len(structure.fields):
            raise Undecodable(f"a {structure.name} has its field {which} set, of {len(structure.fields)}")
        if which == 0:
            return Record(structure, {})
        one = structure.fields[which - 1]
        return Record(structure, {one.name: self._field(reader, one)})

    def _field(self, reader: Reader, one: Field) -> Datum:
        builtin = one.builtin if one.structure is None else EXTENSION_OBJECT
        if one.rank < 0:
            content = reader.single(builtin) if one.structure is None else self._inner(reader, one.structure)
            return Datum(builtin, content, None, one.names)
        shape = (max(0, reader.whole(INT32)),) if one.rank == 1 else reader.dimensions()
        if len(shape) != one.rank:
            raise Undecodable(f"{one.name} has {len(shape)} dimensions, and {one.rank} are defined")
        count = prod(shape)
        if one.structure is None:
            return Datum(builtin, reader.several(builtin, count), shape, one.names)
        if count > reader.end - reader.at:
            raise Undecodable(f"{count} structures in {reader.end - reader.at} bytes")
        return Datum(builtin, tuple([self._inner(reader, one.structure) for _ in range(count)]), shape)

    def _inner(self, reader: Reader, data_type: Identifier) -> Record:
        reader.spend(1)
        structure = self.structures.get(data_type)
        if structure is None:
            raise UnknownType(f"nothing says what is in a structure of the type {data_type}")
        return self._structure(reader, structure)
