"""PublishResponse and ReadResponse into columns, pure: the specification of `_notice_c.pyx` and its oracle.

    response       type id NodeId, header (time, handle u32, result u32, DiagnosticInfo, String[], ExtensionObject)
      publish      subscription u32, available numbers u32[], more u8, number u32, time, notifications
                   ExtensionObject[], results u32[], DiagnosticInfo[]
      read         DataValue[], DiagnosticInfo[]
    data change    items (client handle u32, DataValue)[], DiagnosticInfo[]
    DataValue      mask u8, Variant?, status u32?, source time?, its picoseconds u16?, server time?, its picoseconds?

All little-endian (OPC 10000-4 §5.11.2, §5.14.5, §7.25.2; OPC 10000-6 §5.2). These are foreign bytes: nothing is read
outside of them, an array holds no more items than bytes are left, and what is nested has a depth.
"""

from struct import Struct, unpack_from

from tidegate.model.status import BAD_DECODING_ERROR, BAD_NO_DATA
from tidegate.model.tag import INTEGERS, Type
from tidegate_drivers.opcua._lengths_py import (
    DATE_TIME,
    DIAGNOSTIC_INFO,
    HAS_VALUE,
    I32,
    I64,
    STATUS_CODE,
    TICKS_OF_1970,
    U32,
    array_length,
    column,
    diagnostics,
    extension,
    is_utf8,
    marks,
    node_id,
    one,
    skip_array,
    skip_variant,
    take,
    time_us,
)

SERVICE_FAULT, READ_RESPONSE, PUBLISH_RESPONSE, DATA_CHANGE = 397, 634, 829, 811
BAD_TYPE_MISMATCH = 0x80740000
SEVERITY_BAD = 0x80000000
# What one response may hold: a server whose queues of 100,000 items are emptied at once stays below.
BYTES_MAX, ITEMS_MAX, OTHERS_MAX = (1 << 31) - 1, 1_000_000, 10_000
# Info type "data value" with the bit "overflow" (OPC 10000-4 §7.39.1).
OVERFLOW = 0x0480
EXACT_MAX = 1 << 53
WIRE = dict(zip(range(1, 12), "?bBhHiIqQfd", strict=True)) | {DATE_TIME: "q", STATUS_CODE: "I"}
SIGNED = frozenset({Type.INT8, Type.INT16, Type.INT32, Type.INT64})
# A whole number fits into a wider type; a bool into any.
WIDTH = {1: 0, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8}
U64, PAIR = Struct("<Q"), Struct("<II")
TIME_AND_HANDLE = Struct("<qI")
EMPTY = bytes(8)

Odd = tuple[int, int, int, int]
Columns = tuple[int, bytes, bytes, bytes, bytes, bytes, bytes, bytes, list[Odd]]
Published = tuple[int, int, bytes, bool, int, int, int, bytes, Columns, list[tuple[int, int, int]]]


class _Rows:
    """What was gathered so far: the columns as they grow."""

    def __init__(self) -> None:
        self.handles, self.sources, self.servers, self.status = bytearray(), bytearray(), bytearray(), bytearray()
        self.values, self.side, self.overflowed = bytearray(), bytearray(), bytearray()
        self.odd: list[Odd] = []

    def columns(self) -> Columns:
        """Each column as Frame has it: one item where all are the same."""
        servers = self.servers if any(self.servers) else b""
        return (
            len(self.handles) // 4, bytes(self.handles), _short(self.sources, 8), _short(servers, 8),
            _short(self.status, 4), bytes(self.values), bytes(self.side), bytes(self.overflowed), self.odd,
        )  # fmt: skip


