"""What a write would send: every type in every order against our own decoder and a foreign server; what is refused."""

import dataclasses
import math
import socket
import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyModbusTCP.server import ModbusServer

from demo.broker import free_port
from tidegate.model.device import Device
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate_drivers.modbus.codec import decode, decode_text, refine, rules, step
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.point import ORDER_WORDS, Function, Point
from tidegate_drivers.modbus.tags import parse_tag
from tidegate_drivers.modbus.write import Write, make

BOUNDS = {
    Type.INT16: (-(2**15), 2**15 - 1), Type.UINT16: (0, 2**16 - 1), Type.INT32: (-(2**31), 2**31 - 1),
    Type.UINT32: (0, 2**32 - 1), Type.INT64: (-(2**63), 2**63 - 1), Type.UINT64: (0, 2**64 - 1),
}  # fmt: skip
DIGITS = {Type.UINT16: 4, Type.UINT32: 8, Type.UINT64: 16}
SLOTS = {Type.FLOAT32: "<f4x", Type.FLOAT64: "<d"}


def tag(kind: Type, address: str = "HR16", published: Type | None = None, **more: Any) -> Tag:
    """A tag that may be written; what is no field of a tag is an option of the driver."""
    fields = {name: more.pop(name) for name in ("scale", "range", "scale_by") if name in more}
    return Tag("t", published or kind, kind, address, tuple(more.items()), access="write", **fields)


def point_of(one: Tag) -> Point:
    point, problems = parse_tag(one)
    assert point is not None, problems
    return point


def write(one: Tag, value: object) -> Write:
    return make(one, point_of(one), value)


def read_back(one: Tag, data: bytes) -> object:
    """What the driver reads where a device holds these data."""
    point = point_of(one)
    values, side = bytearray(8), bytearray()
    if one.raw == Type.STRING:
        assert decode_text(data, 0, point, values, 0, side)
        return side.decode()
    decode(data, step(0, point, point.address), values)
    marks = b"".join(rule for rule, _ in rules(0, point))
    assert [] == refine(values, marks)
    if one.raw in SLOTS:
        return struct.unpack(SLOTS[one.raw], values)[0]
    return int.from_bytes(values, "little", signed=one.raw in (Type.INT16, Type.INT32, Type.INT64))


def orders(kind: Type) -> list[str]:
    return list(ORDER_WORDS if kind in (Type.INT64, Type.UINT64, Type.FLOAT64) else ORDER_WORDS[:4])


@pytest.mark.parametrize("kind", BOUNDS, ids=lambda kind: kind.word)
@given(data=st.data())
def test_every_whole_number_in_every_order_is_read_back_as_it_was_written(kind: Type, data: st.DataObject) -> None:
    one = tag(kind, order=data.draw(st.sampled_from(orders(kind))))
    value = data.draw(st.integers(*BOUNDS[kind]))

    assert value == read_back(one, write(one, value).data)


@pytest.mark.parametrize("kind", DIGITS, ids=lambda kind: kind.word)
@given(data=st.data())
def test_every_bcd_number_in_every_order_is_read_back_as_it_was_written(kind: Type, data: st.DataObject) -> None:
    one = tag(kind, order=data.draw(st.sampled_from(orders(kind))), coding="bcd")
    value = data.draw(st.integers(0, 10 ** DIGITS[kind] - 1))

    assert value == read_back(one, write(one, value).data)


@given(value=st.floats(allow_nan=False, allow_infinity=False, width=32), order=st.sampled_from(ORDER_WORDS[:4]))
def test_every_float32_is_read_back_as_it_was_written(value: float, order: str) -> None:
    one = tag(Type.FLOAT32, order=order)

    assert value == read_back(one, write(one, value).data)


@given(value=st.floats(allow_nan=False, allow_infinity=False), order=st.sampled_from(ORDER_WORDS))
def test_every_float64_is_read_back_as_it_was_written(value: float, order: str) -> None:
    one = tag(Type.FLOAT64, order=order)

    assert value == read_back(one, write(one, value).data)


