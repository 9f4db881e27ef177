"""Metadata: what a server says of its variables besides their values, and tags that are filled in with it.

DataType, ValueRank, Description, access levels ── attributes (OPC 10000-3 §5.6.2)
EURange, InstrumentRange, EngineeringUnits, EnumStrings, EnumValues ── properties (OPC 10000-8 §5.3)
names of an enumeration's values ── its DataType's EnumDefinition, or properties (OPC 10000-3 §8.51)

All of it is foreign text and may be missing: what can't be read is left as it is, node by node.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from asyncua import ua

from tidegate.model.names import UNNAMED, Names
from tidegate.model.tag import INTEGERS, TIME_UNIT, Tag, TagTable, Type
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.limits import batches
from tidegate_drivers.opcua.references import HAS_PROPERTY, HAS_SUBTYPE, references
from tidegate_drivers.opcua.resolve import plain
from tidegate_drivers.opcua.units import clean, unit_text
from tidegate_drivers.opcua.words import LOST_CODES

DESCRIPTION_LETTERS_MAX = 200
NAME_LETTERS_MAX, NAMES_MAX = 80, 256
PROPERTIES_A_NODE_MAX = 50
# How many supertypes lie between a type and a built-in one, at most.
SUPERTYPES_MAX = 16
NODES_A_STEP = 500

# By number of a built-in type or an abstract one above them (OPC 10000-6 §5.1.2, OPC 10000-5 §12.2).
DATE_TIME, STRUCTURE, ENUMERATION = 13, 22, 29
TYPES = {
    **{int(kind): kind for kind in Type}, DATE_TIME: Type.INT64, 14: Type.STRING, 15: Type.STRING, 16: Type.STRING,
    17: Type.STRING, 18: Type.STRING, 19: Type.UINT32, 20: Type.STRING, 21: Type.STRING, STRUCTURE: Type.STRING,
    23: Type.STRING, 25: Type.STRING, ENUMERATION: Type.INT32,
}  # fmt: skip
# Those below which any built-in type may be: only a value tells.
ABSTRACT = frozenset({24, 26, 27, 28})
PROPERTIES = frozenset({"EURange", "InstrumentRange", "EngineeringUnits", "EnumStrings", "EnumValues"})
ATTRIBUTES = (
    ua.AttributeIds.DataType,
    ua.AttributeIds.ValueRank,
    ua.AttributeIds.Description,
    ua.AttributeIds.AccessLevel,
    ua.AttributeIds.UserAccessLevel,
)
READ_BIT, WRITE_BIT = 1, 2


@dataclass(frozen=True, slots=True)
class Described:
    """What a server says of a variable. `type` None: not known, or no variable. `range` is in `unit`.

    `builtin` is the number of the built-in type its DataType comes down to, 0 where that is not known.
    """

    type: Type | None = None
    builtin: int = 0
    array: bool = False
    readable: bool = False
    writable: bool = False
    unit: str = ""
    range: tuple[float, float] | None = None
    description: str = ""
    names: Names = UNNAMED


async def describe(connection: Connection, nodes: Sequence[Any]) -> list[Described]:
    """What the server says of these nodes; of ints, which are no nodes, nothing.

    Raises as Connection.call does when the connection is lost.
    """
    found = [Described() for _ in nodes]
    asked = [index for index, node in enumerate(nodes) if not isinstance(node, int)]
    types = _DataTypes(connection)
    for which in batches(asked, NODES_A_STEP):
        some = [nodes[index] for index in which]
        rows = await _attributes(connection, some)
        properties = await _properties(connection, some)
        await types.learn([row[0] for row in rows if isinstance(row[0], ua.NodeId)])
        for index, row, has in zip(which, rows, properties, strict=True):
            found[index] = _described(row, has, types)
    return found


def refined(table: TagTable, found: Mapping[int, Described]) -> TagTable:
    """The table with what it leaves empty filled in, by index of the tags: unit, range, description, names of values.

    Tags, their order and types stay. Of a tag that is scaled, or a field of a structure, only the description is the
    server's: unit and range are those of the whole node's own value.
    """
    tags = [_refined(tag, found[index]) if index in found else tag for index, tag in enumerate(table.tags)]
    return replace(table, tags=tuple(tags)) if tuple(tags) != table.tags else table


def _refined(tag: Tag, known: Described) -> Tag:
    if tag.formula:
        return tag
    tag = replace(tag, description=tag.description or known.description)
    if not tag.scale.neutral or tag.scale_by or "#!" in tag.address or tag.type == Type.STRING:
        return tag
    unit = TIME_UNIT if known.builtin == DATE_TIME and tag.type == Type.INT64 else known.unit
    named = tag.type in INTEGERS or tag.type == Type.BOOL
    return replace(
        tag,
        unit=tag.unit or unit,
        # A range is told in the server's unit: beside another one of the table's it would be a wrong one.
        range=tag.range or (known.range if not tag.unit or tag.unit == unit else None),
        names=tag.names or (known.names if named else tag.names),
    )


async def read_some(connection: Connection, wanted: Sequence[tuple[Any, Any]]) -> list[Any]:
    """The value of each (node, attribute), None where there is none. Raises when the connection is lost."""
    return [_value(one) for one in await read_data(connection, wanted)]


async def read_data(connection: Connection, wanted: Sequence[tuple[Any, Any]]) -> list[Any]:
    """The DataValue of each (node, attribute), None where it can't be read. Raises when the connection is lost."""
    values: list[Any] = []
    for some in batches(wanted, connection.limits.read):
        values += await _read_batch(connection, some)
    return values


