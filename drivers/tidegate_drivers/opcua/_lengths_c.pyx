# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""Where the parts of an OPC UA binary message end, compiled: see _lengths_py.py, which is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef enum:
    NESTED_MAX = 100
    HAS_VALUE = 1
    INT32 = 6
    NODE_ID = 17
    EXPANDED_ID = 18
    QUALIFIED_NAME = 20
    LOCALIZED_TEXT = 21
    EXTENSION_OBJECT = 22
    DATA_VALUE = 23
    VARIANT = 24
    DIAGNOSTIC_INFO = 25
    VARIANT_TYPES = 32
# Bytes of a built-in type, 0 where they vary; and of what follows the value in a DataValue, by its mask without bit 0.
cdef uint8_t[64] FIXED = [0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 0, 8, 16, 0, 0, 0, 0, 4] + [0] * 44
cdef uint8_t[32] MARKS = [sum(b * (m >> i & 1) for i, b in enumerate((4, 8, 8, 2, 2))) for m in range(32)]


def node_id(bytes body not None, Py_ssize_t at, Py_ssize_t end, bint expanded):
    """The number of a NodeId of namespace 0 (0 for any other), and where it ends."""
    cdef uint32_t number
    at = past_node_id(pointer(body, at, end), at, end, expanded, &number)
    return number, at


def extension(bytes body not None, Py_ssize_t at, Py_ssize_t end):
    """An ExtensionObject: its type id as `node_id`, where its body begins (-1: it has none), and where it ends."""
    cdef uint32_t number
    cdef Py_ssize_t begins
    at = past_extension(pointer(body, at, end), at, end, &number, &begins)
    return number, begins, at


def diagnostics(bytes body not None, Py_ssize_t at, Py_ssize_t end):
    """Where a DiagnosticInfo ends."""
    return past_diagnostics(pointer(body, at, end), at, end)


def skip_variant(bytes body not None, Py_ssize_t at, Py_ssize_t end, int depth):
    """Where a Variant ends: a built-in type, an array of one, or an array with dimensions."""
    return variant(pointer(body, at, end), at, end, depth)


def skip_array(bytes body not None, Py_ssize_t at, Py_ssize_t end, int kind, int depth):
    """Where an array of a built-in type ends."""
    if not 0 <= kind < 64:
        raise ValueError(f"no built-in type has the number {kind}")
    return array(pointer(body, at, end), at, end, kind, depth)


def is_utf8(bytes body not None, Py_ssize_t at, Py_ssize_t end):
    """Whether these bytes are text."""
    try:
        PyUnicode_DecodeUTF8(<const char*>pointer(body, at, end) + at, end - at, NULL)
    except UnicodeDecodeError:
        return False
    return True


cdef const uint8_t* pointer(bytes body, Py_ssize_t at, Py_ssize_t end) except NULL:
    """The bytes, when `at` and `end` lie in them: all that follows is checked against `end`."""
    if not 0 <= at <= end <= PyBytes_GET_SIZE(body):
        raise ValueError("a place outside of the bytes")
    return <const uint8_t*>PyBytes_AS_STRING(body)


cdef inline uint16_t u16(const uint8_t* p) noexcept nogil:
    cdef uint16_t v
    memcpy(&v, p, 2)
    return v


cdef inline uint32_t u32(const uint8_t* p) noexcept nogil:
    cdef uint32_t v
    memcpy(&v, p, 4)
    return v


cdef inline Py_ssize_t passed(Py_ssize_t at, Py_ssize_t end, Py_ssize_t size) except -1:
    """Where so many bytes end."""
    if size > end - at:
        raise ValueError("a response that ends too early")
    return at + size


cdef inline Py_ssize_t length(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Py_ssize_t least) except -1:
    """The length of an array whose items have at least so many bytes; 0 for none. It begins 4 bytes after `at`."""
    cdef Py_ssize_t start = passed(at, end, 4)
    cdef Py_ssize_t count = <int32_t>u32(p + at)
    if count < -1 or count * least > end - start:
        raise ValueError(f"an array of {count} items in {end - start} bytes")
    return count if count > 0 else 0


cdef inline Py_ssize_t text(const uint8_t* p, Py_ssize_t at, Py_ssize_t end) except -1:
    return at + 4 + length(p, at, end, 1)


