"""Structures of OPC UA, taken apart as their server defines them: fields as tags, the whole as JSON."""

import asyncio
import json
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.common.type_dictionary_builder import DataTypeDictionaryBuilder
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.opcua.peers import THINGS, asyncua_server, node_opcua
from tidegate.model.frame import unpack_value
from tidegate.model.status import (
    BAD_CONFIGURATION_ERROR,
    BAD_DATA_TYPE_ID_UNKNOWN,
    BAD_DECODING_ERROR,
    BAD_ENCODING_LIMITS_EXCEEDED,
    BAD_NO_DATA,
    BAD_TYPE_MISMATCH,
)
from tidegate.model.tag import Type
from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.definitions import learn_nodes, learn_unknown
from tidegate_drivers.opcua.dictionary import parse
from tidegate_drivers.opcua.standard import standard_types
from tidegate_drivers.opcua.structures import Field, Form, Structure, Types
from tidegate_drivers.opcua.values import Part, slot
from tidegate_drivers.opcua.wire import (
    BINARY_BODY,
    BYTE,
    DOUBLE,
    EXTENSION_OBJECT,
    INT32,
    STRING,
    VARIANT,
    Datum,
    Extension,
    Identifier,
    Undecodable,
)

VALUE = 13
POINT, STROKE, RECIPE, CHOICE, TREE, MIXED, EMPTY_ONE, GRID = (Identifier(2, number) for number in range(1, 9))


def types() -> Types:
    """Of a server that defines a structure of each form; the encoding of each is its number and 100."""
    found = standard_types(("http://opcfoundation.org/UA/", "urn:us", "urn:plant"))
    for data_type, structure in {
        POINT: Structure("Point", (Field("X", DOUBLE), Field("Y", DOUBLE))),
        STROKE: Structure(
            "Stroke",
            (
                Field("Name", STRING),
                Field("Ends", EXTENSION_OBJECT, 1, structure=POINT),
                Field("Mode", INT32, names={2: "Fault"}),
            ),
        ),
        RECIPE: Structure(
            "Recipe",
            (Field("Name", STRING), Field("Speed", DOUBLE, optional=True), Field("Count", INT32, optional=True)),
            Form.OPTIONAL,
        ),
        CHOICE: Structure(
            "Choice",
            (Field("Number", INT32), Field("Place", EXTENSION_OBJECT, structure=POINT)),
            Form.UNION,
        ),
        TREE: Structure("Tree", (Field("Inner", EXTENSION_OBJECT, 1, structure=TREE),)),
        MIXED: Structure("Mixed", (Field("Any", VARIANT), Field("Some", EXTENSION_OBJECT))),
        EMPTY_ONE: Structure("Empty", ()),
        GRID: Structure("Grid", (Field("Cells", BYTE, 2),)),
    }.items():
        found.add(data_type, structure, _encoding(data_type))
    return found  # fmt: skip


def _encoding(data_type: Identifier) -> Identifier:
    assert isinstance(data_type.value, int)
    return Identifier(data_type.namespace, data_type.value + 100)


def body(data_type: Identifier, data: bytes) -> Datum:
    """A value as it comes off the wire."""
    return Datum(EXTENSION_OBJECT, Extension(_encoding(data_type), BINARY_BODY, data))


def told(datum: Datum, known: Types, kind: Type = Type.STRING, *fields: str | int) -> object:
    """What a tag says of it: its value, or the status in place of it."""
    side = bytearray()
    found, override = slot(Part(kind, fields), datum, side, known)
    return override if override is not None else unpack_value(kind, found, bytes(side))


P12 = struct.pack("<dd", 1, 2)
STROKE_BODY = b"\x02\x00\x00\x00s1" + b"\x02\x00\x00\x00" + P12 + struct.pack("<dd", 3, 4) + b"\x02\x00\x00\x00"


