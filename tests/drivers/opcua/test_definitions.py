"""What a server says of its data types: subtypes of built-in ones, fields of any type, names of enumerations."""

import asyncio
import struct
from typing import Any

import pytest
from asyncua import Client, Server, ua

from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.definitions import learn_nodes
from tidegate_drivers.opcua.plain import json_of
from tidegate_drivers.opcua.standard import standard_types
from tidegate_drivers.opcua.structures import Types
from tidegate_drivers.opcua.wire import DOUBLE, INT32, UINT16, Identifier, Sample, Undecodable

URIS = ("http://opcfoundation.org/UA/", "urn:us")
VALUE = 13
STRUCTURE, OPTIONAL_FIELDS, UNION, SUBTYPED, SUBTYPED_UNION = range(5)
NUMBER, BASE_STRUCTURE, ENUMERATION, DURATION = (ua.NodeId(number) for number in (26, 22, 29, 290))
POINT, SPAN, KIND, LEVEL, FLAGS, ABSTRACT = (ua.NodeId(number, 1) for number in range(7001, 7007))


def field(name: str, data_type: ua.NodeId, rank: int = -1, flag: bool = False) -> ua.StructureField:
    """One of a StructureDefinition."""
    return ua.StructureField(Name=name, DataType=data_type, ValueRank=rank, IsOptional=flag)


def _encoding(data_type: ua.NodeId) -> ua.NodeId:
    return ua.NodeId(data_type.Identifier + 100, 1)


class Stand:
    """A server to which data types are added one by one, and a variable of the last."""

    def __init__(self) -> None:
        self.server = Server()

    async def begin(self) -> None:
        """What all tests need: a point, a kind (subtype of Double, by way of Duration), and two enumerations."""
        await self.server.init()
        self.server.set_endpoint("opc.tcp://127.0.0.1:0/")
        await self.add(POINT, "Point", BASE_STRUCTURE, [field("X", ua.NodeId(11)), field("Y", ua.NodeId(11))])
        await self.add(SPAN, "Span", DURATION)
        level = await self.add(LEVEL, "Level", ENUMERATION)
        await level.add_property(0, "EnumStrings", [ua.LocalizedText("Low"), ua.LocalizedText("High")])
        kind = await self.add(KIND, "Kind", ENUMERATION)
        values = [ua.EnumValueType(Value=number, DisplayName=ua.LocalizedText(name)) for number, name in
                  ((-1, "Odd"), (4096, "Even"))]  # fmt: skip
        await kind.add_property(0, "EnumValues", values)
        await self.add(FLAGS, "Flags", ua.NodeId(5))
        abstract = await self.add(ABSTRACT, "Abstract", BASE_STRUCTURE)
        await abstract.write_attribute(ua.AttributeIds.IsAbstract, ua.DataValue(ua.Variant(True)))

    async def add(
        self, node: ua.NodeId, name: str, parent: ua.NodeId, fields: list[ua.StructureField] | None = None,
        form: int = STRUCTURE,
    ) -> Any:  # fmt: skip
        """A data type, with its binary encoding where it has fields."""
        made = await self.server.get_node(parent).add_data_type(node, ua.QualifiedName(name, 1))
        if fields is not None:
            encoding = await made.add_object(_encoding(node), "0:Default Binary", 76)
            await made.add_reference(encoding, ua.ObjectIds.HasEncoding, True, False)
            await encoding.add_reference(made, ua.ObjectIds.HasEncoding, False, False)
            definition = ua.StructureDefinition(StructureType=ua.StructureType(form), Fields=fields)
            await made.write_data_type_definition(definition)
        return made

    async def told(self, values: dict[str, tuple[ua.NodeId, ua.ExtensionObject]]) -> tuple[dict[str, str], Types]:
        """Variables of these data types and values, as JSON, and what was learnt of types; "" where none could be."""
        for name, (data_type, extension) in values.items():
            value = ua.Variant(extension, ua.VariantType.ExtensionObject)
            await self.server.nodes.objects.add_variable(ua.NodeId(name, 1), f"1:{name}", value, datatype=data_type)
        nodes = [Identifier(1, name) for name in values]
        async with self.server:
            port = self.server.bserver._server.sockets[0].getsockname()[1]
            async with Client(f"opc.tcp://127.0.0.1:{port}/") as client:
                ask, types = Asking(client.uaclient.protocol.send_request), standard_types(URIS)
                await learn_nodes(ask, types, nodes)
                found = await ask.read(nodes, VALUE)
                return {name: _json(one, types) for name, one in zip(values, found, strict=True)}, types


