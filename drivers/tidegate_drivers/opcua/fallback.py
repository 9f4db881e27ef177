"""The same answers through asyncua's own classes: where the decoder is not to be trusted, and for what it leaves aside.

Slower by far (10 us a value), and the oracle of the twins in the tests. It also says whether this asyncua is one that
the fast way was made for: what is used of it is not public.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.connection import SecureConnection
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import extensionobject_from_binary, struct_from_binary, struct_to_binary, variant_from_binary

from tidegate.model.frame import I64, U32, pack_value
from tidegate.model.status import BAD_DECODING_ERROR, BAD_NO_DATA, is_bad
from tidegate.model.tag import INTEGERS, Type
from tidegate_drivers.opcua import notice
from tidegate_drivers.opcua._lengths_py import HAS_VALUE, marks, one, skip_variant
from tidegate_drivers.opcua._notice_py import BAD_TYPE_MISMATCH, EMPTY, EXACT_MAX, OVERFLOW, SIGNED, WIDTH
from tidegate_drivers.opcua.notice import Answer, Columns, Notice, Odd, Other

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1601, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
NEEDED = ("_callbackmap", "_connection", "_request_id", "_request_handle", "transport", "revolve_security_token")


def distrust() -> str:
    """Why the fast way is not to be gone with this asyncua, for a log line; "" when it is."""
    try:
        protocol = UASocketProtocol()
        missing = [name for name in NEEDED if not hasattr(protocol, name)]
        if missing or not isinstance(protocol._connection, SecureConnection):
            return f"asyncua's protocol lacks {', '.join(missing) or 'its connection'}"
        if not protocol._connection.message_to_binary(b"body", request_id=7).endswith(b"body"):
            return "asyncua builds messages in another way"
        for message, kinds in _samples():
            buffer = Buffer(b"before" + struct_to_binary(message), 6)
            if buffer._cur_pos != 6:
                return "asyncua's buffers have their place elsewhere"
            if _placeless(notice.publish(buffer._data, buffer._cur_pos, kinds)) != _placeless(
                slow_publish(buffer, kinds)
            ):
                return "its decoder and ours differ"
    except Exception as failure:
        return f"{type(failure).__name__}: {failure}"
    return ""


def publish(buffer: Any, kinds: bytes, fast: bool) -> Notice:
    """A PublishResponse out of asyncua's Buffer, by the twins if they are trusted. Raises ValueError when it is none.

    What the twins refuse is not tried with asyncua: it takes an array of 2,000,000,000 nothings for what it says.
    """
    return notice.publish(buffer._data, buffer._cur_pos, kinds) if fast else slow_publish(buffer, kinds)


def read(buffer: Any, kinds: bytes, fast: bool) -> Answer:
    """A ReadResponse out of asyncua's Buffer, as `publish`."""
    return notice.read(buffer._data, buffer._cur_pos, kinds) if fast else slow_read(buffer, kinds)


def slow_publish(buffer: Any, kinds: bytes) -> Notice:
    """`notice.publish` by asyncua; odd values and other notifications hold its objects. Raises ValueError."""
    response = _decoded(ua.PublishResponse, ua.ObjectIds.PublishResponse_Encoding_DefaultBinary, buffer)
    rows = _Rows(kinds)
    result = response.ResponseHeader.ServiceResult.value
    if is_bad(result):
        return Notice(result, 0, (), False, 0, 0, 0, (), rows.columns(), ())
    told, others = response.Parameters, []
    message = told.NotificationMessage
    for notification in message.NotificationData or []:
        if isinstance(notification, ua.DataChangeNotification):
            for item in notification.MonitoredItems or []:
                rows.add(item.ClientHandle, item.Value)
        else:
            others.append(Other(_kind(notification), 0, 0, notification))
    return Notice(
        result, told.SubscriptionId, tuple(told.AvailableSequenceNumbers or ()), told.MoreNotifications,
        message.SequenceNumber, _time(message.PublishTime), len(message.NotificationData or ()),
        tuple([status.value for status in told.Results or ()]), rows.columns(), tuple(others),
    )  # fmt: skip