@pytest.mark.parametrize(
    ("datum", "expected"),
    [
        (body(POINT, P12), '{"X":1.0,"Y":2.0}'),
        (body(STROKE, STROKE_BODY), '{"Name":"s1","Ends":[{"X":1.0,"Y":2.0},{"X":3.0,"Y":4.0}],"Mode":"Fault"}'),
        (body(RECIPE, b"\x02\x00\x00\x00\x01\x00\x00\x00r\x07\x00\x00\x00"), '{"Name":"r","Count":7}'),
        (body(CHOICE, b"\x02\x00\x00\x00" + P12), '{"Place":{"X":1.0,"Y":2.0}}'),
        (body(CHOICE, bytes(4)), "null"),
        (body(EMPTY_ONE, b""), "{}"),
        (body(GRID, b"\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x05\x06"), '{"Cells":[[5],[6]]}'),
        (body(MIXED, b"\x03\x07" + b"\x01\x02\x65\x00\x01\x10\x00\x00\x00" + P12),
         '{"Any":7,"Some":{"X":1.0,"Y":2.0}}'),
        (body(MIXED, b"\x00" + b"\x01\x02\xe7\x03\x01\x01\x00\x00\x00\xff"),
         '{"Any":null,"Some":{"UaTypeId":"nsu=urn:plant;i=999","UaBody":"/w=="}}'),
    ],
)  # fmt: skip
def test_a_structure_of_each_form_is_json_in_a_string_tag(datum: Datum, expected: str) -> None:
    assert expected == told(datum, types())


@pytest.mark.parametrize(
    ("fields", "kind", "expected"),
    [
        (("Ends", 1, "X"), Type.FLOAT64, 3.0),
        (("Ends", 2, "X"), Type.FLOAT64, 0x80370000),
        (("Ends", "X"), Type.FLOAT64, BAD_TYPE_MISMATCH),
        (("Ends",), Type.FLOAT64, BAD_TYPE_MISMATCH),
        (("Ends",), Type.STRING, '[{"X":1.0,"Y":2.0},{"X":3.0,"Y":4.0}]'),
        (("Mode",), Type.STRING, "Fault"),
        (("Mode",), Type.INT32, 2),
        (("Nothing",), Type.INT32, BAD_CONFIGURATION_ERROR),
    ],
)
def test_a_field_is_a_tag_of_its_own(fields: tuple[str | int, ...], kind: Type, expected: object) -> None:
    assert expected == told(body(STROKE, STROKE_BODY), types(), kind, *fields)


def test_an_optional_field_that_is_absent_and_one_of_a_union_that_is_not_set_are_no_data() -> None:
    recipe = body(RECIPE, b"\x02\x00\x00\x00\x01\x00\x00\x00r\x07\x00\x00\x00")

    assert BAD_NO_DATA == told(recipe, types(), Type.FLOAT64, "Speed")
    assert BAD_NO_DATA == told(body(CHOICE, b"\x02\x00\x00\x00" + P12), types(), Type.INT32, "Number")


@pytest.mark.parametrize(
    ("datum", "status"),
    [
        (body(POINT, P12[:-1]), BAD_DECODING_ERROR),
        (body(POINT, P12 + b"\x00"), BAD_DECODING_ERROR),
        (body(RECIPE, b"\x04\x00\x00\x00\x01\x00\x00\x00r"), BAD_DECODING_ERROR),
        (body(CHOICE, b"\x03\x00\x00\x00"), BAD_DECODING_ERROR),
        (body(STROKE, b"\x00\x00\x00\x00" + b"\xff\xff\xff\x7f"), BAD_DECODING_ERROR),
        (body(GRID, b"\x01\x00\x00\x00\x01\x00\x00\x00\x05"), BAD_DECODING_ERROR),
        (body(TREE, b"\x01\x00\x00\x00" * 40 + bytes(4)), BAD_ENCODING_LIMITS_EXCEEDED),
        (body(Identifier(2, 999), P12), BAD_DATA_TYPE_ID_UNKNOWN),
        (Datum(EXTENSION_OBJECT, Extension(_encoding(POINT), 2, b"<Point/>")), BAD_DATA_TYPE_ID_UNKNOWN),
    ],
)
def test_a_body_that_is_not_as_defined_is_no_value(datum: Datum, status: int) -> None:
    assert status == told(datum, types())


