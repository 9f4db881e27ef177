"""Answers to Publish and Read: twins and asyncua tell the same of them, and foreign bytes do no harm."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from struct import Struct
from types import ModuleType
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from tests.drivers.opcua.messages import KINDS, publish_responses, read_responses
from tidegate.model.frame import I64, U32, unpack_value
from tidegate.model.tag import Type
from tidegate_drivers.opcua import _notice_c, _notice_py, fallback, notice

BEFORE = b"what came before"
MOMENT = datetime(2026, 12, 1, 5, 30, 0, 123456, UTC)
MOMENT_US = 1_796_103_000_123_456
EITHER = pytest.mark.parametrize("twin", [_notice_c, _notice_py], ids=["compiled", "pure"])
BAD_TYPE_MISMATCH = 0x80740000
BAD_NO_DATA = 0x809B0000
BAD_DECODING_ERROR = 0x80070000


def outcome(function: Callable[..., Any], *arguments: object) -> Any:
    """What it gives, or the words in which it refuses."""
    try:
        return function(*arguments)
    except ValueError as refusal:
        return f"{refusal}"


def without_places(told: Any) -> Any:
    """The same without what only one way knows of odd values and other notifications."""
    columns = replace(told.columns, odd=tuple((odd.handle, odd.row) for odd in told.columns.odd))
    if isinstance(told, notice.Answer):
        return replace(told, columns=columns)
    return replace(told, columns=columns, others=len(told.others))


def response(*items: ua.MonitoredItemNotification) -> ua.PublishResponse:
    """A PublishResponse with one data change."""
    made = ua.PublishResponse()
    made.Parameters.NotificationMessage.NotificationData = [ua.DataChangeNotification(list(items))]
    return made


def item(handle: int, value: object, kind: ua.VariantType, status: int = 0) -> ua.MonitoredItemNotification:
    """An item at MOMENT."""
    return ua.MonitoredItemNotification(
        handle, ua.DataValue(ua.Variant(value, kind), ua.StatusCode(status), MOMENT, None)
    )


def told(twin: ModuleType, message: ua.PublishResponse, kinds: bytes) -> notice.Columns:
    """The columns that a twin makes of a message."""
    parts = twin.publish(struct_to_binary(message), 0, kinds)[8]
    return notice._columns(parts)


@given(publish_responses(), KINDS)
def test_compiled_pure_and_asyncua_tell_the_same_of_a_publish_response(
    message: ua.PublishResponse, kinds: bytes
) -> None:
    body = BEFORE + struct_to_binary(message)
    slow = fallback.slow_publish(Buffer(body, len(BEFORE)), kinds)
    fast = notice.publish(body, len(BEFORE), kinds)

    assert _notice_py.publish(body, len(BEFORE), kinds) == _notice_c.publish(body, len(BEFORE), kinds)
    assert without_places(slow) == without_places(fast)
    for theirs, ours in zip(slow.columns.odd, fast.columns.odd, strict=True):
        assert struct_to_binary(theirs.value) == struct_to_binary(fallback.value_of(body, ours))
    for theirs, ours in zip(slow.others, fast.others, strict=True):
        assert str(theirs.value) == str(fallback.notification_of(body, ours))


@given(read_responses(), KINDS)
def test_compiled_pure_and_asyncua_tell_the_same_of_a_read_response(message: ua.ReadResponse, kinds: bytes) -> None:
    body = BEFORE + struct_to_binary(message)
    slow = fallback.slow_read(Buffer(body, len(BEFORE)), kinds)
    fast = notice.read(body, len(BEFORE), kinds)

    assert _notice_py.read(body, len(BEFORE), kinds) == _notice_c.read(body, len(BEFORE), kinds)
    assert without_places(slow) == without_places(fast)
    for theirs, ours in zip(slow.columns.odd, fast.columns.odd, strict=True):
        assert struct_to_binary(theirs.value) == struct_to_binary(fallback.value_of(body, ours))


@given(publish_responses(), KINDS)
def test_a_message_that_ends_too_early_is_refused_wherever_it_ends(message: ua.PublishResponse, kinds: bytes) -> None:
    message.ResponseHeader.ServiceResult = ua.StatusCode(0)
    body = struct_to_binary(message)
    for end in range(len(body)):
        refusal = outcome(_notice_c.publish, body[:end], 0, kinds)

        assert isinstance(refusal, str)
        assert outcome(_notice_py.publish, body[:end], 0, kinds) == refusal


@given(
    publish_responses() | read_responses(),
    KINDS,
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_of_changed_bytes_compiled_and_pure_make_the_same(
    message: Any, kinds: bytes, changes: list[tuple[int, int]]
) -> None:
    body = bytearray(struct_to_binary(message))
    for place, byte in changes:
        body[place % len(body)] = byte
    foreign = bytes(body)
    name = "read" if isinstance(message, ua.ReadResponse) else "publish"

    assert outcome(getattr(_notice_py, name), foreign, 0, kinds) == outcome(getattr(_notice_c, name), foreign, 0, kinds)


@given(st.binary(max_size=200), st.integers(-3, 210))
def test_any_bytes_at_any_place_are_an_answer_or_refused(body: bytes, at: int) -> None:
    begun = b"\x01\x00\x3d\x03" + body

    for data in (body, begun):
        assert outcome(_notice_py.publish, data, at, b"\x0b") == outcome(_notice_c.publish, data, at, b"\x0b")
    assert outcome(_notice_py.publish, begun, 0, b"\x0b") == outcome(_notice_c.publish, begun, 0, b"\x0b")


@EITHER
@pytest.mark.parametrize(
    ("value", "wire", "kind", "given", "status"),
    [
        (-3, ua.VariantType.Int16, Type.INT16, -3, 0),
        (-3, ua.VariantType.Int16, Type.INT64, -3, 0),
        (-3, ua.VariantType.Int16, Type.UINT32, 0, BAD_TYPE_MISMATCH),
        (3, ua.VariantType.Int16, Type.UINT32, 3, 0),
        (3, ua.VariantType.Int32, Type.INT16, 0, BAD_TYPE_MISMATCH),
        (3, ua.VariantType.UInt32, Type.INT32, 0, BAD_TYPE_MISMATCH),
        (1 << 53, ua.VariantType.Int64, Type.FLOAT64, float(1 << 53), 0),
        ((1 << 53) + 1, ua.VariantType.Int64, Type.FLOAT64, 0.0, BAD_TYPE_MISMATCH),
        ((1 << 64) - 1, ua.VariantType.UInt64, Type.UINT64, (1 << 64) - 1, 0),
        ((1 << 64) - 1, ua.VariantType.UInt64, Type.FLOAT64, 0.0, BAD_TYPE_MISMATCH),
        (0.5, ua.VariantType.Float, Type.FLOAT64, 0.5, 0),
        (0.5, ua.VariantType.Double, Type.FLOAT32, 0.0, BAD_TYPE_MISMATCH),
        (0.5, ua.VariantType.Double, Type.INT64, 0, BAD_TYPE_MISMATCH),
        (True, ua.VariantType.Boolean, Type.UINT8, 1, 0),
        (True, ua.VariantType.Boolean, Type.FLOAT64, 0.0, BAD_TYPE_MISMATCH),
        (1, ua.VariantType.Byte, Type.BOOL, False, BAD_TYPE_MISMATCH),
        (ua.StatusCode(0x80310000), ua.VariantType.StatusCode, Type.UINT32, 0x80310000, 0),
        (MOMENT, ua.VariantType.DateTime, Type.INT64, MOMENT_US, 0),
        (MOMENT, ua.VariantType.DateTime, Type.FLOAT64, 0.0, BAD_TYPE_MISMATCH),
        ("täg", ua.VariantType.String, Type.STRING, "täg", 0),
        (None, ua.VariantType.String, Type.STRING, "", 0),
        ("\udcff", ua.VariantType.String, Type.STRING, "", BAD_DECODING_ERROR),
        (None, ua.VariantType.Null, Type.INT32, 0, BAD_NO_DATA),
    ],
)
def test_a_value_is_taken_whole_or_not_at_all(
    twin: ModuleType, value: object, wire: ua.VariantType, kind: Type, given: object, status: int
) -> None:
    columns = told(twin, response(item(0, value, wire)), bytes([kind]))

    assert (given, status) == (unpack_value(kind, columns.values, columns.side), U32.unpack(columns.status)[0])


@EITHER
def test_a_bad_value_has_an_empty_slot_whatever_the_server_sends_with_it(twin: ModuleType) -> None:
    columns = told(twin, response(item(0, [1, 2], ua.VariantType.Int32, 0x80310000)), bytes([Type.INT32]))

    assert (bytes(8), U32.pack(0x80310000), ()) == (columns.values, columns.status, columns.odd)


@EITHER
def test_odd_values_say_where_they_are_and_between_which_rows(twin: ModuleType) -> None:
    message = response(
        item(0, 1, ua.VariantType.Int32),
        item(1, [1, 2], ua.VariantType.Int32),
        item(9, 3, ua.VariantType.Int32),
        item(2, 4, ua.VariantType.Int32),
    )
    body = struct_to_binary(message)
    columns = told(twin, message, bytes([Type.INT32] * 3))

    assert [(1, 1), (9, 1)] == [(odd.handle, odd.row) for odd in columns.odd]
    assert [[1, 2], 3] == [fallback.value_of(body, odd).Value.Value for odd in columns.odd]


@EITHER
def test_items_whose_queue_overflowed_are_named_odd_ones_too(twin: ModuleType) -> None:
    message = response(
        item(0, 1, ua.VariantType.Int32),
        item(1, 2, ua.VariantType.Int32, 0x00000480),
        item(2, [3], ua.VariantType.Int32, 0x00000480),
    )
    columns = told(twin, message, bytes([Type.INT32] * 3))

    assert U32.pack(1) + U32.pack(2) == columns.overflowed


@EITHER
def test_what_is_the_same_for_all_is_said_once_and_no_server_time_is_none(twin: ModuleType) -> None:
    message = response(*[item(handle, handle, ua.VariantType.Int32) for handle in range(5)])
    columns = told(twin, message, bytes([Type.INT32] * 5))

    assert (5, I64.pack(MOMENT_US), b"", U32.pack(0)) == (
        columns.count,
        columns.source_us,
        columns.server_us,
        columns.status,
    )


@EITHER
def test_picoseconds_stand_beside_their_time_as_the_standard_has_it(twin: ModuleType) -> None:
    ticks = 10 * MOMENT_US + 116_444_736_000_000_000
    value = Struct("<BBiqHqH").pack(0x3D, 6, -7, ticks, 999, ticks + 10, 998)
    whole = struct_to_binary(response(item(0, -7, ua.VariantType.Int32)))
    plain = Struct("<BBiIq").pack(0x07, 6, -7, 0, ticks)
    length = len(Struct("<iI").pack(1, 0)) + len(plain) + 4
    body = whole.replace(
        Struct("<i").pack(length) + Struct("<iI").pack(1, 0) + plain,
        Struct("<i").pack(length - len(plain) + len(value)) + Struct("<iI").pack(1, 0) + value,
    )
    columns = notice._columns(twin.publish(body, 0, bytes([Type.INT32]))[8])
    odd = notice._columns(twin.publish(body, 0, b"")[8]).odd[0]

    assert len(body) > len(whole)
    assert (I64.pack(MOMENT_US), I64.pack(MOMENT_US + 1)) == (columns.source_us, columns.server_us)
    assert MOMENT == fallback.value_of(body, odd).SourceTimestamp


@EITHER
def test_a_fault_is_told_by_its_code(twin: ModuleType) -> None:
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(0x80250000)
    body = struct_to_binary(fault)

    assert (0x80250000, 0x80250000) == (twin.publish(body, 0, b"")[0], twin.read(body, 0, b"")[0])


@EITHER
def test_a_keep_alive_has_no_notification(twin: ModuleType) -> None:
    alive, empty = ua.PublishResponse(), response()

    assert [0, 1] == [twin.publish(struct_to_binary(message), 0, b"")[6] for message in (alive, empty)]


def nested(depth: int) -> bytes:
    """A ReadResponse of one Variant within an array of one Variant within an array ..."""
    empty = struct_to_binary(ua.ReadResponse())
    variant = b"\x98\x01\x00\x00\x00" * depth + b"\x01\x01"
    return empty[:-8] + Struct("<iB").pack(1, 1) + variant + Struct("<i").pack(0)


def diagnosed(depth: int) -> bytes:
    """A ReadResponse with a DiagnosticInfo within a DiagnosticInfo within ..."""
    empty = struct_to_binary(ua.ReadResponse())
    return empty[:-4] + Struct("<i").pack(1) + b"\x40" * (depth - 1) + b"\x00"


@EITHER
@pytest.mark.parametrize("made", [nested, diagnosed], ids=["values", "diagnostics"])
def test_what_is_nested_is_followed_to_a_depth_and_no_further(twin: ModuleType, made: Callable[[int], bytes]) -> None:
    assert twin.read(made(100), 0, b"")[0] == 0
    for depth in (102, 100_000):
        with pytest.raises(ValueError, match="nested too deep"):
            twin.read(made(depth), 0, b"")


@EITHER
def test_an_array_of_more_items_than_bytes_is_refused_at_once(twin: ModuleType) -> None:
    empty = struct_to_binary(ua.ReadResponse())
    nothings = empty[:-8] + Struct("<iBBi").pack(1, 1, 0x80, 0x7FFFFFFF) + Struct("<i").pack(0)

    for body in (empty[:-8] + Struct("<i").pack(0x7FFFFFFF), nothings):
        with pytest.raises(ValueError, match="array"):
            twin.read(body, 0, b"")


@EITHER
def test_values_that_reach_beyond_their_notification_are_refused(twin: ModuleType) -> None:
    body = struct_to_binary(response(item(0, 1, ua.VariantType.Int32)))
    # Behind the type id of a data change, and that it is in bytes.
    place = body.index(b"\x01\x00\x2b\x03\x01") + 5
    (length,) = Struct("<i").unpack_from(body, place)

    assert isinstance(twin.publish(body, 0, bytes([Type.INT32])), tuple)
    for short in range(1, length):
        cut = body[:place] + Struct("<i").pack(length - short) + body[place + 4 :]
        with pytest.raises(ValueError, match=r"ends too early|an array of"):
            twin.publish(cut, 0, bytes([Type.INT32]))


@EITHER
@given(st.lists(st.integers(0, 9)))
def test_handles_are_exchanged_for_what_a_table_says(twin: ModuleType, handles: list[int]) -> None:
    table = [100 + handle for handle in range(10)]
    packed = b"".join(map(U32.pack, handles))

    assert b"".join(U32.pack(table[handle]) for handle in handles) == twin.fill(packed, b"".join(map(U32.pack, table)))


@EITHER
def test_a_handle_that_is_in_no_table_is_refused(twin: ModuleType) -> None:
    for handles, table in ((U32.pack(1), U32.pack(7)), (b"\0\0\0", U32.pack(7)), (U32.pack(0xFFFFFFFF), b"")):
        with pytest.raises(ValueError, match=r"a handle|an item"):
            twin.fill(handles, table)


def test_the_decoder_trusts_the_asyncua_that_is_installed() -> None:
    assert fallback.distrust() == ""


def test_a_change_that_asyncua_reads_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notice, "twin", _Wrong)

    assert fallback.distrust() == "its decoder and ours differ"


class _Wrong:
    """A decoder that loses a value."""

    @staticmethod
    def publish(body: bytes, at: int, kinds: bytes) -> object:
        parts = _notice_py.publish(body, at, kinds)
        return (*parts[:8], (*parts[8][:5], bytes(len(parts[8][5])), *parts[8][6:]), parts[9])