async def _read_batch(connection: Connection, wanted: Sequence[tuple[Any, Any]]) -> list[Any]:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Neither
    request.Parameters.NodesToRead = [ua.ReadValueId(node, attribute) for node, attribute in wanted]
    try:
        results = (await connection.call(request, ua.ReadResponse)).Results
        if len(results) != len(wanted):
            raise ValueError("not as many results as were asked for")
    except (TimeoutError, OSError):
        raise
    except Exception as error:
        if getattr(error, "code", 0) in LOST_CODES:
            raise
        # One value that asyncua can't decode, or that makes the answer too large, costs the others nothing.
        if len(wanted) == 1:
            return [None]
        half = len(wanted) // 2
        return await _read_batch(connection, wanted[:half]) + await _read_batch(connection, wanted[half:])
    return list(results)


def _value(one: Any) -> Any:
    usable = one is not None and one.Value is not None and (one.StatusCode is None or not one.StatusCode.value >> 31)
    return one.Value.Value if usable else None


async def _attributes(connection: Connection, nodes: Sequence[Any]) -> list[list[Any]]:
    wanted = [(node, attribute) for node in nodes for attribute in ATTRIBUTES]
    values = await read_some(connection, wanted)
    return [values[at : at + len(ATTRIBUTES)] for at in range(0, len(values), len(ATTRIBUTES))]


async def _properties(connection: Connection, nodes: Sequence[Any]) -> list[dict[str, Any]]:
    """By name the values of the properties that each node has, of those that are used here."""
    found: list[dict[str, Any]] = [{} for _ in nodes]
    wanted = []
    told = await references(connection, nodes, HAS_PROPERTY, PROPERTIES_A_NODE_MAX * len(nodes))
    for index, those in enumerate(told):
        for one in those.found:
            node = plain(one.NodeId, connection.namespaces)
            if one.BrowseName.NamespaceIndex == 0 and one.BrowseName.Name in PROPERTIES and node is not None:
                wanted.append((index, one.BrowseName.Name, node))
    values = await read_some(connection, [(node, ua.AttributeIds.Value) for _, _, node in wanted])
    for (index, name, _), value in zip(wanted, values, strict=True):
        found[index][name] = value
    return found


