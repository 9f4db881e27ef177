# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""PublishResponse and ReadResponse into columns, compiled: see _notice_py.py, which is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.list cimport PyList_GET_SIZE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memset

from tidegate_drivers.opcua._lengths_c import diagnostics, extension, is_utf8, node_id, skip_array, skip_variant

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef enum:
    ITEMS_MAX = 1000000, OTHERS_MAX = 10000, ROOM_FIRST = 64
    SERVICE_FAULT = 397, READ_RESPONSE = 634, DATA_CHANGE = 811, PUBLISH_RESPONSE = 829
    BOOL = 1, INT32 = 6, UINT32 = 7, INT64 = 8, UINT64 = 9, FLOAT32 = 10, FLOAT64 = 11, TEXT = 12, DATE_TIME = 13
    STATUS_CODE = 19, DIAGNOSTIC_INFO = 25
    HAS_VALUE = 1, OVERFLOW = 0x0480
cdef Py_ssize_t BYTES_MAX = 0x7FFFFFFF
cdef uint32_t SEVERITY_BAD = 0x80000000
cdef uint32_t BAD_DECODING_ERROR = 0x80070000, BAD_TYPE_MISMATCH = 0x80740000, BAD_NO_DATA = 0x809B0000
cdef int64_t TICKS_OF_1970 = 116444736000000000
cdef int64_t TICKS_MAX = 2650467743990000000
cdef int64_t EXACT_MAX = 1LL << 53
# Bytes of a number on the wire, 0 where a type is none; how wide a whole number is.
cdef uint8_t[64] NUMBER = [0, 1, 1, 1, 2, 2, 4, 4, 8, 8, 4, 8, 0, 8, 0, 0, 0, 0, 0, 4] + [0] * 44
cdef uint8_t[10] WIDTH = [0, 0, 1, 1, 2, 2, 4, 4, 8, 8]

cdef struct Rows:
    Py_ssize_t count, room, side_count, side_room
    uint32_t* handles
    int64_t* sources
    int64_t* servers
    uint32_t* status
    uint64_t* values
    char* side
    bint sources_differ, servers_differ, status_differ, server_known


def publish(bytes body not None, Py_ssize_t at, bytes kinds not None):
    """A PublishResponse whose type id is at `at`: see the specification. Raises ValueError when it is none."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(body), begun, start, stop
    cdef Rows rows
    cdef uint32_t subscription, number
    cdef int64_t time
    cdef bint more
    result, at = begin(body, at, PUBLISH_RESPONSE)
    memset(&rows, 0, sizeof(Rows))
    odd, others, overflowed = [], [], bytearray()
    if result >= SEVERITY_BAD:
        return result, 0, b"", False, 0, 0, 0, b"", columns(&rows, odd, overflowed), others
    subscription = u32(p + need(at, end, 4))
    available, at = column(body, at + 4, end)
    need(at, end, 13)
    more, number, time = p[at] != 0, u32(p + at + 1), time_us(i64(p + at + 5))
    count, at = array_length(p, at + 13, end, 3), at + 17
    if count > OTHERS_MAX:
        raise ValueError(f"{count} notifications in one response")
    try:
        for _ in range(count):
            begun = at
            kind, start, stop = extension(body, at, end)
            at = stop
            if kind == DATA_CHANGE and start >= 0:
                data_change(body, start, stop, kinds, &rows, odd, overflowed)
            else:
                others.append((kind, begun, at - begun))
        results, at = column(body, at, end)
        skip_array(body, at, end, DIAGNOSTIC_INFO, 0)
        gathered = columns(&rows, odd, overflowed)
    finally:
        release(&rows)
    return result, subscription, available, more, number, time, count, results, gathered, others


def read(bytes body not None, Py_ssize_t at, bytes kinds not None):
    """A ReadResponse whose type id is at `at`: see the specification. Raises ValueError when it is none."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t end = PyBytes_GET_SIZE(body), count, handle
    cdef Rows rows
    result, at = begin(body, at, READ_RESPONSE)
    memset(&rows, 0, sizeof(Rows))
    odd, overflowed = [], bytearray()
    if result >= SEVERITY_BAD:
        return result, 0, columns(&rows, odd, overflowed)
    count, at = array_length(p, at, end, 1), at + 4
    try:
        for handle in range(count):
            at = item(body, p, at, end, <uint32_t>handle, kinds, &rows, odd, overflowed)
        skip_array(body, at, end, DIAGNOSTIC_INFO, 0)
        gathered = columns(&rows, odd, overflowed)
    finally:
        release(&rows)
    return result, count, gathered


