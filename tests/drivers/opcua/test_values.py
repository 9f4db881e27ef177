"""Values of OPC UA in slots: each built-in type, what fits which tag, and what never becomes a number."""

import asyncio
import json
import math
import struct
import uuid
from datetime import UTC, datetime

import pytest
from asyncua import Client, Server, ua
from asyncua.ua.ua_binary import variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.frame import Frame, readings, unpack_value
from tidegate.model.status import (
    BAD_DATA_TYPE_ID_UNKNOWN,
    BAD_DECODING_ERROR,
    BAD_ENCODING_LIMITS_EXCEEDED,
    BAD_INDEX_RANGE_NO_DATA,
    BAD_NO_DATA,
    BAD_SENSOR_FAILURE,
    BAD_TYPE_MISMATCH,
)
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.opcua.columns import Columns
from tidegate_drivers.opcua.plain import json_of
from tidegate_drivers.opcua.structures import Types
from tidegate_drivers.opcua.values import Part, part_of, reading, slot
from tidegate_drivers.opcua.variants import datum_of, sample_of
from tidegate_drivers.opcua.wire import Datum, Reader, Sample, Undecodable

V = ua.VariantType
GUID = uuid.UUID("72962b91-fa75-4ae6-8d28-b404dc7daf63")
MOMENT = datetime(2026, 3, 4, 5, 6, 7, 123456, tzinfo=UTC)
MOMENT_US = 1772600767123456
TYPES = Types(namespaces=("http://opcfoundation.org/UA/", "urn:us", "urn:plant"))

# One of each built-in type with the tag that takes it, and what the tag then says.
EACH = [
    (ua.Variant(True, V.Boolean), Type.BOOL, True),
    (ua.Variant(-128, V.SByte), Type.INT8, -128),
    (ua.Variant(255, V.Byte), Type.UINT8, 255),
    (ua.Variant(-32768, V.Int16), Type.INT16, -32768),
    (ua.Variant(65535, V.UInt16), Type.UINT16, 65535),
    (ua.Variant(-(2**31), V.Int32), Type.INT32, -(2**31)),
    (ua.Variant(2**32 - 1, V.UInt32), Type.UINT32, 2**32 - 1),
    (ua.Variant(-(2**63), V.Int64), Type.INT64, -(2**63)),
    (ua.Variant(2**64 - 1, V.UInt64), Type.UINT64, 2**64 - 1),
    (ua.Variant(0.5, V.Float), Type.FLOAT32, 0.5),
    (ua.Variant(0.1, V.Double), Type.FLOAT64, 0.1),
    (ua.Variant("Grüße 阀门", V.String), Type.STRING, "Grüße 阀门"),
    (ua.Variant(MOMENT, V.DateTime), Type.INT64, MOMENT_US),
    (ua.Variant(MOMENT, V.DateTime), Type.STRING, "2026-03-04T05:06:07.123456Z"),
    (ua.Variant(GUID, V.Guid), Type.STRING, str(GUID)),
    (ua.Variant(b"\x00\xff", V.ByteString), Type.STRING, "AP8="),
    (ua.Variant(ua.XmlElement("<a>1</a>"), V.XmlElement), Type.STRING, "<a>1</a>"),
    (ua.Variant(ua.NodeId("Temp", 2), V.NodeId), Type.STRING, "nsu=urn:plant;s=Temp"),
    (ua.Variant(ua.NodeId(84, 0), V.NodeId), Type.STRING, "i=84"),
    (ua.Variant(ua.ExpandedNodeId(GUID, 0, NamespaceUri="urn:x", ServerIndex=3), V.ExpandedNodeId), Type.STRING,
     f"svr=3;nsu=urn:x;g={GUID}"),
    (ua.Variant(ua.StatusCode(0x80310000), V.StatusCode), Type.UINT32, 0x80310000),
    (ua.Variant(ua.QualifiedName("Pump", 2), V.QualifiedName), Type.STRING, "nsu=urn:plant;Pump"),
    (ua.Variant(ua.LocalizedText("Tür", "de"), V.LocalizedText), Type.STRING, "Tür"),
    (ua.Variant(ua.DataValue(ua.Variant(7, V.Int32)), V.DataValue), Type.STRING, '{"Value":7}'),
    (ua.Variant([ua.Variant(7, V.Int32), ua.Variant("x", V.String)], V.Variant), Type.STRING, '[7,"x"]'),
    (ua.Variant(ua.DiagnosticInfo(SymbolicId=4, AdditionalInfo="why"), V.DiagnosticInfo), Type.STRING,
     '{"SymbolicId":4,"AdditionalInfo":"why"}'),
    (ua.Variant([[1, 2, 3], [4, 5, 6]], V.UInt16), Type.STRING, "[[1,2,3],[4,5,6]]"),
    (ua.Variant([0.1, math.nan, math.inf], V.Float), Type.STRING, "[0.1,null,null]"),
    (ua.Variant([2**53 - 1, 2**53], V.Int64), Type.STRING, '[9007199254740991,"9007199254740992"]'),
    (ua.Variant([], V.Double), Type.STRING, "[]"),
]  # fmt: skip