def publish(body: bytes, at: int, kinds: bytes) -> Published:
    """A PublishResponse whose type id is at `at`.

    `kinds[handle]` is the Type of that item's slot; 0, and a handle that is not in it, is none of ours. Gives
    - service result (where it is Bad the rest is empty), subscription, available sequence numbers (u32 column),
      whether more is to come, sequence number, publish time in us, how many notifications there are (0: it only says
      that it is alive), the results of acknowledgements (u32 column);
    - the columns: count, handles u32, source times i64 us (0 = none), server times (b"" = none), status u32, slots,
      side bytes, handles u32 of items whose queue overflowed, and the odd ones, which are not in the columns (handle,
      offset and length of the DataValue, how many rows come before it);
    - other notifications (numeric type id or 0, offset and length of the ExtensionObject).
    Offsets are those of `body`. Raises ValueError when the bytes are no such response.
    """
    result, at = _begin(body, at, PUBLISH_RESPONSE)
    rows = _Rows()
    if result >= SEVERITY_BAD:
        return result, 0, b"", False, 0, 0, 0, b"", rows.columns(), []
    end = len(body)
    (subscription,), at = take(U32, body, at, end)
    available, at = column(body, at, end)
    more, at = one(body, at, end)
    (number,), at = take(U32, body, at, end)
    (ticks,), at = take(I64, body, at, end)
    count, at = array_length(body, at, end, 3)
    if count > OTHERS_MAX:
        raise ValueError(f"{count} notifications in one response")
    others = []
    for _ in range(count):
        begun = at
        kind, start, at = extension(body, at, end)
        if kind == DATA_CHANGE and start >= 0:
            _data_change(body, start, at, kinds, rows)
        else:
            others.append((kind, begun, at - begun))
    results, at = column(body, at, end)
    skip_array(body, at, end, DIAGNOSTIC_INFO, 0)
    return (
        result, subscription, available, more != 0, number, time_us(ticks), count, results, rows.columns(), others,
    )  # fmt: skip


def read(body: bytes, at: int, kinds: bytes) -> tuple[int, int, Columns]:
    """A ReadResponse whose type id is at `at`: service result, how many results there are, and the columns.

    As `publish`; the handle of a result is its place among them. Raises ValueError when it is no ReadResponse.
    """
    result, at = _begin(body, at, READ_RESPONSE)
    rows = _Rows()
    if result >= SEVERITY_BAD:
        return result, 0, rows.columns()
    end = len(body)
    count, at = array_length(body, at, end, 1)
    for handle in range(count):
        at = _item(body, at, end, handle, kinds, rows)
    skip_array(body, at, end, DIAGNOSTIC_INFO, 0)
    return result, count, rows.columns()


def fill(handles: bytes, table: bytes) -> bytes:
    """For each handle of a u32 column its entry in a table of u32. Raises ValueError for a handle outside of it."""
    if len(handles) % 4 or len(table) % 4:
        raise ValueError("columns of u32 have 4 bytes an item")
    entries = memoryview(table).cast("I")
    try:
        return b"".join(U32.pack(entries[handle]) for (handle,) in U32.iter_unpack(handles))
    except IndexError:
        raise ValueError("a handle is not in the table") from None