def _json(sample: Sample, types: Types) -> str:
    try:
        return json_of(sample.datum, types)
    except (LookupError, Undecodable):
        return ""


P12 = struct.pack("<dd", 1, 2)
POINT_BODY = b"\x01\x01" + struct.pack("<H", 7101) + b"\x01" + struct.pack("<i", 16) + P12
ITSELF = ua.NodeId(7060, 1)

# Structures of these fields and form, a body of each, and what it says. Their numbers begin with that of ITSELF.
CASES: dict[str, tuple[list[ua.StructureField], int, bytes, str]] = {
    "itself": ([field("Inner", ITSELF, 1)], STRUCTURE, b"\x01\x00\x00\x00" + bytes(4), '{"Inner":[{"Inner":[]}]}'),
    "subtypes": ([field("A", SPAN), field("B", FLAGS, 1)], STRUCTURE,
     struct.pack("<d", 0.5) + b"\x02\x00\x00\x00\x01\x00\x02\x00", '{"A":0.5,"B":[1,2]}'),
    "names": ([field("L", LEVEL), field("K", KIND), field("M", KIND)], STRUCTURE, struct.pack("<iii", 1, -1, 3),
     '{"L":"High","K":"Odd","M":3}'),
    "any": ([field("N", NUMBER), field("S", BASE_STRUCTURE)], STRUCTURE, b"\x03\x07" + POINT_BODY,
     '{"N":7,"S":{"X":1.0,"Y":2.0}}'),
    "abstract": ([field("S", ABSTRACT)], STRUCTURE, POINT_BODY, '{"S":{"X":1.0,"Y":2.0}}'),
    "subtyped": ([field("P", POINT), field("Q", POINT, flag=True), field("D", ua.NodeId(11), flag=True)], SUBTYPED,
     P12 + POINT_BODY + b"\x0a" + struct.pack("<f", 0.5),
     '{"P":{"X":1.0,"Y":2.0},"Q":{"X":1.0,"Y":2.0},"D":0.5}'),
    "subtyped union": ([field("P", POINT, flag=True)], SUBTYPED_UNION, b"\x01\x00\x00\x00" + POINT_BODY,
     '{"P":{"X":1.0,"Y":2.0}}'),
    "union": ([field("P", POINT), field("N", ua.NodeId(6))], UNION, b"\x02\x00\x00\x00\x09\x00\x00\x00", '{"N":9}'),
    "matrix": ([field("P", POINT, 2)], STRUCTURE, b"\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00" + P12,
     '{"P":[[{"X":1.0,"Y":2.0}]]}'),
    "optional": ([field("A", ua.NodeId(6), flag=True), field("L", LEVEL, flag=True)], OPTIONAL_FIELDS,
     b"\x02\x00\x00\x00\x00\x00\x00\x00", '{"L":"Low"}'),
    "nonsense": ([field("A", ua.NodeId(6)), field("A", ua.NodeId(6))], STRUCTURE, bytes(8), ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def heard() -> tuple[dict[str, str], Types]:
    async def run() -> tuple[dict[str, str], Types]:
        stand = Stand()
        await stand.begin()
        values = {}
        for number, (name, (fields, form, data, _)) in enumerate(CASES.items(), ITSELF.Identifier):
            node = ua.NodeId(number, 1)
            await stand.add(node, name, BASE_STRUCTURE, fields, form)
            values[name] = node, ua.ExtensionObject(_encoding(node), data)
        return await stand.told(values)

    return asyncio.run(run())


@pytest.mark.parametrize("name", CASES)
def test_fields_are_of_the_types_that_their_data_types_come_down_to(
    heard: tuple[dict[str, str], Types], name: str
) -> None:
    assert CASES[name][-1] == heard[0][name]


def test_data_types_come_down_to_built_in_ones_and_enumerations_have_names(
    heard: tuple[dict[str, str], Types],
) -> None:
    types = heard[1]

    assert [DOUBLE, UINT16, INT32, INT32] == [types.bases[Identifier(1, number)] for number in (7002, 7005, 7004, 7003)]
    assert {0: "Low", 1: "High"} == types.enumerations[Identifier(1, 7004)]
    assert {-1: "Odd", 4096: "Even"} == types.enumerations[Identifier(1, 7003)]