def told(kind: Type, variant: object, names: dict[int, str] | None = None, **part: object) -> object:
    """What a tag says of a variant: its value, or the status in place of it."""
    side = bytearray(b"before")
    found, override = slot(Part(kind, **part), datum_of(variant), side, TYPES, names)  # type: ignore[arg-type]  # A test's own.
    return override if override is not None else unpack_value(kind, found, bytes(side))


@pytest.mark.parametrize(("variant", "kind", "expected"), EACH)
def test_each_built_in_type_has_a_tag_that_takes_it(variant: ua.Variant, kind: Type, expected: object) -> None:
    found = told(kind, variant)

    assert expected == found


def test_each_built_in_type_comes_so_from_a_server_over_its_socket() -> None:
    found = asyncio.run(_served([variant for variant, _, _ in EACH]))

    for (_, kind, expected), sample in zip(EACH, found, strict=True):
        side = bytearray()
        packed, status = reading(Part(kind), sample, side, TYPES)

        assert (expected, 0) == (unpack_value(kind, packed, bytes(side)), status)


async def _served(variants: list[ua.Variant]) -> list[Sample]:
    """The values that a server gives of these, read from the bytes of its answer."""
    server = Server()
    await server.init()
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    nodes = []
    for number, variant in enumerate(variants):
        node = await server.nodes.objects.add_variable(ua.NodeId(f"v{number}", 1), f"1:v{number}", 0)
        server.iserver.aspace.get(node.nodeid).attributes[ua.AttributeIds.Value].value = ua.DataValue(variant)
        nodes.append(node.nodeid)
    async with server:
        port = server.bserver._server.sockets[0].getsockname()[1]
        async with Client(f"opc.tcp://127.0.0.1:{port}/") as client:
            request = ua.ReadRequest()
            request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=13) for node in nodes]
            body = await client.uaclient.protocol.send_request(request)
            reader = Reader(body.read(len(body)))
            reader.identifier()
            # The response's header (OPC 10000-4 §7.29), of which its diagnostics are told.
            reader.take(8 + 4 + 4)
            reader.diagnostic()
            reader.array(12)
            reader.extension()
            return [reader.sample() for _ in range(reader.whole(6))]