def slow_read(buffer: Any, kinds: bytes) -> Answer:
    """`notice.read` by asyncua. Raises ValueError."""
    response = _decoded(ua.ReadResponse, ua.ObjectIds.ReadResponse_Encoding_DefaultBinary, buffer)
    rows = _Rows(kinds)
    result = response.ResponseHeader.ServiceResult.value
    if is_bad(result):
        return Answer(result, 0, rows.columns())
    results = response.Results or []
    for handle, value in enumerate(results):
        rows.add(handle, value)
    return Answer(result, len(results), rows.columns())


def value_of(body: bytes, odd: Odd) -> Any:
    """An odd value as asyncua's DataValue. Raises ValueError when it can't read it.

    Only its Variant is left to asyncua, which looks for picoseconds where OPC 10000-6 §5.2.2.17 has none.
    """
    if odd.value is not None:
        return odd.value
    try:
        end = odd.at + odd.length
        mask, at = one(body, odd.at, end)
        variant = variant_from_binary(Buffer(body, at, end - at)) if mask & HAS_VALUE else ua.Variant()
        at = skip_variant(body, at, end, 0) if mask & HAS_VALUE else at
        status, source_us, server_us, _ = marks(body, at, end, mask)
    except Exception as failure:
        raise ValueError(f"a value that can't be read: {failure}") from None
    times = [EPOCH + timedelta(microseconds=us) if us else None for us in (source_us, server_us)]
    return ua.DataValue(variant, ua.StatusCode(status), *times)


def notification_of(body: bytes, other: Other) -> Any:
    """Another notification as asyncua's object. Raises ValueError when it can't read it."""
    if other.value is not None:
        return other.value
    try:
        return extensionobject_from_binary(Buffer(body, other.at, other.length))
    except Exception as failure:
        raise ValueError(f"a notification that can't be read: {failure}") from None


class _Rows:
    """The columns as they grow."""

    def __init__(self, kinds: bytes) -> None:
        self._kinds = kinds
        self._handles: list[int] = []
        self._overflowed: list[int] = []
        self._sources: list[int] = []
        self._servers: list[int] = []
        self._status: list[int] = []
        self._odd: list[Odd] = []
        self._values, self._side = bytearray(), bytearray()

    def add(self, handle: int, value: Any) -> None:
        """One DataValue of asyncua."""
        status = value.StatusCode.value if value.StatusCode is not None else 0
        if status & OVERFLOW == OVERFLOW:
            self._overflowed.append(handle)
        kind = self._kinds[handle] if handle < len(self._kinds) else 0
        slot = EMPTY
        if 0 < kind <= Type.STRING and not is_bad(status):
            found = _slot(Type(kind), value.Value or ua.Variant(), self._side)
            kind = 0 if found is None else kind
            slot, status = (found[0], found[1] or status) if found else (EMPTY, status)
        if not 0 < kind <= Type.STRING:
            self._odd.append(Odd(handle, 0, 0, len(self._handles), value))
            return
        self._handles.append(handle)
        self._status.append(status)
        self._sources.append(_time(value.SourceTimestamp))
        self._servers.append(_time(value.ServerTimestamp))
        self._values += slot

    def columns(self) -> Columns:
        """As the twins give them."""
        servers = self._servers if any(self._servers) else []
        return Columns(
            len(self._handles), _packed(U32, self._handles), _short(I64, self._sources), _short(I64, servers),
            _short(U32, self._status), bytes(self._values), bytes(self._side), _packed(U32, self._overflowed),
            tuple(self._odd),
        )  # fmt: skip


def _slot(kind: Type, variant: Any, side: bytearray) -> tuple[bytes, int] | None:
    """Slot, and the status that it gets instead of its own (0: none); None for what is odd."""
    wire, value = variant.VariantType.value, variant.Value
    if variant.is_array or wire > ua.VariantType.StatusCode.value:
        return None
    if wire == 0:
        return EMPTY, BAD_NO_DATA
    if kind == Type.STRING:
        if wire != Type.STRING:
            return None
        try:
            return pack_value(kind, value or "", side), 0
        except UnicodeEncodeError:
            return EMPTY, BAD_DECODING_ERROR
    if wire == ua.VariantType.DateTime.value:
        return (EMPTY, BAD_TYPE_MISMATCH) if kind != Type.INT64 else (I64.pack(_us(value)), 0)
    if wire == ua.VariantType.StatusCode.value:
        wire, value = Type.UINT32, value.value
    if wire > Type.FLOAT64:
        return None
    return (pack_value(kind, value, side), 0) if _fits(kind, wire, value) else (EMPTY, BAD_TYPE_MISMATCH)