def test_structures_that_hold_themselves_have_an_end_though_each_has_a_body_of_its_own() -> None:
    inner = b"\x00\x00\x00"
    for _ in range(60):
        inner = b"\x01\x02\x6a\x00\x01" + struct.pack("<i", len(inner) + 1) + b"\x00" + inner

    found = told(body(MIXED, b"\x00" + inner), types())

    assert BAD_ENCODING_LIMITS_EXCEEDED == found


def test_tags_that_share_a_structure_take_it_apart_once() -> None:
    known, whole = types(), body(STROKE, STROKE_BODY)
    assert isinstance(whole.content, Extension)

    assert known.record(whole.content) is known.record(whole.content)


@given(st.sampled_from([POINT, STROKE, RECIPE, CHOICE, TREE, MIXED, GRID]), st.binary(max_size=80))
def test_no_body_does_more_than_be_no_value(data_type: Identifier, data: bytes) -> None:
    found = told(body(data_type, data), types())

    assert isinstance(found, int) or json.loads(str(found)) is not NotImplemented


@given(st.binary(max_size=200), st.integers(0, 40))
def test_no_dictionary_does_more_than_define_nothing(data: bytes, at: int) -> None:
    text = XML.encode()

    assert isinstance(parse(data, "d"), dict)
    assert isinstance(parse(text[:at] + data + text[at:], "d"), dict)


XML = """<?xml version="1.0" encoding="utf-8"?>
<opc:TypeDictionary xmlns:opc="http://opcfoundation.org/BinarySchema/" xmlns:ua="http://opcfoundation.org/UA/"
 xmlns:tns="urn:plant" DefaultByteOrder="LittleEndian" TargetNamespace="urn:plant">
 <!-- old ones -->
 <opc:EnumeratedType Name="Mode" LengthInBits="32">
  <opc:EnumeratedValue Name="Off" Value="0"/><opc:EnumeratedValue Name="On" Value="1"/>
 </opc:EnumeratedType>
 <opc:StructuredType Name="Plain" BaseType="ua:ExtensionObject">
  <opc:Field Name="Mode" TypeName="tns:Mode"/>
  <opc:Field Name="NoOfRanges" TypeName="opc:Int32"/>
  <opc:Field Name="Ranges" TypeName="ua:Range" LengthField="NoOfRanges"/>
  <opc:Field Name="Inner" TypeName="tns:Maybe"/>
 </opc:StructuredType>
 <opc:StructuredType Name="Maybe" BaseType="ua:ExtensionObject">
  <opc:Field Name="SpeedSpecified" TypeName="opc:Bit"/>
  <opc:Field Name="Reserved1" TypeName="opc:Bit" Length="31"/>
  <opc:Field Name="Name" TypeName="opc:CharArray"/>
  <opc:Field Name="Speed" TypeName="opc:Double" SwitchField="SpeedSpecified"/>
 </opc:StructuredType>
 <opc:StructuredType Name="Choice" BaseType="ua:Union">
  <opc:Field Name="SwitchField" TypeName="opc:UInt32"/>
  <opc:Field Name="Number" TypeName="opc:Int32" SwitchField="SwitchField" SwitchValue="1"/>
  <opc:Field Name="Text" TypeName="opc:String" SwitchField="SwitchField" SwitchValue="2"/>
 </opc:StructuredType>
 <opc:StructuredType Name="Odd"><opc:Field Name="A" TypeName="opc:Byte" Terminator="00"/></opc:StructuredType>
</opc:TypeDictionary>"""