@pytest.mark.parametrize(
    ("kind", "variant", "expected"),
    [
        (Type.INT32, ua.Variant(5, V.Byte), 5),
        (Type.UINT8, ua.Variant(5, V.Int64), BAD_TYPE_MISMATCH),
        (Type.UINT16, ua.Variant(5, V.SByte), 5),
        (Type.UINT16, ua.Variant(-1, V.SByte), BAD_TYPE_MISMATCH),
        (Type.INT16, ua.Variant(5, V.UInt16), BAD_TYPE_MISMATCH),
        (Type.INT64, ua.Variant(ua.StatusCode(0x80310000), V.StatusCode), 0x80310000),
        (Type.INT8, ua.Variant(128, V.UInt16), BAD_TYPE_MISMATCH),
        (Type.INT64, ua.Variant(2**63, V.UInt64), BAD_TYPE_MISMATCH),
        (Type.INT16, ua.Variant(True, V.Boolean), 1),
        (Type.BOOL, ua.Variant(1, V.Byte), BAD_TYPE_MISMATCH),
        (Type.FLOAT64, ua.Variant(0.1, V.Float), struct.unpack("<f", struct.pack("<f", 0.1))[0]),
        (Type.FLOAT64, ua.Variant(-(2**53), V.Int64), float(-(2**53))),
        (Type.FLOAT64, ua.Variant(2**53 + 1, V.Int64), BAD_TYPE_MISMATCH),
        (Type.FLOAT64, ua.Variant(True, V.Boolean), BAD_TYPE_MISMATCH),
        (Type.FLOAT32, ua.Variant(0.1, V.Double), BAD_TYPE_MISMATCH),
        (Type.FLOAT32, ua.Variant(1, V.Int16), BAD_TYPE_MISMATCH),
        (Type.INT32, ua.Variant(1.0, V.Double), BAD_TYPE_MISMATCH),
        (Type.INT32, ua.Variant("1", V.String), BAD_TYPE_MISMATCH),
        (Type.STRING, ua.Variant(1, V.Int32), BAD_TYPE_MISMATCH),
        (Type.UINT64, ua.Variant(MOMENT, V.DateTime), BAD_TYPE_MISMATCH),
        (Type.INT32, ua.Variant([1, 2], V.Int32), BAD_TYPE_MISMATCH),
        (Type.INT32, ua.Variant(), BAD_NO_DATA),
        (Type.STRING, ua.Variant(), BAD_NO_DATA),
        (Type.STRING, ua.Variant(None, V.String), ""),
        (Type.STRING, ua.Variant(ua.ExtensionObject(), V.ExtensionObject), BAD_NO_DATA),
        (Type.STRING, ua.Variant(ua.ExtensionObject(ua.NodeId(7, 2), b"123"), V.ExtensionObject),
         BAD_DATA_TYPE_ID_UNKNOWN),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_tag_is_no_number(kind: Type, variant: ua.Variant, expected: object) -> None:
    found = told(kind, variant)

    assert (expected, type(expected)) == (found, type(found))


def test_one_element_of_an_array_is_a_tag_of_its_own() -> None:
    tag = Tag("a_3", Type.FLOAT32, Type.FLOAT32, options=(("count", "3/4"),))
    side = bytearray()

    found, _ = slot(part_of(tag), datum_of(ua.Variant([0.0, 1.0, 2.0, 2.5], V.Float)), side, TYPES)

    assert 2.5 == unpack_value(Type.FLOAT32, found)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        (ua.Variant([1, 2], V.Byte), BAD_INDEX_RANGE_NO_DATA),
        (ua.Variant(1, V.Byte), BAD_TYPE_MISMATCH),
        (ua.Variant(b"\x01\x02\x03", V.ByteString), 3),
        (ua.Variant([[1, 2], [3, 4]], V.Byte), 3),
        (ua.Variant([ua.Variant(1, V.Byte)] * 2 + [ua.Variant(9, V.Byte)], V.Variant), 9),
    ],
)
def test_an_element_is_counted_along_all_dimensions_and_may_be_missing(variant: ua.Variant, expected: int) -> None:
    assert expected == told(Type.UINT8, variant, element=2)


def test_an_enumeration_is_its_name_for_a_text_and_its_number_for_a_number() -> None:
    names = {0: "Off", 3: "Running"}

    assert "Running" == told(Type.STRING, ua.Variant(3, V.Int32), names)
    assert "4" == told(Type.STRING, ua.Variant(4, V.Int32), names)
    assert 3 == told(Type.INT32, ua.Variant(3, V.Int32), names)
    assert '["Off",7]' == told(Type.STRING, ua.Variant([0, 7], V.Int32), names)


def test_a_bad_status_is_kept_whole_and_comes_without_a_value() -> None:
    sample = Sample(Datum(6, 5), BAD_SENSOR_FAILURE | 0x480)

    assert (bytes(8), BAD_SENSOR_FAILURE | 0x480) == reading(Part(Type.INT32), sample, bytearray(), TYPES)


def test_an_uncertain_status_is_kept_with_the_value_and_not_with_a_misfit() -> None:
    sample = Sample(Datum(6, 5), 0x40900480)

    assert (struct.pack("<q", 5), 0x40900480) == reading(Part(Type.INT32), sample, bytearray(), TYPES)
    assert (bytes(8), BAD_TYPE_MISMATCH) == reading(Part(Type.FLOAT32), sample, bytearray(), TYPES)


