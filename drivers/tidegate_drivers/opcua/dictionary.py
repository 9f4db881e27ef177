"""Dictionary: definitions of servers that have them only in the old way, as XML (OPC 10000-3 Annex D, OPC Binary).

data type ──▶ encoding "Default Binary" ──▶ its description, whose value is a name ──▶ the dictionary that has the name

What the XML can say is more than what structures are made of; a type that says more stays unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from tidegate.model.status import is_bad
from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.standard import STANDARD
from tidegate_drivers.opcua.structures import FIELDS_MAX, Field, Form, Structure, Types
from tidegate_drivers.opcua.wire import (
    BOOLEAN,
    BYTE,
    BYTE_STRING,
    DATA_VALUE,
    DATE_TIME,
    DIAGNOSTIC_INFO,
    DOUBLE,
    EXPANDED_NODE_ID,
    EXTENSION_OBJECT,
    FLOAT,
    GUID,
    INT16,
    INT32,
    INT64,
    LOCALIZED_TEXT,
    NODE_ID,
    QUALIFIED_NAME,
    SBYTE,
    STATUS_CODE,
    STRING,
    UINT16,
    UINT32,
    UINT64,
    VARIANT,
    XML_ELEMENT,
    Identifier,
)

HAS_DESCRIPTION, HAS_COMPONENT = 39, 47
VALUE = 13
XML_BYTES_MAX = 4 * 1024 * 1024
SCHEMA = "http://opcfoundation.org/BinarySchema/"
STANDARD_TYPES = "http://opcfoundation.org/UA/"

BUILT_IN = {
    "Boolean": BOOLEAN, "SByte": SBYTE, "Byte": BYTE, "Int16": INT16, "UInt16": UINT16, "Int32": INT32,
    "UInt32": UINT32, "Int64": INT64, "UInt64": UINT64, "Float": FLOAT, "Double": DOUBLE, "String": STRING,
    "CharArray": STRING, "DateTime": DATE_TIME, "Guid": GUID, "ByteString": BYTE_STRING,
}  # fmt: skip
BUILT_IN_STANDARD = {
    "XmlElement": XML_ELEMENT, "NodeId": NODE_ID, "ExpandedNodeId": EXPANDED_NODE_ID, "StatusCode": STATUS_CODE,
    "QualifiedName": QUALIFIED_NAME, "LocalizedText": LOCALIZED_TEXT, "ExtensionObject": EXTENSION_OBJECT,
    "DataValue": DATA_VALUE, "Variant": VARIANT, "DiagnosticInfo": DIAGNOSTIC_INFO,
}  # fmt: skip
BIT, CHAR = "Bit", "Char"
# How wide an enumeration is, in bits.
ENUMERATIONS = {8: BYTE, 16: UINT16, 32: INT32}
MASK_BITS = 32


class Unusual(ValueError):
    """A type that can't be a structure as they are sent."""


async def learn_dictionaries(asking: Asking, types: Types, encodings: Mapping[Identifier, Identifier]) -> None:
    """Learn structures, given by data type with their binary encodings, from the dictionaries. Raises what asking
    raises; what is not found, or makes no sense, stays unknown."""
    described = await _first(asking, list(encodings.values()), HAS_DESCRIPTION)
    names = await asking.read(list(described.values()), VALUE)
    named = {
        encoding: sample.datum.content
        for encoding, sample in zip(described, names, strict=True)
        if isinstance(sample.datum.content, str) and not is_bad(sample.status)
    }
    homes = await _first(asking, [described[one] for one in named], HAS_COMPONENT, inverse=True)
    schemas: dict[Identifier, dict[str, Structure]] = {}
    wanted = sorted(set(homes.values()), key=str)
    for home, sample in zip(wanted, await asking.read(wanted, VALUE), strict=True):
        content = sample.datum.content
        if isinstance(content, bytes) and not is_bad(sample.status):
            schemas[home] = parse(content, f"dictionary {home}")
            for name, structure in schemas[home].items():
                types.add(_key(f"dictionary {home}", name), structure)
    for data_type, encoding in encodings.items():
        home = homes.get(described.get(encoding, Identifier()), Identifier())
        found = schemas.get(home, {}).get(str(named.get(encoding)))
        if found is not None:
            types.add(data_type, found, encoding)