def test_an_old_dictionary_defines_structures_of_each_form_and_leaves_out_what_it_does_not_know() -> None:
    found = parse(XML.encode(), "d")

    assert {"Plain", "Maybe", "Choice"} == set(found)
    assert (Form.PLAIN, Form.OPTIONAL, Form.UNION) == tuple(found[one].form for one in ("Plain", "Maybe", "Choice"))
    assert [("Mode", INT32, -1), ("Ranges", EXTENSION_OBJECT, 1), ("Inner", EXTENSION_OBJECT, -1)] == [
        (one.name, one.builtin, one.rank) for one in found["Plain"].fields
    ]
    assert [False, True] == [one.optional for one in found["Maybe"].fields]
    assert {0: "Off", 1: "On"} == found["Plain"].fields[0].names


def test_a_dictionary_that_unfolds_is_none() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]>'

    assert {} == parse(XML.replace("?>", "?>" + bomb, 1).encode(), "d")
    assert {} == parse(XML.replace("utf-8", "utf-16").encode("utf-16"), "d")


@asynccontextmanager
async def asking(url: str) -> Any:
    """An open session with a server, and the types that it has told so far: none."""
    async with Client(url) as client:
        namespaces = tuple(await client.get_namespace_array())
        send: Callable[[Any], Awaitable[Any]] = client.uaclient.protocol.send_request
        yield Asking(send), standard_types(namespaces)


NAMES = ("mode", "point", "stroke", "recipe", "choice", "points")
WHOLE = {
    "point": {"X": 1.5, "Y": -2.5},
    "stroke": {"Name": "s1", "From": {"X": 1, "Y": 2}, "To": {"X": 3, "Y": 4}, "Widths": [0.5, 0.25], "Mode": "Fault"},
    "recipe": {"Name": "r1", "Count": 3},
    "choice": {"Text": "chosen"},
    "points": [{"X": 1, "Y": 2}, {"X": 3, "Y": 4}],
}


@pytest.mark.parametrize("peer", [node_opcua, asyncua_server])
def test_structures_of_servers_are_read_with_their_own_definitions(peer: Any, tmp_path: Path) -> None:
    with peer(tmp_path) as server:
        found, names = asyncio.run(_things(server.url))

    assert WHOLE == {name: json.loads(str(told)) for name, told in found.items() if name != "mode"}
    assert {0: "Idle", 1: "Running", 2: "Fault"} == names


async def _things(url: str) -> tuple[dict[str, object], dict[int, str]]:
    async with asking(url) as (ask, known):
        space = known.namespaces.index(THINGS)
        nodes = [Identifier(space, name) for name in NAMES]
        data_types = await learn_nodes(ask, known, nodes)
        values = await ask.read(nodes, VALUE)
        said = {name: told(one.datum, known) for name, one in zip(NAMES, values, strict=True)}
        assert data_types[0] is not None
        return said, known.enumerations[data_types[0]]


def test_types_of_a_server_that_clash_with_those_of_another_are_its_own() -> None:
    async def both() -> tuple[object, object]:
        async with (
            _server("A", ua.VariantType.Double) as first,
            _server("B", ua.VariantType.Int64) as second,
            asking(first) as (one, mine),
            asking(second) as (other, theirs),
        ):
            node = Identifier(1, "v")
            await learn_nodes(one, mine, [node])
            await learn_nodes(other, theirs, [node])
            [a], [b] = await one.read([node], VALUE), await other.read([node], VALUE)
            return told(a.datum, mine), told(b.datum, theirs)

    assert ('{"A":0.0}', '{"B":0}') == asyncio.run(both())


