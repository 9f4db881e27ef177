"""Where the parts of an OPC UA binary message end, pure: what `_notice_py.py` passes over (OPC 10000-6 §5.2.2).

These are foreign bytes: each function is given where they end and reads nothing from there on, an array holds no more
items than bytes are left, and what is nested has a depth. All raise ValueError.
"""

from struct import Struct

from tidegate.model.tag import Type

NESTED_MAX = 100
TICKS_OF_1970 = 116_444_736_000_000_000
# 9999-12-31 23:59:59: times from there on mean "no end" (OPC 10000-6 §5.2.2.5).
TICKS_MAX = 2_650_467_743_990_000_000
VARIANT_TYPE, VARIANT_DIMENSIONS, VARIANT_ARRAY = 0x3F, 0x40, 0x80
HAS_VALUE, HAS_STATUS, HAS_SOURCE, HAS_SERVER, HAS_SOURCE_PS, HAS_SERVER_PS = 1, 2, 4, 8, 16, 32
DATE_TIME, GUID, BYTE_STRING, XML, NODE_ID, EXPANDED_ID, STATUS_CODE = 13, 14, 15, 16, 17, 18, 19
QUALIFIED_NAME, LOCALIZED_TEXT, EXTENSION_OBJECT, DATA_VALUE, VARIANT, DIAGNOSTIC_INFO = 20, 21, 22, 23, 24, 25
VARIANT_TYPES = 32
FIXED_BYTES = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 4, 8: 8, 9: 8, 10: 4, 11: 8, DATE_TIME: 8, GUID: 16, 19: 4}
U16, U32, I32, I64 = (Struct(f"<{code}") for code in ("H", "I", "i", "q"))


def marks(body: bytes, at: int, end: int, mask: int) -> tuple[int, int, int, int]:
    """What follows the value: status, source time, server time; where that ends."""
    status = source = server = 0
    if mask & HAS_STATUS:
        (status,), at = take(U32, body, at, end)
    if mask & HAS_SOURCE:
        (source,), at = take(I64, body, at, end)
    if mask & HAS_SOURCE_PS:
        _, at = take(U16, body, at, end)
    if mask & HAS_SERVER:
        (server,), at = take(I64, body, at, end)
    if mask & HAS_SERVER_PS:
        _, at = take(U16, body, at, end)
    return status, time_us(source), time_us(server), at


def time_us(ticks: int) -> int:
    """Microseconds since 1970 of a DateTime; 0 where it says that there is none."""
    return (ticks - TICKS_OF_1970) // 10 if 0 < ticks < TICKS_MAX else 0


def take(layout: Struct, body: bytes, at: int, end: int) -> tuple[tuple[int, ...], int]:
    """The parts of a layout, and where it ends."""
    if end - at < layout.size:
        raise ValueError("a response that ends too early")
    return layout.unpack_from(body, at), at + layout.size


def one(body: bytes, at: int, end: int) -> tuple[int, int]:
    """One byte, and where it ends."""
    if at >= end:
        raise ValueError("a response that ends too early")
    return body[at], at + 1


def passed(at: int, end: int, size: int) -> int:
    """Where so many bytes end."""
    if size > end - at:
        raise ValueError("a response that ends too early")
    return at + size


def array_length(body: bytes, at: int, end: int, least: int) -> tuple[int, int]:
    """The length of an array whose items have at least so many bytes; 0 for none."""
    (count,), at = take(I32, body, at, end)
    if count < -1 or count * least > end - at:
        raise ValueError(f"an array of {count} items in {end - at} bytes")
    return max(0, count), at


def column(body: bytes, at: int, end: int) -> tuple[bytes, int]:
    """An array of u32, as it is."""
    count, at = array_length(body, at, end, 4)
    return body[at : at + 4 * count], at + 4 * count


def skip_text(body: bytes, at: int, end: int) -> int:
    """Where a String or ByteString ends."""
    count, at = array_length(body, at, end, 1)
    return at + count


def is_utf8(body: bytes, at: int, end: int) -> bool:
    """Whether these bytes are text."""
    try:
        body[at:end].decode()
    except UnicodeDecodeError:
        return False
    return True