async def _first(
    asking: Asking, nodes: Sequence[Identifier], reference: int, inverse: bool = False
) -> dict[Identifier, Identifier]:
    """For each node the first one at the far end of a reference, where there is one."""
    ends = await asking.browse(nodes, reference, inverse)
    return {node: found[0].node for node, found in zip(nodes, ends, strict=True) if found}


def parse(xml: bytes, home: str) -> dict[str, Structure]:
    """The structures of a dictionary by name; inner ones are found under `home` and their name. Empty when it is none.

    A document that defines entities is none: they could be made to unfold without end.
    """
    try:
        text = _without_comments(xml.decode("utf-8-sig"))
        # With zero bytes it is UTF-16 after all, in which nothing would be found.
        if len(xml) > XML_BYTES_MAX or "<!" in text or "\0" in text:
            return {}
        root, spaces = _tree(xml)
    except (LookupError, ValueError, ParseError):
        return {}
    if root is None or root.get("DefaultByteOrder", "LittleEndian") != "LittleEndian":
        return {}
    schema = _Schema(home, root.get("TargetNamespace", ""), spaces, _enumerations(root))
    found: dict[str, Structure] = {}
    for element in root.iterfind(f"{{{SCHEMA}}}StructuredType"):
        name = element.get("Name", "")
        try:
            found[name] = schema.structure(name, element)
        except ValueError:
            continue
    return found


def _without_comments(text: str) -> str:
    kept = []
    while text:
        before, mark, rest = text.partition("<!--")
        kept.append(before)
        text = rest.partition("-->")[2] if mark else ""
    return "".join(kept)


def _tree(xml: bytes) -> tuple[Element | None, dict[str, str]]:
    parser: XMLPullParser[Element] = XMLPullParser(("start-ns", "start"))
    parser.feed(xml)
    parser.close()
    root: Element | None = None
    spaces: dict[str, str] = {}
    events: Iterator[Any] = parser.read_events()
    for event, found in events:
        if event == "start-ns":
            spaces.setdefault(found[0], found[1])
        elif root is None:
            root = found
    return root, spaces


def _enumerations(root: Element) -> dict[str, Field]:
    """For each enumeration a field of it."""
    found: dict[str, Field] = {}
    for element in root.iterfind(f"{{{SCHEMA}}}EnumeratedType"):
        builtin = ENUMERATIONS.get(_number(element, "LengthInBits", 32))
        values = {
            _number(one, "Value", -1): one.get("Name", "") for one in element.iterfind(f"{{{SCHEMA}}}EnumeratedValue")
        }
        if builtin is not None:
            found[element.get("Name", "")] = Field("", builtin, names=values if builtin == INT32 else None)
    return found


def _number(element: Element, attribute: str, default: int) -> int:
    text = element.get(attribute, "")
    return int(text) if text.isascii() and text.isdigit() else default


def _key(home: str, name: str) -> Identifier:
    """What a structure of a dictionary is known by, apart from all NodeIds."""
    return Identifier(0, name, home)