class _DataTypes:
    """What data types come down to, and the names of those that are enumerations. Each is asked for once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._builtin: dict[Any, int] = {}
        self._names: dict[Any, Names] = {}

    async def learn(self, types: Sequence[Any]) -> None:
        """Ask for those that are not known yet."""
        new = list(dict.fromkeys(one for one in types if one not in self._builtin))
        at = {one: one for one in new}
        for _ in range(SUPERTYPES_MAX):
            self._builtin.update({one: number for one, above in at.items() if (number := _number(above))})
            at = {one: above for one, above in at.items() if one not in self._builtin}
            if not at:
                break
            told = await references(self._connection, list(at.values()), HAS_SUBTYPE, 10 * len(at), inverse=True)
            above = [
                plain(those.found[0].NodeId, self._connection.namespaces) if those.found else None for those in told
            ]
            at = {one: node for one, node in zip(at, above, strict=True) if node is not None}
        self._builtin.update({one: 0 for one in new if one not in self._builtin})
        named = [one for one in new if self._builtin[one] == ENUMERATION]
        await self._learn_names(named)

    async def _learn_names(self, types: Sequence[Any]) -> None:
        definitions = await read_some(self._connection, [(one, ua.AttributeIds.DataTypeDefinition) for one in types])
        for one, definition, has in zip(types, definitions, await _properties(self._connection, types), strict=True):
            if isinstance(definition, ua.EnumDefinition):
                pairs = [(int(each.Value), _shown(each.DisplayName) or each.Name) for each in definition.Fields]
                self._names[one] = _names(pairs)
            else:
                self._names[one] = _property_names(has)

    def builtin(self, data_type: Any) -> int:
        """The number of the built-in, or abstract, type that it comes down to; 0 where that is not known."""
        return self._builtin.get(data_type, 0)

    def names(self, data_type: Any) -> Names:
        """Those of its values."""
        return self._names.get(data_type, UNNAMED)


def _number(node: Any) -> int:
    number = node.Identifier if node.NamespaceIndex == 0 else 0
    return number if isinstance(number, int) and (number in TYPES or number in ABSTRACT) else 0


def _described(row: Sequence[Any], has: Mapping[str, Any], types: _DataTypes) -> Described:
    data_type, rank, description, access, user_access = row
    builtin = types.builtin(data_type) if isinstance(data_type, ua.NodeId) else 0
    array = isinstance(rank, int) and rank >= 0
    bits = (access if isinstance(access, int) else 0) & (user_access if isinstance(user_access, int) else access or 0)
    units = has.get("EngineeringUnits")
    return Described(
        Type.STRING if array else TYPES.get(builtin),
        builtin,
        array,
        bool(bits & READ_BIT),
        bool(bits & WRITE_BIT),
        unit_text(units.NamespaceUri or "", units.UnitId, _shown(units.DisplayName))
        if isinstance(units, ua.EUInformation)
        else "",
        _range(has.get("EURange")) or _range(has.get("InstrumentRange")),
        clean(_shown(description), DESCRIPTION_LETTERS_MAX),
        _property_names(has) or types.names(data_type),
    )


def _range(value: Any) -> tuple[float, float] | None:
    """The ends of a Range, which servers that know none may well give as 0 and 0."""
    if not isinstance(value, ua.Range):
        return None
    low, high = value.Low, value.High
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None


def _property_names(has: Mapping[str, Any]) -> Names:
    values, strings = has.get("EnumValues"), has.get("EnumStrings")
    if isinstance(values, list):
        return _names([(one.Value, _shown(one.DisplayName)) for one in values if isinstance(one, ua.EnumValueType)])
    if isinstance(strings, list):
        return _names([(number, _shown(text)) for number, text in enumerate(strings)])
    return UNNAMED


def _names(pairs: Sequence[tuple[int, str]]) -> Names:
    cleaned = {number: clean(text, NAME_LETTERS_MAX) for number, text in pairs[:NAMES_MAX]}
    return Names(tuple(sorted((number, text) for number, text in cleaned.items() if text)))


def _shown(text: Any) -> str:
    return text.Text or "" if isinstance(text, ua.LocalizedText) else ""