@given(value=st.decimals(-(10**12), 10**12, allow_nan=False, places=9))
def test_a_float32_holds_the_nearest_number_that_it_has(value: Decimal) -> None:
    held = read_back(tag(Type.FLOAT32), write(tag(Type.FLOAT32), value).data)
    assert isinstance(held, float)
    [bits] = struct.unpack(">I", struct.pack(">f", held))
    others = [struct.unpack(">f", struct.pack(">I", bits + by))[0] for by in (-1, 1) if 0 <= bits + by < 2**32]
    off = abs(Decimal(held) - value)

    assert all(off <= abs(Decimal(other) - value) for other in others if math.isfinite(other))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "gbk", "gb18030", "utf-16be"])
@pytest.mark.parametrize("order", ["ABCD", "BADC"])
def test_a_text_is_read_back_as_it_was_written(encoding: str, order: str) -> None:
    one = tag(Type.STRING, length="12", encoding=encoding, order=order)
    text = "Öl 1" if encoding in ("utf-8", "latin-1", "utf-16be") else "压力 1"

    assert text == read_back(one, write(one, text).data)


@given(raw=st.integers(-(2**15), 2**15 - 1), numerator=st.integers(1, 1000), denominator=st.integers(1, 1000),
       offset=st.integers(-4000, 4000).map(lambda quarters: quarters / 4))  # fmt: skip
def test_a_scale_is_undone_exactly(raw: int, numerator: int, denominator: int, offset: float) -> None:
    one = tag(Type.INT16, published=Type.FLOAT64, scale=Scale(numerator, denominator, offset), rounding="nearest")
    # As a rational, since most of these values are no decimals.
    from_raw = Decimal(raw * numerator) / denominator + Decimal(offset)

    assert raw == read_back(one, write(one, from_raw).data)


def test_0_1_is_exact_where_a_float_would_be_a_little_off() -> None:
    one = tag(Type.INT16, published=Type.FLOAT64, scale=Scale(1, 1000))

    assert 100 == read_back(one, write(one, 0.1).data)


def test_what_lies_between_two_values_of_the_device_is_refused_with_both() -> None:
    one = tag(Type.INT16, published=Type.FLOAT64, scale=Scale(1, 10))

    with pytest.raises(ValueError, match=r"21\.56 is not among .* next to it are 21\.5 and 21\.6.*rounding = nearest"):
        write(one, Decimal("21.56"))


def test_with_rounding_the_nearest_is_taken_and_said() -> None:
    one = tag(Type.INT16, published=Type.FLOAT64, scale=Scale(1, 10), rounding="nearest")

    assert "21.6" == write(one, Decimal("21.56")).held


def test_what_rounding_brings_out_of_the_range_is_refused() -> None:
    one = tag(Type.INT16, published=Type.FLOAT64, range=(0.0, 9.6), rounding="nearest")

    with pytest.raises(ValueError, match=r"the device would hold 10, and its range is 0 to 9\.6"):
        write(one, Decimal("9.6"))


@pytest.mark.parametrize("kind", BOUNDS, ids=lambda kind: kind.word)
def test_a_number_that_does_not_fit_is_refused(kind: Type) -> None:
    for value in (BOUNDS[kind][0] - 1, BOUNDS[kind][1] + 1):
        with pytest.raises(ValueError, match="does not fit"):
            write(tag(kind), value)


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "1_000", "9" * 100, "", None, True, [1]])
def test_what_is_no_number_is_refused(value: object) -> None:
    for kind in (Type.INT16, Type.FLOAT32, Type.FLOAT64):
        with pytest.raises(ValueError, match="is no number"):
            write(tag(kind), value)


@pytest.mark.parametrize(("kind", "value"), [(Type.FLOAT32, "3.5e38"), (Type.FLOAT64, "1.8e308")])
def test_a_float_that_is_too_large_is_refused(kind: Type, value: str) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        write(tag(kind), value)


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (tag(Type.UINT16, "IR0"), "input registers can't be written"),
        (tag(Type.BOOL, "DI0"), "discrete inputs can't be written"),
        (tag(Type.BOOL, bit="3"), "one bit of a register"),
        (tag(Type.UINT8), "half of a register"),
        (tag(Type.STRING, length="5"), "half of its last register"),
        (tag(Type.STRING, length="250"), "at most 123"),
        (tag(Type.INT16, scale_by="t_SF"), "its scale follows t_SF"),
    ],
)
def test_a_tag_that_can_not_be_written_is_refused_and_told_by_check(one: Tag, why: str) -> None:
    device = Device("d1", "modbus", "tcp://127.0.0.1", 1, TagTable("d1", (one,)), (), {})
    told = [problem for problem in ModbusDriver.check([device]) if problem.column == "access"]

    with pytest.raises(ValueError, match=why):
        write(one, "1")
    assert [(False, True)] == [(problem.fatal, why in problem.what) for problem in told]