@asynccontextmanager
async def _server(field: str, kind: ua.VariantType) -> Any:
    """A server whose node ns=1;s=v holds a structure of one field of eight zero bytes; ids are alike on all of them."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    data_type, [encoding] = await new_struct(
        server, ua.NodeId(7001, 1), ua.QualifiedName("T", 1), [new_struct_field(field, kind)]
    )
    value = ua.Variant(ua.ExtensionObject(encoding.nodeid, bytes(8)), ua.VariantType.ExtensionObject)
    await server.nodes.objects.add_variable(ua.NodeId("v", 1), "1:v", value, datatype=data_type.nodeid)
    async with server:
        yield f"opc.tcp://127.0.0.1:{server.bserver._server.sockets[0].getsockname()[1]}/"


async def _only(url: str) -> object:
    async with asking(url) as (ask, known):
        node = Identifier(1, "v")
        await learn_nodes(ask, known, [node])
        [value] = await ask.read([node], VALUE)
        return told(value.datum, known)


def test_a_type_that_is_met_only_in_a_value_is_asked_for() -> None:
    async def later() -> tuple[object, bool, object, bool]:
        async with _server("A", ua.VariantType.Double) as url, asking(url) as (ask, known):
            [value] = await ask.read([Identifier(1, "v")], VALUE)
            before = told(value.datum, known)
            learnt = await learn_unknown(ask, known)
            return before, learnt, told(value.datum, known), await learn_unknown(ask, known)

    assert (BAD_DATA_TYPE_ID_UNKNOWN, True, '{"A":0.0}', False) == asyncio.run(later())


def test_a_server_with_an_old_dictionary_is_read_too() -> None:
    async def old() -> object:
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        index = await server.register_namespace("urn:old")
        builder = DataTypeDictionaryBuilder(server, index, "urn:old", "Old")
        await builder.init()
        inner = await builder.create_data_type("Inner")
        inner.add_field("Count", ua.VariantType.Int32)
        outer = await builder.create_data_type("Outer")
        outer.add_field("Name", ua.VariantType.String)
        outer.add_field("Values", ua.VariantType.Float, is_array=True)
        outer.add_field("Inner", inner)
        await builder.set_dict_byte_string()
        data_type = ua.NodeId(outer.data_type.Identifier, index)
        [encoding] = await server.get_node(data_type).get_referenced_nodes(ua.ObjectIds.HasEncoding)
        data = b"\x01\x00\x00\x00n" + b"\x01\x00\x00\x00" + struct.pack("<fi", 0.1, 9)
        value = ua.Variant(ua.ExtensionObject(encoding.nodeid, data), ua.VariantType.ExtensionObject)
        await server.nodes.objects.add_variable(ua.NodeId("v", 1), "1:v", value, datatype=data_type)
        async with server:
            return await _only(f"opc.tcp://127.0.0.1:{server.bserver._server.sockets[0].getsockname()[1]}/")

    assert '{"Name":"n","Values":[0.1],"Inner":{"Count":9}}' == asyncio.run(old())


def test_values_of_an_enumeration_have_the_names_that_the_server_gives() -> None:
    async def named() -> tuple[object, dict[int, str]]:
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        mode = await new_enum(server, 1, "Mode", ["Off", "On"])
        await server.nodes.objects.add_variable(ua.NodeId("v", 1), "1:v", 1, ua.VariantType.Int32, mode.nodeid)
        async with server:
            url = f"opc.tcp://127.0.0.1:{server.bserver._server.sockets[0].getsockname()[1]}/"
            async with asking(url) as (ask, known):
                [data_type] = await learn_nodes(ask, known, [Identifier(1, "v")])
                return known.bases[data_type], known.enumerations[data_type]

    assert (INT32, {0: "Off", 1: "On"}) == asyncio.run(named())


def test_a_definition_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="one name"):
        Structure("S", (Field("A", BYTE), Field("A", BYTE)))
    with pytest.raises(ValueError, match="array"):
        Structure("S", (Field("A", BYTE, 0),))
    with pytest.raises(Undecodable):
        types().record(Extension(_encoding(POINT), BINARY_BODY, b""))