def test_times_of_asyncua_are_those_of_the_wire() -> None:
    sample = sample_of(ua.DataValue(ua.Variant(1, V.Byte), SourceTimestamp=MOMENT, SourcePicoseconds=9))

    assert ((MOMENT_US * 10) + 116444736000000000, 0) == (sample.source, sample.server)


@given(st.binary(max_size=60))
def test_no_bytes_do_more_than_be_no_value(data: bytes) -> None:
    try:
        datum = Reader(data).variant()
    except Undecodable:
        return
    side = bytearray()
    for kind in Type:
        slot(Part(kind), datum, side, TYPES)
    json.loads(_json(datum))


def _json(datum: Datum) -> str:
    try:
        return json_of(datum, TYPES)
    except LookupError:
        return "null"


NUMBERS = st.one_of(
    st.tuples(st.just(V.Boolean), st.booleans()),
    *(
        st.tuples(st.just(one), st.integers(-(2 ** (bits - 1)) if low else 0, 2 ** (bits - low) - 1))
        for one, bits, low in (
            (V.SByte, 8, 1), (V.Byte, 8, 0), (V.Int16, 16, 1), (V.UInt16, 16, 0), (V.Int32, 32, 1), (V.UInt32, 32, 0),
            (V.Int64, 64, 1), (V.UInt64, 64, 0),
        )
    ),
    st.tuples(st.just(V.Float), st.floats(width=32)),
    st.tuples(st.just(V.Double), st.floats()),
)  # fmt: skip


@given(NUMBERS, st.sampled_from([kind for kind in Type if kind != Type.STRING]))
def test_a_number_is_itself_in_a_tag_or_nothing(number: tuple[ua.VariantType, object], kind: Type) -> None:
    found = told(kind, ua.Variant(number[1], number[0]))

    assert found == BAD_TYPE_MISMATCH or found == number[1] or (found != found and number[1] != number[1])


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_in_json_is_the_shortest_text_that_gives_it_back(value: float) -> None:
    text = json_of(datum_of(ua.Variant([value], V.Float)), TYPES)[1:-1]

    assert struct.pack("<f", value) == struct.pack("<f", float(text))
    assert len(text) <= len(repr(value))


@given(st.recursive(st.integers(0, 255), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=10))
def test_arrays_of_any_dimensions_are_nested_json(value: object) -> None:
    shape = _shape(value)
    if not shape or not _even(value, shape):
        return

    assert value == json.loads(str(told(Type.STRING, ua.Variant(value, V.Byte))))


def _shape(value: object) -> list[int]:
    return [len(value), *_shape(value[0])] if isinstance(value, list) else []


def _even(value: object, shape: list[int]) -> bool:
    if not shape:
        return not isinstance(value, list)
    return isinstance(value, list) and len(value) == shape[0] and all(_even(one, shape[1:]) for one in value)


def test_values_in_values_have_an_end() -> None:
    deep = b"\x98\x01\x00\x00\x00" * 200 + b"\x01\x01"

    with pytest.raises(Undecodable, match="deep"):
        Reader(deep).variant()


@pytest.mark.parametrize(
    "data",
    [
        b"\x86\xff\xff\xff\x7f",  # 2^31 - 1 integers of which there is not one
        b"\x80\xff\xff\xff\x7f",  # as many of no type, which take no bytes
        b"\xc6\x02\x00\x00\x00" + bytes(8) + b"\x01\x00\x00\x00\x03\x00\x00\x00",  # 2 values, one dimension of 3
        b"\x46" + bytes(4),  # dimensions without an array
        b"\x3f",  # a type that can't be
        b"\x11\x09\x00",  # a NodeId of an unknown form
        b"\x16\x00\x00\x03",  # a body of an unknown form
    ],
)
def test_a_variant_that_contradicts_itself_is_none(data: bytes) -> None:
    with pytest.raises(Undecodable):
        Reader(data).variant()