@dataclass(frozen=True, slots=True)
class _Schema:
    home: str
    target: str
    spaces: Mapping[str, str]
    enumerations: Mapping[str, Field]

    def structure(self, name: str, element: Element) -> Structure:
        """One structured type. Raises Unusual, and ValueError on what Structure does not take."""
        parts = list(element.iterfind(f"{{{SCHEMA}}}Field"))
        if len(parts) > FIELDS_MAX:
            raise Unusual(f"more than {FIELDS_MAX} fields")
        bits = [one for one in parts if self._type(one) == (SCHEMA, BIT)]
        rest = [one for one in parts if one not in bits]
        if bits:
            if parts[: len(bits)] != bits or sum(_number(one, "Length", 1) for one in bits) != MASK_BITS:
                raise Unusual("bits that are no mask of optional fields")
            return self._optional(name, [one.get("Name", "") for one in bits], rest)
        switch = rest[0].get("Name", "") if rest else ""
        if len(rest) > 1 and any(one.get("SwitchValue") for one in rest):
            return self._union(name, switch, rest)
        return Structure(name, tuple(field for field, _ in self._fields(rest, ())))

    def _optional(self, name: str, bits: list[str], parts: list[Element]) -> Structure:
        fields = list(self._fields(parts, bits))
        switches = [switch for _, switch in fields if switch]
        # The bits of fields come in the order of the fields, and nothing lies between them.
        if switches != bits[: len(switches)]:
            raise Unusual("optional fields in another order than their bits")
        return Structure(name, tuple(replace(field, optional=bool(switch)) for field, switch in fields), Form.OPTIONAL)

    def _union(self, name: str, switch: str, parts: list[Element]) -> Structure:
        if self._type(parts[0]) != (SCHEMA, "UInt32") or parts[0].get("SwitchField"):
            raise Unusual("a union whose first field does not say which is set")
        fields = list(self._fields(parts[1:], (switch,)))
        values = [_number(one, "SwitchValue", 0) for one in parts[1:] if not self._length(one, parts)]
        if values != list(range(1, len(fields) + 1)) or any(found != switch for _, found in fields):
            raise Unusual("a union whose fields are not numbered from 1")
        return Structure(name, tuple(field for field, _ in fields), Form.UNION)

    def _fields(self, parts: Sequence[Element], switches: Sequence[str]) -> Iterator[tuple[Field, str]]:
        """The fields, each with the name of its switch; the lengths of arrays are part of their array."""
        before: Element | None = None
        for element in parts:
            if self._length(element, parts):
                before = element
                continue
            counted, switch = element.get("LengthField", ""), element.get("SwitchField", "")
            if counted and (before is None or before.get("Name") != counted):
                raise Unusual("an array whose length does not come right before it")
            if counted and before is not None and before.get("SwitchField", "") != switch:
                raise Unusual("an array that may be there without its length")
            if (switch and switch not in switches) or any(element.get(one) for one in ("Terminator", "Length")):
                raise Unusual("a field that nobody knows how to read")
            if element.get("SwitchOperand", "Equals") != "Equals":
                raise Unusual("a switch that is compared")
            yield self._field(element, bool(counted)), switch
            before = None

    def _length(self, element: Element, parts: Sequence[Element]) -> bool:
        """Whether a field is the length of an array."""
        name = element.get("Name", "")
        return self._type(element) == (SCHEMA, "Int32") and any(one.get("LengthField") == name for one in parts)

    def _field(self, element: Element, array: bool) -> Field:
        label, (space, name) = element.get("Name", ""), self._type(element)
        rank = 1 if array else -1
        if space == SCHEMA and name == CHAR and array:
            return Field(label, STRING)
        if space == SCHEMA and name in BUILT_IN:
            return Field(label, BUILT_IN[name], rank)
        if space == STANDARD_TYPES and name in BUILT_IN_STANDARD:
            return Field(label, BUILT_IN_STANDARD[name], rank)
        if space == STANDARD_TYPES:
            for (data_type, _), structure in STANDARD.items():
                if structure.name == name:
                    return Field(label, EXTENSION_OBJECT, rank, structure=Identifier(0, data_type))
        if space == self.target and name in self.enumerations:
            return replace(self.enumerations[name], name=label, rank=rank)
        if space == self.target:
            return Field(label, EXTENSION_OBJECT, rank, structure=_key(self.home, name))
        raise Unusual(f"a field of the type {name} of {space}")

    def _type(self, element: Element) -> tuple[str, str]:
        prefix, colon, name = element.get("TypeName", "").rpartition(":")
        return self.spaces.get(prefix if colon else "", ""), name