def _short(column: bytes | bytearray, width: int) -> bytes:
    """The column, or its first item when all are the same."""
    first = bytes(column[:width])
    return first if first * (len(column) // width) == column else bytes(column)


def _begin(body: bytes, at: int, wanted: int) -> tuple[int, int]:
    """Type id and response header: the service result, and where the rest begins. A ServiceFault has a result too."""
    end = len(body)
    if not 0 <= at <= end <= BYTES_MAX:
        raise ValueError("a response can't begin outside of its bytes")
    kind, at = node_id(body, at, end, True)
    if kind not in (wanted, SERVICE_FAULT):
        raise ValueError(f"a response of type {kind}, not {wanted}")
    _, at = take(TIME_AND_HANDLE, body, at, end)
    (result,), at = take(U32, body, at, end)
    at = diagnostics(body, at, end)
    at = skip_array(body, at, end, Type.STRING, 0)
    _, _, at = extension(body, at, end)
    if kind == SERVICE_FAULT and result < SEVERITY_BAD:
        raise ValueError("a service fault without a fault")
    return result, at


def _data_change(body: bytes, at: int, end: int, kinds: bytes, rows: _Rows) -> None:
    count, at = array_length(body, at, end, 5)
    for _ in range(count):
        (handle,), at = take(U32, body, at, end)
        at = _item(body, at, end, handle, kinds, rows)
    skip_array(body, at, end, DIAGNOSTIC_INFO, 0)


def _item(body: bytes, at: int, end: int, handle: int, kinds: bytes, rows: _Rows) -> int:
    """One DataValue into the rows, or among the odd; where it ends."""
    begun = at
    if len(rows.handles) // 4 + len(rows.odd) >= ITEMS_MAX:
        raise ValueError(f"more than {ITEMS_MAX} values in one response")
    kind = kinds[handle] if handle < len(kinds) else 0
    mask, at = one(body, at, end)
    if mask & 0xC0:
        raise ValueError("a DataValue has parts that nobody knows")
    wire, value = 0, at
    if mask & HAS_VALUE:
        wire, value = body[at] if at < end else 0, at + 1
        at = skip_variant(body, at, end, 0)
    status, source, server, at = marks(body, at, end, mask)
    if status & OVERFLOW == OVERFLOW:
        rows.overflowed += U32.pack(handle)
    slot = EMPTY
    if not 0 < kind <= Type.STRING:
        rows.odd.append((handle, begun, at - begun, len(rows.handles) // 4))
        return at
    if status < SEVERITY_BAD:
        if wire == 0:
            status = BAD_NO_DATA
        elif kind == Type.STRING and wire == Type.STRING:
            slot, status = _text(body, value, rows.side, status)
        elif kind != Type.STRING and wire in WIRE:
            slot, status = _number(kind, wire, body, value, status)
        else:
            rows.odd.append((handle, begun, at - begun, len(rows.handles) // 4))
            return at
    rows.handles += U32.pack(handle)
    rows.sources += I64.pack(source)
    rows.servers += I64.pack(server)
    rows.status += U32.pack(status)
    rows.values += slot
    return at


def _text(body: bytes, at: int, side: bytearray, status: int) -> tuple[bytes, int]:
    """A String that was skipped before: its slot, and its status. Null is the empty text."""
    length = max(0, I32.unpack_from(body, at)[0])
    if not is_utf8(body, at + 4, at + 4 + length):
        return EMPTY, BAD_DECODING_ERROR
    slot = PAIR.pack(len(side), length)
    side += body[at + 4 : at + 4 + length]
    return slot, status


def _number(kind: int, wire: int, body: bytes, at: int, status: int) -> tuple[bytes, int]:
    """A number in a slot of its own type, or of one that holds it all; else an empty slot, and BadTypeMismatch."""
    if wire == DATE_TIME:
        if kind != Type.INT64:
            return EMPTY, BAD_TYPE_MISMATCH
        return I64.pack((I64.unpack_from(body, at)[0] - TICKS_OF_1970) // 10), status
    wire = Type.UINT32 if wire == STATUS_CODE else wire
    if wire == Type.FLOAT32:
        return _float(kind, U32.unpack_from(body, at)[0], status)
    if wire == Type.FLOAT64:
        return (body[at : at + 8], status) if kind == Type.FLOAT64 else (EMPTY, BAD_TYPE_MISMATCH)
    value = int(unpack_from("<" + WIRE[wire], body, at)[0])
    if kind == wire:
        return (value & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little"), status
    if kind in INTEGERS and WIDTH[kind] > WIDTH[wire] and (value >= 0 or kind in SIGNED):
        return (value & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, "little"), status
    if kind == Type.FLOAT64 and wire != Type.BOOL and abs(value) <= EXACT_MAX:
        return Struct("<d").pack(value), status
    return EMPTY, BAD_TYPE_MISMATCH


def _float(kind: int, bits: int, status: int) -> tuple[bytes, int]:
    """A float32, of which a float64 keeps all: of one that is no number, the bits that say so too."""
    if kind == Type.FLOAT32:
        return U64.pack(bits), status
    if kind != Type.FLOAT64:
        return EMPTY, BAD_TYPE_MISMATCH
    if bits & 0x7F80_0000 == 0x7F80_0000:
        return U64.pack((bits & 0x8000_0000) << 32 | 0x7FF << 52 | (bits & 0x7F_FFFF) << 29), status
    return Struct("<d").pack(unpack_from("<f", U32.pack(bits))[0]), status