def test_the_limit_on_values_is_that_of_one_reading() -> None:
    one = b"\x01\x83" + struct.pack("<i", 600_000) + bytes(600_000)
    reader = Reader(one + one)

    assert [(600_000,), (600_000,)] == [reader.sample().datum.shape, reader.sample().datum.shape]
    with pytest.raises(Undecodable, match="1,000,000"):
        Reader(b"\x01\x83" + struct.pack("<i", 1_000_001) + bytes(1_000_001)).sample()


def test_an_xml_body_costs_only_its_own_value() -> None:
    data = b"\x16\x01\x02\x07\x00\x02\x04\x00\x00\x00<a/>" + b"\x03\x05"
    reader = Reader(data)

    first, second = reader.variant(), reader.variant()

    assert (bytes(8), BAD_DATA_TYPE_ID_UNKNOWN) == slot(Part(Type.STRING), first, bytearray(), TYPES)
    assert 5 == second.content


def test_inner_diagnostics_are_read_to_their_end() -> None:
    inner = b"\x21\x09\x00\x00\x00\x00\x00\x31\x80"
    reader = Reader(b"\x19\x41\x04\x00\x00\x00" + inner + b"\x03\x05")

    first, second = reader.variant(), reader.variant()

    assert {"SymbolicId": 4, "InnerDiagnosticInfo": {"SymbolicId": 9, "InnerStatusCode": 0x80310000}} == first.content
    assert 5 == second.content


def test_a_text_beyond_the_limit_is_said_to_be_one() -> None:
    side = bytearray(b"x")
    datum = datum_of(ua.Variant("a" * (4 * 1024 * 1024 + 1), V.String))

    assert (bytes(8), BAD_ENCODING_LIMITS_EXCEEDED) == slot(Part(Type.STRING), datum, side, TYPES)
    assert b"x" == side


def test_a_text_that_is_no_utf_8_is_no_value_alone_or_in_an_array() -> None:
    alone, among = (
        Datum(12, b"a\xff".decode("utf-8", "surrogateescape")),
        Reader(b"\x8c\x01\x00\x00\x00" + b"\x02\x00\x00\x00a\xff"),
    )

    assert (bytes(8), BAD_DECODING_ERROR) == slot(Part(Type.STRING), alone, bytearray(), TYPES)
    assert (bytes(8), BAD_DECODING_ERROR) == slot(Part(Type.STRING), among.variant(), bytearray(), TYPES)


def test_what_asyncua_holds_and_can_not_write_is_undecodable() -> None:
    with pytest.raises(Undecodable, match="can't write"):
        datum_of(ua.Variant("no number", V.Int32))


def test_readings_become_columns_that_are_constant_where_they_can_be() -> None:
    columns = Columns()
    table = TagTable("d", (Tag("a", Type.STRING, Type.STRING), Tag("b", Type.UINT8, Type.UINT8)))
    for index, variant in ((0, ua.Variant("x", V.String)), (1, ua.Variant(7, V.Byte))):
        packed, status = reading(part_of(table.tags[index]), Sample(datum_of(variant)), columns.side, TYPES)
        columns.add(index, 1000, 0, status, packed)

    frame = Frame("d", table.hash, columns.count, 0, 0, 0, columns.tags, columns.source_us, columns.status,
                  columns.values, bytes(columns.side), columns.server_us)  # fmt: skip

    assert [("a", "x", 1000, None), ("b", 7, 1000, None)] == [
        (one.tag, one.value, one.source_us, one.server_us) for one in readings(Frame.decode(frame.encode()), table)
    ]
    assert (8, 8, 4) == (len(columns.tags), len(columns.source_us), len(columns.status))


def test_asyncua_writes_what_is_read_here() -> None:
    data = variant_to_binary(ua.Variant([MOMENT], V.DateTime))

    assert '["2026-03-04T05:06:07.123456Z"]' == json_of(Reader(data).variant(), TYPES)


def test_a_date_beyond_what_python_knows_is_still_its_number() -> None:
    latest = Datum(13, 2**63 - 1)

    assert (struct.pack("<q", (2**63 - 1 - 116444736000000000) // 10), None) == slot(
        Part(Type.INT64), latest, bytearray(), TYPES
    )
    assert '["9999-12-31T23:59:59Z"]' == json_of(Datum(13, (2**63 - 1,), (1,)), TYPES)