cdef Py_ssize_t past_node_id(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, bint expanded, uint32_t* number) except -1:
    """Where a NodeId ends; its number is 0 outside of namespace 0."""
    cdef Py_ssize_t start = passed(at, end, 1)
    cdef uint8_t form = p[at]
    cdef uint16_t space = 0
    number[0] = 0
    at = start
    if form & 0x3F == 0:
        at = passed(at, end, 1)
        number[0] = p[start]
    elif form & 0x3F == 1:
        at = passed(at, end, 3)
        space, number[0] = p[start], u16(p + start + 1)
    elif form & 0x3F <= 5:
        at = passed(at, end, 2)
        space = u16(p + start)
        if form & 0x3F == 2:
            at = passed(at, end, 4)
            number[0] = u32(p + start + 2)
        else:
            at = passed(at, end, 16) if form & 0x3F == 4 else text(p, at, end)
    else:
        raise ValueError(f"no NodeId begins with {form:#x}")
    if form & 0xC0 and not expanded:
        raise ValueError(f"no NodeId begins with {form:#x}")
    if form & 0x80:
        at = text(p, at, end)
    if form & 0x40:
        at = passed(at, end, 4)
    if space or form & 0xC0:
        number[0] = 0
    return at


cdef Py_ssize_t past_extension(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, uint32_t* kind, Py_ssize_t* begins
) except -1:
    """Where an ExtensionObject ends: its type id, and where its body begins (-1: it has none)."""
    cdef Py_ssize_t size
    cdef uint8_t form
    at = past_node_id(p, at, end, True, kind)
    passed(at, end, 1)
    form = p[at]
    at += 1
    begins[0] = -1
    if form == 0:
        return at
    if form > 2:
        raise ValueError(f"no ExtensionObject has the encoding {form}")
    passed(at, end, 4)
    size = <int32_t>u32(p + at)
    at += 4
    if size < -1 or size > end - at:
        raise ValueError(f"an ExtensionObject of {size} bytes in {end - at}")
    if size < 0:
        return at
    if form == 1:
        begins[0] = at
    return at + size


cdef Py_ssize_t past_diagnostics(const uint8_t* p, Py_ssize_t at, Py_ssize_t end) except -1:
    cdef uint8_t mask
    cdef int bit
    for _ in range(NESTED_MAX):
        passed(at, end, 1)
        mask = p[at]
        at += 1
        if mask & 0x80:
            break
        for bit in range(4):
            if mask >> bit & 1:
                at = passed(at, end, 4)
        if mask & 0x10:
            at = text(p, at, end)
        if mask & 0x20:
            at = passed(at, end, 4)
        if not mask & 0x40:
            return at
    raise ValueError("diagnostics that are nested too deep, or have parts that nobody knows")


cdef Py_ssize_t variant(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, int depth) except -1:
    cdef uint8_t mask
    if depth > NESTED_MAX:
        raise ValueError("values that are nested too deep")
    passed(at, end, 1)
    mask = p[at]
    at += 1
    at = array(p, at, end, mask & 0x3F, depth) if mask & 0x80 else skip(p, at, end, mask & 0x3F, depth)
    return array(p, at, end, INT32, depth) if mask & 0x40 else at


cdef Py_ssize_t array(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, int kind, int depth) except -1:
    cdef Py_ssize_t count = length(p, at, end, FIXED[kind] if FIXED[kind] else 1)
    at += 4
    if count and kind == 0:
        raise ValueError("an array of nothing")
    if FIXED[kind]:
        return at + count * FIXED[kind]
    for _ in range(count):
        at = skip(p, at, end, kind, depth)
    return at


cdef Py_ssize_t skip(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, int kind, int depth) except -1:
    """Where a value of a built-in type ends."""
    cdef uint32_t number
    cdef Py_ssize_t begins
    cdef uint8_t mask
    if kind == 0:
        return at
    if FIXED[kind]:
        return passed(at, end, FIXED[kind])
    if kind == NODE_ID or kind == EXPANDED_ID:
        return past_node_id(p, at, end, kind == EXPANDED_ID, &number)
    if kind == QUALIFIED_NAME:
        return text(p, passed(at, end, 2), end)
    if kind == LOCALIZED_TEXT:
        passed(at, end, 1)
        mask = p[at]
        at += 1
        if mask > 3:
            raise ValueError("a LocalizedText has parts that nobody knows")
        if mask & 1:
            at = text(p, at, end)
        return text(p, at, end) if mask & 2 else at
    if kind == EXTENSION_OBJECT:
        return past_extension(p, at, end, &number, &begins)
    if kind == DATA_VALUE:
        passed(at, end, 1)
        mask = p[at]
        at += 1
        if mask & 0xC0:
            raise ValueError("a DataValue has parts that nobody knows")
        if mask & HAS_VALUE:
            at = variant(p, at, end, depth + 1)
        return passed(at, end, MARKS[mask >> 1])
    if kind == VARIANT:
        return variant(p, at, end, depth + 1)
    if kind == DIAGNOSTIC_INFO:
        return past_diagnostics(p, at, end)
    if kind < VARIANT_TYPES:
        return text(p, at, end)
    raise ValueError(f"no built-in type has the number {kind}")
