"""Definitions: what a server says of the data types of the configured nodes, asked once at each connect.

data types of the nodes ──▶ their definitions ──▶ the types of their fields ──▶ … ──▶ built-in types
                       └──▶ supertypes, encodings, names of enumerations; the old dictionaries for what is left
Of a value that is of another type than its node says, the encoding is asked for when it was met.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tidegate.model.status import is_bad
from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.dictionary import learn_dictionaries
from tidegate_drivers.opcua.plain import json_of
from tidegate_drivers.opcua.structures import Field, Form, Record, Structure, Types, UnknownType
from tidegate_drivers.opcua.wire import (
    DATA_VALUE,
    DIAGNOSTIC_INFO,
    EXTENSION_OBJECT,
    INT32,
    VARIANT,
    Datum,
    Extension,
    Identifier,
    Undecodable,
)

# Attributes (OPC 10000-6 Annex A.1) and references (OPC 10000-5 §11) in namespace 0.
BROWSE_NAME, IS_ABSTRACT, VALUE, DATA_TYPE, DEFINITION = 3, 8, 13, 14, 23
HAS_ENCODING, HAS_SUBTYPE, HAS_PROPERTY = 38, 45, 46
# Abstract data types that are no built-in types: Number, Integer, UInteger are any number, Enumeration is an Int32.
ABSTRACT = {26: VARIANT, 27: VARIANT, 28: VARIANT, 29: INT32}
# What holds a structure and does not say of which type.
ANYTHING = (EXTENSION_OBJECT, DATA_VALUE, VARIANT)
BINARY = "Default Binary"
OPTIONAL_FIELDS, UNION, SUBTYPED, SUBTYPED_UNION = 1, 2, 3, 4
# Types in types, and supertypes of supertypes.
WAVES_MAX = 64
# A value may hold a structure that holds one of which nobody knew.
ROUNDS_MAX = 8
NAMES_MAX = 10_000
DATA_TYPES_MAX = 20_000


@dataclass(slots=True)
class _Heard:
    """What a server said of data types before it is put together."""

    names: dict[Identifier, str] = field(default_factory=dict)
    abstract: set[Identifier] = field(default_factory=set)
    parents: dict[Identifier, Identifier] = field(default_factory=dict)
    structures: dict[Identifier, Record] = field(default_factory=dict)
    encodings: dict[Identifier, list[Identifier]] = field(default_factory=dict)
    binary: dict[Identifier, Identifier] = field(default_factory=dict)


async def learn_nodes(asking: Asking, types: Types, nodes: Sequence[Identifier]) -> list[Identifier | None]:
    """Learn the types of nodes, and of the values they have now; the data type of each node, None where it has none.

    Raises what asking raises. What the server does not say stays unknown, and costs only the tags that need it.
    """
    found: list[Identifier | None] = []
    for sample in await asking.read(nodes, DATA_TYPE):
        content = sample.datum.content
        found.append(content if isinstance(content, Identifier) and not is_bad(sample.status) else None)
    await learn_types(asking, types, {one for one in found if one is not None})
    # A node of a structure that is defined holds just that, nearly always; of others it is asked what they hold.
    loose = [node for node, one in zip(nodes, found, strict=True) if one is not None and _of_any(one, types, set())]
    values = [sample.datum for sample in await asking.read(loose, VALUE)]
    for _ in range(ROUNDS_MAX):
        for datum in values:
            _meet(datum, types)
        if not await learn_unknown(asking, types):
            break
    return found


def _of_any(data_type: Identifier, types: Types, seen: set[Identifier]) -> bool:
    """Whether values of a data type may hold structures of which it does not say what they are."""
    seen.add(data_type)
    structure = types.structures.get(data_type)
    if structure is not None and len(seen) < DATA_TYPES_MAX:
        return any(
            one.builtin in ANYTHING if one.structure is None else _of_any(one.structure, types, seen)
            for one in structure.fields
            if one.structure not in seen
        )
    number = data_type.value if data_type.namespace == 0 else None
    if isinstance(number, int) and number <= DIAGNOSTIC_INFO:
        return number in ANYTHING
    return types.bases.get(data_type, VARIANT) in ANYTHING


async def learn_unknown(asking: Asking, types: Types) -> bool:
    """Ask for the encodings that were met in values and are not defined; whether anything was learnt."""
    wanted = sorted(types.unknown - types.asked, key=str)
    types.asked.update(wanted)
    types.unknown.clear()
    ends = await asking.browse(wanted, HAS_ENCODING, inverse=True)
    data_types = {one.node for found in ends for one in found[:1]}
    await learn_types(asking, types, data_types)
    return any(one in types.encodings for one in wanted)


def _meet(datum: Datum, types: Types) -> None:
    """Note the encodings in a value that are not defined."""
    contents = datum.content if datum.shape is not None and isinstance(datum.content, tuple) else (datum.content,)
    for content in contents:
        if isinstance(content, (Extension, Datum)):
            inner = content if isinstance(content, Datum) else Datum(EXTENSION_OBJECT, content)
            try:
                json_of(inner, types)
            except (UnknownType, Undecodable, RecursionError):
                continue


async def learn_types(asking: Asking, types: Types, data_types: Iterable[Identifier]) -> None:
    """Learn data types with all that they are made of. Raises what asking raises."""
    heard = _Heard()
    met: set[Identifier] = set()
    wave = {one for one in data_types if _open(one, types)}
    for _ in range(WAVES_MAX):
        if not wave or len(met) > DATA_TYPES_MAX:
            break
        met |= wave
        wave = {one for one in await _ask(asking, types, heard, sorted(wave, key=str)) if _open(one, types)} - met
    for one in met:
        types.bases.setdefault(one, _base(one, heard, types))
    await _name_enumerations(asking, types, [one for one in met if types.bases[one] == INT32])
    for data_type, definition in heard.structures.items():
        structure = _structure(heard.names.get(data_type, "?"), definition, heard, types)
        if structure is not None:
            types.add(data_type, structure, *heard.encodings.get(data_type, ()))
    bare = {
        one: heard.binary[one]
        for one in met
        if one not in types.structures and types.bases[one] == EXTENSION_OBJECT and one in heard.binary
    }
    if bare:
        await learn_dictionaries(asking, types, bare)


def _open(data_type: Identifier, types: Types) -> bool:
    """Whether there is something to learn of a data type."""
    number = data_type.value if data_type.namespace == 0 else None
    built_in = isinstance(number, int) and (number <= DIAGNOSTIC_INFO or number in ABSTRACT)
    return not built_in and data_type not in types.bases


async def _ask(asking: Asking, types: Types, heard: _Heard, wave: list[Identifier]) -> set[Identifier]:
    """Hear of these data types; those that they are made of."""
    more: set[Identifier] = set()
    for data_type, sample in zip(wave, await asking.read(wave, BROWSE_NAME), strict=True):
        if isinstance(sample.datum.content, tuple):
            heard.names[data_type] = str(sample.datum.content[1])
    for data_type, sample in zip(wave, await asking.read(wave, IS_ABSTRACT), strict=True):
        if sample.datum.content is True:
            heard.abstract.add(data_type)
    for data_type, found in zip(wave, await asking.browse(wave, HAS_SUBTYPE, inverse=True), strict=True):
        if found:
            heard.parents[data_type] = found[0].node
            more.add(found[0].node)
    for data_type, sample in zip(wave, await asking.read(wave, DEFINITION), strict=True):
        content = sample.datum.content
        if isinstance(content, Extension) and not is_bad(sample.status):
            more |= _hear(data_type, content, heard, types)
    for data_type, found in zip(wave, await asking.browse(wave, HAS_ENCODING), strict=True):
        named = [one.node for one in found if one.name == BINARY]
        heard.encodings.setdefault(data_type, []).extend(named)
        if named:
            heard.binary[data_type] = named[0]
    return more


def _hear(data_type: Identifier, definition: Extension, heard: _Heard, types: Types) -> set[Identifier]:
    """One DataTypeDefinition (OPC 10000-3 §8.48 to 8.52); the types of its fields."""
    try:
        record = types.record(definition)
    except (UnknownType, Undecodable):
        return set()
    if record.structure.name == "EnumDefinition":
        types.enumerations[data_type] = _names(_records(record, "Fields"), "Name")
        return set()
    if record.structure.name != "StructureDefinition":
        return set()
    heard.structures[data_type] = record
    encoding = record.fields["DefaultEncodingId"].content
    if isinstance(encoding, Identifier):
        heard.encodings.setdefault(data_type, []).append(encoding)
    found = (one.fields["DataType"].content for one in _records(record, "Fields"))
    return {one for one in found if isinstance(one, Identifier)}


def _records(record: Record, name: str) -> list[Record]:
    content = record.fields[name].content
    return [one for one in content if isinstance(one, Record)] if isinstance(content, tuple) else []


def _names(records: Iterable[Record], key: str) -> dict[int, str]:
    """The names by value of EnumFields or EnumValueTypes."""
    found: dict[int, str] = {}
    for record in records:
        value, name = record.fields["Value"].content, record.fields[key].content
        text = name[1] if isinstance(name, tuple) else name
        if isinstance(value, int) and isinstance(text, str) and len(found) < NAMES_MAX:
            found[value] = text
    return found


def _base(data_type: Identifier, heard: _Heard, types: Types) -> int:
    """The built-in type that a data type comes down to; VARIANT where nobody says."""
    for _ in range(WAVES_MAX):
        if data_type in types.bases:
            return types.bases[data_type]
        if data_type.namespace == 0 and isinstance(data_type.value, int):
            if data_type.value <= DIAGNOSTIC_INFO:
                return data_type.value
            if data_type.value in ABSTRACT:
                return ABSTRACT[data_type.value]
        if data_type not in heard.parents:
            return EXTENSION_OBJECT if data_type in heard.structures else VARIANT
        data_type = heard.parents[data_type]
    return VARIANT


def _structure(name: str, definition: Record, heard: _Heard, types: Types) -> Structure | None:
    """A definition put together; None where it makes no sense, so that its values stay unknown."""
    kind = definition.fields["StructureType"].content
    subtyped = kind in (SUBTYPED, SUBTYPED_UNION)
    form = Form.UNION if kind in (UNION, SUBTYPED_UNION) else Form.OPTIONAL if kind == OPTIONAL_FIELDS else Form.PLAIN
    fields = []
    for one in _records(definition, "Fields"):
        data_type, rank = one.fields["DataType"].content, one.fields["ValueRank"].content
        label, flag = one.fields["Name"].content, one.fields["IsOptional"].content
        if not isinstance(data_type, Identifier) or not isinstance(rank, int) or not isinstance(label, str):
            return None
        base = _base(data_type, heard, types)
        optional = flag is True and form is Form.OPTIONAL
        fields.append(_field(label, data_type, base, rank, optional, subtyped and flag is True, heard, types))
    try:
        return Structure(name, tuple(fields), form)
    except ValueError:
        return None


def _field(
    label: str, data_type: Identifier, base: int, rank: int, optional: bool, subtyped: bool, heard: _Heard, types: Types
) -> Field:
    """A field whose values of subtypes come with their type: as ExtensionObject, or as Variant (OPC 10000-6 §5.2.7)."""
    any_structure = data_type == Identifier(0, EXTENSION_OBJECT) or data_type in heard.abstract
    if base == EXTENSION_OBJECT and not (any_structure or subtyped):
        return Field(label, base, rank, optional, data_type)
    if subtyped and base != EXTENSION_OBJECT:
        base = VARIANT
    return Field(label, base, rank, optional, None, types.enumerations.get(data_type) if base == INT32 else None)


async def _name_enumerations(asking: Asking, types: Types, data_types: list[Identifier]) -> None:
    """The names of enumerations that have no EnumDefinition: EnumStrings count from 0, EnumValues tell the value."""
    bare = sorted((one for one in data_types if one not in types.enumerations), key=str)
    properties: list[tuple[Identifier, Identifier]] = []
    for data_type, found in zip(bare, await asking.browse(bare, HAS_PROPERTY), strict=True):
        properties += [(data_type, one.node) for one in found if one.name in ("EnumStrings", "EnumValues")][:1]
    for (data_type, _), sample in zip(
        properties, await asking.read([one for _, one in properties], VALUE), strict=True
    ):
        content = sample.datum.content
        if is_bad(sample.status) or not isinstance(content, tuple):
            continue
        if all(isinstance(one, Extension) for one in content):
            types.enumerations[data_type] = _names(_decoded(content, types), "DisplayName")
        else:
            named = [one[1] if isinstance(one, tuple) else None for one in content[:NAMES_MAX]]
            types.enumerations[data_type] = {value: text for value, text in enumerate(named) if text}


def _decoded(extensions: Iterable[object], types: Types) -> list[Record]:
    found = []
    for one in extensions:
        try:
            found.append(types.record(one))  # type: ignore[arg-type]  # The caller looked.
        except (UnknownType, Undecodable):
            continue
    return [one for one in found if one.structure.name == "EnumValueType"]