def _fits(kind: Type, wire: int, value: Any) -> bool:
    if kind == wire:
        return True
    if kind == Type.FLOAT64:
        return wire == Type.FLOAT32 or (wire in INTEGERS and abs(value) <= EXACT_MAX)
    return kind in INTEGERS and wire in WIDTH and WIDTH[kind] > WIDTH[wire] and (value >= 0 or kind in SIGNED)


def _decoded(response: Any, kind: int, buffer: Any) -> Any:
    """asyncua's object out of a copy of the buffer; a ServiceFault has its header, too."""
    try:
        fault = struct_from_binary(ua.ServiceFault, buffer.copy())
        number, bad = fault.TypeId.Identifier, is_bad(fault.ResponseHeader.ServiceResult.value)
        if number == ua.ObjectIds.ServiceFault_Encoding_DefaultBinary and bad:
            return fault
        if number != kind or fault.TypeId.NamespaceIndex:
            raise ValueError(f"a response of type {number}, not {kind}")
        return fault if bad else struct_from_binary(response, buffer.copy())
    except Exception as failure:
        raise ValueError(f"asyncua can't read it: {type(failure).__name__}: {failure}") from None


def _kind(notification: Any) -> int:
    """Its numeric type id; 0 for one of another namespace, or of none."""
    kind = ua.typeid_by_extension_objects.get(type(notification)) or getattr(notification, "TypeId", None)
    return kind.Identifier if kind and isinstance(kind.Identifier, int) and not kind.NamespaceIndex else 0


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _time(moment: datetime | None) -> int:
    return _us(moment) if moment is not None and FIRST < moment < LAST else 0


def _packed(layout: Any, numbers: list[int]) -> bytes:
    return b"".join([layout.pack(number) for number in numbers])


def _short(layout: Any, numbers: list[int]) -> bytes:
    return _packed(layout, numbers[:1] if len(set(numbers)) == 1 else numbers)


def _placeless(told: Notice) -> Notice:
    """Without what only one of the two ways knows: where things are, or their objects."""
    columns = replace(told.columns, odd=tuple([Odd(odd.handle, 0, 0, odd.row) for odd in told.columns.odd]))
    return replace(told, columns=columns, others=tuple([Other(other.kind, 0, 0) for other in told.others]))


def _samples() -> list[tuple[Any, bytes]]:
    """A message of every sort of value, a keep-alive, and a fault; with the kinds of its items."""
    moment = datetime(2026, 12, 1, 5, 30, 0, 123456, UTC)
    values = [(True, 1), (-2, 2), (3, 3), (-4, 4), (5, 5), (-6, 6), (7, 7), (-8, 8), (9, 9), (0.5, 10), (2.5, 11)]
    variants = [ua.Variant(value, ua.VariantType(kind)) for value, kind in values]
    variants += [ua.Variant("täg", ua.VariantType.String), ua.Variant([1, 2], ua.VariantType.Int32)]
    items = [
        ua.MonitoredItemNotification(handle, ua.DataValue(variant, ua.StatusCode(0), moment, moment))
        for handle, variant in enumerate(variants)
    ]
    items.append(ua.MonitoredItemNotification(99, ua.DataValue(ua.Variant(), ua.StatusCode(0x80310000))))
    message = ua.PublishResponse()
    message.Parameters.SubscriptionId, message.Parameters.AvailableSequenceNumbers = 3, [4, 5]
    message.Parameters.NotificationMessage.NotificationData = [
        ua.DataChangeNotification(items), ua.StatusChangeNotification(ua.StatusCode(0x80000000)),
    ]  # fmt: skip
    message.Parameters.Results = [ua.StatusCode(0), ua.StatusCode(0x807A0000)]
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(0x80250000)
    return [(message, bytes(range(1, 13)) + b"\x06"), (ua.PublishResponse(), b""), (fault, b"")]


# Why the fast way is not gone, "" where it is: asked once, when the first session is opened.
DISTRUST = distrust()