def test_a_date_time_is_refused() -> None:
    one = dataclasses.replace(tag(Type.INT64, coding="datetime:iec870"), access="read", unit="us since 1970")

    with pytest.raises(ValueError, match="a date-time is only read"):
        write(one, 0)


@pytest.mark.parametrize("text", ["Öl\0", "trailing ", "far too long", "€"])
def test_a_text_that_would_be_read_back_as_another_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"text|bytes|letters"):
        write(tag(Type.STRING, length="8", encoding="latin-1"), text)


@pytest.mark.parametrize(("kind", "na", "value"), [
    (Type.INT16, "0x8000", -32768), (Type.UINT16, "9999", 9999), (Type.INT32, "-1", -1), (Type.FLOAT32, "-9999", -9999),
])  # fmt: skip
def test_a_value_that_means_not_available_is_refused(kind: Type, na: str, value: int) -> None:
    for order in orders(kind):
        with pytest.raises(ValueError, match="not available"):
            write(tag(kind, na=na, order=order), value)


@pytest.mark.parametrize(("one", "value", "pdu", "echo"), [
    (tag(Type.BOOL, "CO172"), True, "05 00AC FF00", "05 00AC FF00"),
    (tag(Type.BOOL, "CO172"), False, "05 00AC 0000", "05 00AC 0000"),
    (tag(Type.UINT16, "HR1"), 3, "06 0001 0003", "06 0001 0003"),
    (tag(Type.BOOL, "CO19", write_function="multiple"), True, "0F 0013 0001 01 01", "0F 0013 0001"),
    (tag(Type.UINT16, "HR1", write_function="multiple"), 10, "10 0001 0001 02 000A", "10 0001 0001"),
    (tag(Type.UINT32, "HR1"), 0x000A0102, "10 0001 0002 04 000A0102", "10 0001 0002"),
])  # fmt: skip
def test_requests_and_replies_are_those_of_the_standard(one: Tag, value: object, pdu: str, echo: str) -> None:
    made = write(one, value)

    assert (bytes.fromhex(pdu), bytes.fromhex(echo)) == (made.pdu, made.echo)


@pytest.fixture(scope="module")
def server() -> Iterator[ModbusServer]:
    """A server of pyModbusTCP, which everything is written to."""
    made = ModbusServer("127.0.0.1", free_port(), no_block=True)
    made.start()
    try:
        yield made
    finally:
        made.stop()


def told(server: ModbusServer, pdu: bytes) -> bytes:
    """What a server answers to a request, without its head."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(struct.pack(">HHHB", 1, 0, len(pdu) + 1, 1) + pdu)
        connection.settimeout(10)
        return connection.recv(260)[7:]


FOREIGN = [
    (tag(Type.BOOL, "CO7"), True), (tag(Type.BOOL, "CO7", write_function="multiple"), True), (tag(Type.BOOL), True),
    (tag(Type.STRING, length="8", encoding="gbk"), "压力"),
    *((tag(kind, order=order), 0x12 << 8 | 0x34) for kind in BOUNDS for order in orders(kind)),
    *((tag(kind, order=order), -1.5) for kind in (Type.FLOAT32, Type.FLOAT64) for order in orders(kind)),
    *((tag(kind, order=order, coding="bcd"), 1234) for kind in DIGITS for order in orders(kind)),
    *((tag(kind, write_function="multiple"), 77) for kind in BOUNDS),
]  # fmt: skip


@pytest.mark.parametrize(("one", "value"), FOREIGN, ids=[f"{one.raw.word} {one.options}" for one, _ in FOREIGN])
def test_a_foreign_server_takes_the_request_and_then_holds_what_is_expected(
    server: ModbusServer, one: Tag, value: object
) -> None:
    made, point = write(one, value), point_of(one)
    reply, bank = told(server, made.pdu), server.data_bank
    if point.function == Function.COIL:
        held = bytes(bank.get_coils(point.address, 1))
    else:
        held = struct.pack(f">{point.size}H", *bank.get_holding_registers(point.address, point.size))

    assert (made.echo, made.data) == (reply, held)
    if one.raw != Type.BOOL:
        assert value == read_back(one, held)