def node_id(body: bytes, at: int, end: int, expanded: bool) -> tuple[int, int]:
    """The number of a NodeId of namespace 0 (0 for any other), and where it ends."""
    form, at = one(body, at, end)
    space = number = 0
    if form & 0x3F == 0:
        number, at = one(body, at, end)
    elif form & 0x3F == 1:
        space, at = one(body, at, end)
        (number,), at = take(U16, body, at, end)
    elif form & 0x3F <= 5:
        (space,), at = take(U16, body, at, end)
        if form & 0x3F == 2:
            (number,), at = take(U32, body, at, end)
        else:
            at = passed(at, end, 16) if form & 0x3F == 4 else skip_text(body, at, end)
    else:
        raise ValueError(f"no NodeId begins with {form:#x}")
    if form & 0xC0 and not expanded:
        raise ValueError(f"no NodeId begins with {form:#x}")
    if form & 0x80:
        at = skip_text(body, at, end)
    if form & 0x40:
        at = passed(at, end, 4)
    return (0 if space or form & 0xC0 else number), at


def extension(body: bytes, at: int, end: int) -> tuple[int, int, int]:
    """An ExtensionObject: its type id as `node_id`, where its body begins (-1: it has none), and where it ends."""
    kind, at = node_id(body, at, end, True)
    form, at = one(body, at, end)
    if form == 0:
        return kind, -1, at
    if form > 2:
        raise ValueError(f"no ExtensionObject has the encoding {form}")
    (size,), at = take(I32, body, at, end)
    if size < -1 or size > end - at:
        raise ValueError(f"an ExtensionObject of {size} bytes in {end - at}")
    return kind, (-1 if size < 0 or form == 2 else at), at + max(0, size)


def diagnostics(body: bytes, at: int, end: int) -> int:
    """Where a DiagnosticInfo ends: symbol, namespace, locale and text are i32, then text, status, another one."""
    for _ in range(NESTED_MAX):
        mask, at = one(body, at, end)
        if mask & 0x80:
            break
        at = passed(at, end, 4 * (mask & 0x0F).bit_count())
        if mask & 0x10:
            at = skip_text(body, at, end)
        if mask & 0x20:
            at = passed(at, end, 4)
        if not mask & 0x40:
            return at
    raise ValueError("diagnostics that are nested too deep, or have parts that nobody knows")


def skip_variant(body: bytes, at: int, end: int, depth: int) -> int:
    """Where a Variant ends: a built-in type, an array of one, or an array with dimensions."""
    if depth > NESTED_MAX:
        raise ValueError("values that are nested too deep")
    mask, at = one(body, at, end)
    kind = mask & VARIANT_TYPE
    at = skip_array(body, at, end, kind, depth) if mask & VARIANT_ARRAY else skip(body, at, end, kind, depth)
    if mask & VARIANT_DIMENSIONS:
        at = skip_array(body, at, end, Type.INT32, depth)
    return at


def skip_array(body: bytes, at: int, end: int, kind: int, depth: int) -> int:
    """Where an array of a built-in type ends."""
    count, at = array_length(body, at, end, FIXED_BYTES.get(kind, 1))
    if count and kind == 0:
        raise ValueError("an array of nothing")
    if kind in FIXED_BYTES:
        return at + count * FIXED_BYTES[kind]
    for _ in range(count):
        at = skip(body, at, end, kind, depth)
    return at


def skip(body: bytes, at: int, end: int, kind: int, depth: int) -> int:
    """Where a value of a built-in type ends (OPC 10000-6 §5.1.2). Types 26 to 31 are read as ByteString."""
    if kind == 0:
        return at
    if kind in FIXED_BYTES:
        return passed(at, end, FIXED_BYTES[kind])
    if kind in (NODE_ID, EXPANDED_ID):
        return node_id(body, at, end, kind == EXPANDED_ID)[1]
    if kind == QUALIFIED_NAME:
        return skip_text(body, passed(at, end, 2), end)
    if kind == LOCALIZED_TEXT:
        mask, at = one(body, at, end)
        if mask > 3:
            raise ValueError("a LocalizedText has parts that nobody knows")
        for _ in range(mask.bit_count()):
            at = skip_text(body, at, end)
        return at
    if kind == EXTENSION_OBJECT:
        return extension(body, at, end)[2]
    if kind == DATA_VALUE:
        mask, at = one(body, at, end)
        if mask & 0xC0:
            raise ValueError("a DataValue has parts that nobody knows")
        at = skip_variant(body, at, end, depth + 1) if mask & HAS_VALUE else at
        return marks(body, at, end, mask)[3]
    if kind == VARIANT:
        return skip_variant(body, at, end, depth + 1)
    if kind == DIAGNOSTIC_INFO:
        return diagnostics(body, at, end)
    if kind < VARIANT_TYPES:
        return skip_text(body, at, end)
    raise ValueError(f"no built-in type has the number {kind}")