def fill(bytes handles not None, bytes table not None):
    """For each handle of a u32 column its entry in a table of u32. Raises ValueError for a handle outside of it."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(handles), entries = PyBytes_GET_SIZE(table), at
    cdef uint32_t handle
    if size % 4 or entries % 4:
        raise ValueError("columns of u32 have 4 bytes an item")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    for at in range(0, size, 4):
        handle = u32(<const uint8_t*>PyBytes_AS_STRING(handles) + at)
        if <Py_ssize_t>handle * 4 >= entries:
            raise ValueError("a handle is not in the table")
        memcpy(PyBytes_AS_STRING(out) + at, PyBytes_AS_STRING(table) + <Py_ssize_t>handle * 4, 4)
    return out


cdef tuple begin(bytes body, Py_ssize_t at, uint32_t wanted):
    """Type id and response header: the service result, and where the rest begins."""
    cdef Py_ssize_t end = PyBytes_GET_SIZE(body)
    cdef uint32_t result
    if not 0 <= at <= end <= BYTES_MAX:
        raise ValueError("a response can't begin outside of its bytes")
    kind, at = node_id(body, at, end, True)
    if kind != wanted and kind != SERVICE_FAULT:
        raise ValueError(f"a response of type {kind}, not {wanted}")
    result = u32(<const uint8_t*>PyBytes_AS_STRING(body) + need(at, end, 16) + 12)
    at = skip_array(body, diagnostics(body, at + 16, end), end, TEXT, 0)
    at = extension(body, at, end)[2]
    if kind == SERVICE_FAULT and result < SEVERITY_BAD:
        raise ValueError("a service fault without a fault")
    return result, at


cdef tuple column(bytes body, Py_ssize_t at, Py_ssize_t end):
    """An array of u32, as it is, and where it ends."""
    cdef Py_ssize_t count = array_length(<const uint8_t*>PyBytes_AS_STRING(body), at, end, 4)
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(body) + at + 4, 4 * count), at + 4 + 4 * count


cdef int data_change(
    bytes body, Py_ssize_t at, Py_ssize_t end, bytes kinds, Rows* rows, list odd, bytearray overflowed
) except -1:
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(body)
    cdef Py_ssize_t count = array_length(p, at, end, 5)
    cdef uint32_t handle
    at += 4
    for _ in range(count):
        handle = u32(p + need(at, end, 4))
        at = item(body, p, at + 4, end, handle, kinds, rows, odd, overflowed)
    skip_array(body, at, end, DIAGNOSTIC_INFO, 0)
    return 0


cdef Py_ssize_t item(
    bytes body, const uint8_t* p, Py_ssize_t at, Py_ssize_t end, uint32_t handle, bytes kinds, Rows* rows, list odd,
    bytearray overflowed,
) except -1:
    """One DataValue into the rows, or among the odd; where it ends."""
    cdef Py_ssize_t begun = at, value, length
    cdef int kind = 0, wire = 0
    cdef uint8_t mask
    cdef uint32_t status
    cdef int64_t source, server
    cdef uint64_t slot = 0
    if rows.count + PyList_GET_SIZE(odd) >= ITEMS_MAX:
        raise ValueError(f"more than {ITEMS_MAX} values in one response")
    if <Py_ssize_t>handle < PyBytes_GET_SIZE(kinds):
        kind = <uint8_t>PyBytes_AS_STRING(kinds)[handle]
    mask = p[need(at, end, 1)]
    if mask & 0xC0:
        raise ValueError("a DataValue has parts that nobody knows")
    at += 1
    value = at + 1
    if mask & HAS_VALUE:
        wire = p[need(at, end, 1)]
        if wire < 64 and NUMBER[wire]:
            at = need(value, end, NUMBER[wire]) + NUMBER[wire]
        elif wire == TEXT:
            at = value + 4 + array_length(p, value, end, 1)
        else:
            at = skip_variant(body, at, end, 0)
    at = marks(p, at, end, mask, &status, &source, &server)
    if status & OVERFLOW == OVERFLOW:
        overflowed += handle.to_bytes(4, "little")
    if not 0 < kind <= TEXT:
        odd.append((handle, begun, at - begun, rows.count))
        return at
    if status < SEVERITY_BAD:
        if wire == 0:
            status = BAD_NO_DATA
        elif kind == TEXT and wire == TEXT:
            length = array_length(p, value, end, 1)
            if is_ascii(p + value + 4, length) or is_utf8(body, value + 4, value + 4 + length):
                slot = <uint64_t>length << 32 | <uint64_t>rows.side_count
                keep_text(p + value + 4, length, rows)
            else:
                status = BAD_DECODING_ERROR
        elif kind != TEXT and wire < 64 and NUMBER[wire]:
            if not number(kind, wire, p + value, &slot):
                slot, status = 0, BAD_TYPE_MISMATCH
        else:
            odd.append((handle, begun, at - begun, rows.count))
            return at
    keep(rows, handle, source, server, status, slot)
    return at


cdef inline int keep(
    Rows* rows, uint32_t handle, int64_t source, int64_t server, uint32_t status, uint64_t slot
) except -1:
    """One more row; whether a column differs is noted on the way."""
    cdef Py_ssize_t n = rows.count
    if n == rows.room:
        rows.room = 2 * n if n else ROOM_FIRST
        rows.handles = <uint32_t*>grown(rows.handles, 4 * rows.room)
        rows.status = <uint32_t*>grown(rows.status, 4 * rows.room)
        rows.sources = <int64_t*>grown(rows.sources, 8 * rows.room)
        rows.servers = <int64_t*>grown(rows.servers, 8 * rows.room)
        rows.values = <uint64_t*>grown(rows.values, 8 * rows.room)
    rows.handles[n], rows.sources[n], rows.servers[n], rows.status[n] = handle, source, server, status
    rows.values[n] = slot
    rows.count = n + 1
    rows.sources_differ |= source != rows.sources[0]
    rows.servers_differ |= server != rows.servers[0]
    rows.status_differ |= status != rows.status[0]
    rows.server_known |= server != 0
    return 0


cdef inline void* grown(void* old, Py_ssize_t size) except NULL:
    cdef void* new = realloc(old, size)
    if new == NULL:
        raise MemoryError()
    return new


cdef void release(Rows* rows) noexcept:
    free(rows.handles)
    free(rows.sources)
    free(rows.servers)
    free(rows.status)
    free(rows.values)
    free(rows.side)


cdef inline bint is_ascii(const uint8_t* p, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(length):
        if p[i] & 0x80:
            return False
    return True


cdef int keep_text(const uint8_t* p, Py_ssize_t length, Rows* rows) except -1:
    if rows.side_count + length > rows.side_room:
        rows.side_room = 2 * (rows.side_count + length)
        rows.side = <char*>grown(rows.side, rows.side_room)
    memcpy(rows.side + rows.side_count, p, length)
    rows.side_count += length
    return 0


cdef tuple columns(Rows* rows, list odd, bytearray overflowed):
    """Each column as Frame has it: one item where all are the same."""
    cdef Py_ssize_t n = rows.count, once = 1 if n else 0
    return (
        n,
        PyBytes_FromStringAndSize(<char*>rows.handles, 4 * n),
        PyBytes_FromStringAndSize(<char*>rows.sources, 8 * (n if rows.sources_differ else once)),
        PyBytes_FromStringAndSize(<char*>rows.servers, 8 * (n if rows.servers_differ else once) * rows.server_known),
        PyBytes_FromStringAndSize(<char*>rows.status, 4 * (n if rows.status_differ else once)),
        PyBytes_FromStringAndSize(<char*>rows.values, 8 * n),
        PyBytes_FromStringAndSize(rows.side, rows.side_count),
        bytes(overflowed),
        odd,
    )


cdef inline uint16_t u16(const uint8_t* p) noexcept nogil:
    cdef uint16_t v
    memcpy(&v, p, 2)
    return v


cdef inline uint32_t u32(const uint8_t* p) noexcept nogil:
    cdef uint32_t v
    memcpy(&v, p, 4)
    return v


cdef inline int64_t i64(const uint8_t* p) noexcept nogil:
    cdef int64_t v
    memcpy(&v, p, 8)
    return v


cdef inline Py_ssize_t need(Py_ssize_t at, Py_ssize_t end, Py_ssize_t size) except -1:
    """The same place, when so many bytes follow it."""
    if size > end - at:
        raise ValueError("a response that ends too early")
    return at


cdef inline int64_t time_us(int64_t ticks) noexcept nogil:
    cdef int64_t since = ticks - TICKS_OF_1970
    if ticks <= 0 or ticks >= TICKS_MAX:
        return 0
    return since / 10 if since >= 0 else -((9 - since) / 10)


cdef inline Py_ssize_t array_length(const uint8_t* p, Py_ssize_t at, Py_ssize_t end, Py_ssize_t least) except -1:
    """The length of an array whose items have at least so many bytes; 0 for none. It begins 4 bytes after `at`."""
    cdef Py_ssize_t start = need(at, end, 4) + 4
    cdef Py_ssize_t count = <int32_t>u32(p + at)
    if count < -1 or count * least > end - start:
        raise ValueError(f"an array of {count} items in {end - start} bytes")
    return count if count > 0 else 0


cdef inline Py_ssize_t marks(
    const uint8_t* p, Py_ssize_t at, Py_ssize_t end, uint8_t mask, uint32_t* status, int64_t* source, int64_t* server
) except -1:
    """Where status and times end, which follow the value."""
    cdef Py_ssize_t start = at
    status[0], source[0], server[0] = 0, 0, 0
    cdef Py_ssize_t size = (mask & 2) * 2 + (mask & 4) * 2 + (mask & 8) + (mask >> 4 & 1) * 2 + (mask >> 5 & 1) * 2
    need(at, end, size)
    if mask & 2:
        status[0] = u32(p + start)
        start += 4
    if mask & 4:
        source[0] = time_us(i64(p + start))
        start += 8
    if mask & 16:
        start += 2
    if mask & 8:
        server[0] = time_us(i64(p + start))
    return at + size


cdef bint number(int kind, int wire, const uint8_t* p, uint64_t* slot) noexcept nogil:
    """Fill the slot with a number of its own type, or of one that it holds wholly; else False."""
    cdef int64_t value
    cdef uint64_t raw = 0
    cdef uint32_t bits
    cdef float single
    cdef double wide
    if wire == DATE_TIME:
        # The whole microsecond before, also of times before 1601; the smallest ones don't bear a subtraction first.
        slot[0] = <uint64_t>(i64(p) / 10 - (1 if i64(p) % 10 < 0 else 0) - TICKS_OF_1970 / 10)
        return kind == INT64
    if wire == FLOAT32:
        bits = u32(p)
        if kind == FLOAT32:
            slot[0] = bits
            return True
        if bits & 0x7F800000u == 0x7F800000u:
            slot[0] = <uint64_t>(bits & 0x80000000u) << 32 | 0x7FFull << 52 | <uint64_t>(bits & 0x7FFFFFu) << 29
        else:
            memcpy(&single, &bits, 4)
            wide = single
            memcpy(slot, &wide, 8)
        return kind == FLOAT64
    if wire == FLOAT64 or wire == UINT64:
        memcpy(slot, p, 8)
        if kind == wire:
            return True
        if wire == FLOAT64 or kind != FLOAT64 or slot[0] > <uint64_t>EXACT_MAX:
            return False
        wide = <double>slot[0]
        memcpy(slot, &wide, 8)
        return True
    if wire == STATUS_CODE:
        wire = UINT32
    memcpy(&raw, p, NUMBER[wire])
    if wire == BOOL:
        raw = raw != 0
    # The signed ones have even numbers: their first bit goes up to the 64th.
    value = <int64_t>(raw << (64 - 8 * NUMBER[wire])) >> (64 - 8 * NUMBER[wire]) if wire & 1 == 0 else <int64_t>raw
    slot[0] = <uint64_t>value
    if kind == wire:
        return True
    if 2 <= kind <= UINT64:
        return WIDTH[kind] > WIDTH[wire] and (value >= 0 or kind & 1 == 0)
    if kind != FLOAT64 or wire == BOOL or value > EXACT_MAX or value < -EXACT_MAX:
        return False
    wide = <double>value
    memcpy(slot, &wide, 8)
    return True
