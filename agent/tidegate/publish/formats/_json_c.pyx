# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""Columns of a frame as one JSON object, compiled: see _json_py.py, which is the specification."""

import json

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.math cimport fabs, isfinite, log10, nearbyint
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, strlen

from tidegate.publish.formats._json_py import float32_text

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

cdef extern from "Python.h":
    char* PyOS_double_to_string(double val, char format_code, int precision, int flags, int* ptype) except NULL
    int Py_DTSF_ADD_DOT_0

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef enum:
    BOOL = 1
    FLOAT32 = 10
    FLOAT64 = 11
    STRING = 12
    # The longest item of a list with its comma: -9223372036854775808, or a double in 24 characters, or two quotes.
    ITEM_BYTES_MAX = 32
    # Every item of a slice takes at most so much in all five lists together.
    READING_BYTES_MAX = 5 * ITEM_BYTES_MAX
    FRAME_BYTES_EXTRA = 128
    ESCAPED_BYTES_MAX = 6
cdef uint32_t BAD = 0x80000000
cdef uint32_t BAD_OUT_OF_RANGE = 0x803C0000
cdef int64_t SAFE_INTEGER = 9007199254740991
cdef const char* HEX = "0123456789abcdef"
cdef double[23] TENS = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
    1e20, 1e21, 1e22,
]
cdef char[200] PAIRS
cdef int _pair
for _pair in range(100):
    PAIRS[2 * _pair] = 48 + _pair // 10
    PAIRS[2 * _pair + 1] = 48 + _pair % 10

cdef struct Column:
    const char* data
    # 0 for a constant column, else the width of an item.
    Py_ssize_t step


cdef Column column(bytes data, Py_ssize_t width, Py_ssize_t count) except *:
    cdef Column found
    cdef Py_ssize_t length = PyBytes_GET_SIZE(data)
    found.data = PyBytes_AS_STRING(data)
    found.step = 0 if count > 1 and length == width else width
    if found.step and length != width * count:
        raise ValueError(f"a column of {length} bytes for {count} readings")
    return found


cdef inline uint32_t u32(Column* c, Py_ssize_t i) noexcept nogil:
    cdef uint32_t v
    memcpy(&v, c.data + i * c.step, 4)
    return v


cdef inline uint64_t u64(Column* c, Py_ssize_t i) noexcept nogil:
    cdef uint64_t v
    memcpy(&v, c.data + i * c.step, 8)
    return v


cdef inline char* put_unsigned(char* p, uint64_t v) noexcept nogil:
    cdef char[20] digits
    cdef int at = 20
    while v >= 100:
        at -= 2
        memcpy(digits + at, PAIRS + 2 * (v % 100), 2)
        v //= 100
    if v >= 10:
        at -= 2
        memcpy(digits + at, PAIRS + 2 * v, 2)
    else:
        at -= 1
        digits[at] = <char>(48 + v)
    memcpy(p, digits + at, 20 - at)
    return p + 20 - at


cdef inline char* put_signed(char* p, int64_t v) noexcept nogil:
    if v < 0:
        p[0] = b"-"
        return put_unsigned(p + 1, 0 - <uint64_t>v)
    return put_unsigned(p, <uint64_t>v)


cdef inline char* put_text(char* p, const char* text) noexcept nogil:
    cdef size_t length = strlen(text)
    memcpy(p, text, length)
    return p + length


cdef inline char* put_decimal(char* p, uint64_t digits, int point) noexcept nogil:
    """A number of `digits` with `point` of them (1..22) after the decimal point."""
    cdef uint64_t power = 1
    cdef int i
    cdef char* end
    for i in range(point):
        power *= 10
    p = put_unsigned(p, digits // power)
    p[0] = b"."
    digits %= power
    end = p + 1 + point
    for i in range(point):
        (end - 1 - i)[0] = <char>(48 + digits % 10)
        digits //= 10
    return end


cdef char* put_float64(char* p, double v) except NULL:
    """As repr: a number with few decimals the short way, since its digits below 10**15 are certainly the shortest."""
    cdef double size = fabs(v), n
    cdef int k
    cdef char* text
    if 1e-3 <= size < 1e9:
        for k in range(6):
            n = nearbyint(size * TENS[k])
            if n / TENS[k] == size:
                if v < 0:
                    p[0] = b"-"
                    p += 1
                return put_decimal(p, <uint64_t>n, k) if k else put_text(put_unsigned(p, <uint64_t>n), b".0")
    text = PyOS_double_to_string(v, b"r", 0, Py_DTSF_ADD_DOT_0, NULL)
    p = put_text(p, text)
    PyMem_Free(text)
    return p


cdef inline bint reads_back(double n, int point, double size) noexcept nogil:
    """Whether the decimal n / 10**point is read as this float32."""
    return <float>(n / TENS[point] if point >= 0 else n * TENS[-point]) == <float>size


cdef char* put_float32(char* p, float single) except NULL:
    """The shortest digits by trying 1, 2, ... 9 of them; what this can't decide surely goes to the specification."""
    cdef double v = single, size = fabs(v), scaled, n
    cdef uint32_t bits
    cdef int exponent, digits, point
    memcpy(&bits, &single, 4)
    # A power of two has neighbours at two distances, and is left to the specification with all that is far from 1.
    if not (1e-3 <= size < 1e9) or bits & 0x7FFFFF == 0:
        return put_text(p, <bytes>float32_text(v).encode())
    exponent = <int>(log10(size) + 4.0) - 4
    for digits in range(1, 11):
        point = digits - 1 - exponent
        scaled = size * TENS[point] if point >= 0 else size / TENS[-point]
        n = nearbyint(scaled)
        if not reads_back(n, point, size):
            # Half-way between two candidates, which of them is nearer would have to be decided exactly.
            if fabs(scaled - n) > 0.49999 and reads_back(n + 1 if scaled > n else n - 1, point, size):
                return put_text(p, <bytes>float32_text(v).encode())
            continue
        if fabs(scaled - n) > 0.49999:
            return put_text(p, <bytes>float32_text(v).encode())
        if point <= 0:
            n = n if point == 0 else n * TENS[-point]
            point = 0
        while point and <uint64_t>n % 10 == 0:
            n /= 10
            point -= 1
        if v < 0:
            p[0] = b"-"
            p += 1
        return put_decimal(p, <uint64_t>n, point) if point else put_text(put_unsigned(p, <uint64_t>n), b".0")
    return put_text(p, <bytes>float32_text(v).encode())


cdef char* put_string(char* p, const char* text, Py_ssize_t length) except NULL:
    cdef Py_ssize_t i
    cdef uint8_t c
    cdef bytes decoded
    for i in range(length):
        if <uint8_t>text[i] >= 0x80:
            decoded = json.dumps(text[:length].decode("utf-8", "replace"), ensure_ascii=False).encode()
            memcpy(p, PyBytes_AS_STRING(decoded), PyBytes_GET_SIZE(decoded))
            return p + PyBytes_GET_SIZE(decoded)
    p[0] = b'"'
    p += 1
    for i in range(length):
        c = <uint8_t>text[i]
        if c >= 0x20 and c != 0x22 and c != 0x5C:
            p[0] = <char>c
            p += 1
            continue
        p[0] = b"\\"
        p[1] = <char>c
        if c == 0x0A:
            p[1] = b"n"
        elif c == 0x0D:
            p[1] = b"r"
        elif c == 0x09:
            p[1] = b"t"
        elif c == 0x08:
            p[1] = b"b"
        elif c == 0x0C:
            p[1] = b"f"
        elif c < 0x20:
            memcpy(p + 1, b"u00", 3)
            p[4], p[5] = HEX[c >> 4], HEX[c & 15]
            p += 4
        p += 2
    p[0] = b'"'
    return p + 1


cdef inline char* put_whole(char* p, uint8_t kind, uint64_t slot) noexcept nogil:
    """An integer; in quotes beyond what a double holds exactly. Unsigned types have odd numbers."""
    cdef int64_t v = <int64_t>slot
    cdef bint unsigned = kind & 1
    cdef bint big = slot > <uint64_t>SAFE_INTEGER if unsigned else (v > SAFE_INTEGER or v < -SAFE_INTEGER)
    if big:
        p[0] = b'"'
        p += 1
    p = put_unsigned(p, slot) if unsigned else put_signed(p, v)
    if big:
        p[0] = b'"'
        p += 1
    return p


cdef char* put_one_or_list(char* p, Column* c, Py_ssize_t start, Py_ssize_t stop) noexcept nogil:
    """A column of i64: one number when all are equal, else a list."""
    cdef Py_ssize_t i
    cdef uint64_t first = u64(c, start) if start < stop else 0
    cdef bint same = start < stop
    if c.step:
        for i in range(start + 1, stop):
            if u64(c, i) != first:
                same = False
                break
    if same:
        return put_signed(p, <int64_t>first)
    p[0] = b"["
    p += 1
    for i in range(start, stop):
        p = put_signed(p, <int64_t>u64(c, i))
        p[0] = b","
        p += 1
    p -= start < stop
    p[0] = b"]"
    return p + 1


cdef char* put_status(char* p, const uint32_t* codes, Py_ssize_t n) noexcept nogil:
    """Nothing when all are Good, one number when all are the same, else a list."""
    cdef Py_ssize_t i
    cdef bint same = n > 0
    for i in range(1, n):
        if codes[i] != codes[0]:
            same = False
            break
    if n == 0 or (same and codes[0] == 0):
        return p
    p = put_text(p, b',"st":')
    if same:
        return put_unsigned(p, codes[0])
    p[0] = b"["
    p += 1
    for i in range(n):
        p = put_unsigned(p, codes[i])
        p[0] = b","
        p += 1
    (p - 1)[0] = b"]"
    return p


cdef inline char* put_value(char* p, uint8_t kind, uint64_t slot, const char* side, Py_ssize_t side_length) except NULL:
    """One value; its first byte stays 0 where JSON has no text for it."""
    cdef double double_
    cdef float single
    cdef Py_ssize_t offset, length
    if kind == FLOAT64:
        memcpy(&double_, &slot, 8)
        p[0] = 0
        return put_float64(p, double_) if isfinite(double_) else p
    if kind == FLOAT32:
        memcpy(&single, &slot, 4)
        p[0] = 0
        if single == 0:
            return put_text(p, b"-0.0" if slot & 0x80000000 else b"0.0")
        return put_float32(p, single) if isfinite(single) else p
    if kind == STRING:
        offset = min(<Py_ssize_t>(slot & 0xFFFFFFFF), side_length)
        length = min(<Py_ssize_t>(slot >> 32), side_length - offset)
        return put_string(p, side + offset, length)
    if kind == BOOL:
        return put_text(p, b"true" if slot else b"false")
    return put_whole(p, kind, slot)


cdef Py_ssize_t strings_length(Column* indexes, Column* slots, const uint8_t* types, Py_ssize_t known,
                               Py_ssize_t side_length, Py_ssize_t start, Py_ssize_t stop) except -1:
    """Bytes of all strings of a slice; raises ValueError on a tag without a type, so that nobody else need look."""
    cdef Py_ssize_t i, offset, total = 0
    cdef uint64_t slot
    for i in range(start, stop):
        if u32(indexes, i) >= known:
            raise ValueError(f"tag {u32(indexes, i)} of a table of {known}")
        if types[u32(indexes, i)] == STRING:
            slot = u64(slots, i)
            offset = min(<Py_ssize_t>(slot & 0xFFFFFFFF), side_length)
            total += min(<Py_ssize_t>(slot >> 32), side_length - offset)
    return total


def frame(
    bytes head not None, bytes tail not None, bytes types not None, Py_ssize_t count, Py_ssize_t start,
    Py_ssize_t stop, bytes tags not None, bytes source_us not None, bytes server_us not None,
    bytes status not None, bytes values not None, bytes side not None, bytes listed not None=b"",
):
    """Readings start..stop of a frame as one JSON object, between `head` and `tail`; see the specification."""
    if not 0 <= start <= stop <= count:
        raise ValueError(f"readings {start}..{stop} of a frame of {count}")
    cdef Column indexes = column(tags, 4, count), sources = column(source_us, 8, count)
    cdef Column codes = column(status, 4, count), slots = column(values, 8, count)
    cdef Column servers
    cdef bint served = PyBytes_GET_SIZE(server_us) > 0
    if served:
        servers = column(server_us, 8, count)
    cdef const uint8_t* kinds = <const uint8_t*>PyBytes_AS_STRING(types)
    cdef const char* sides = PyBytes_AS_STRING(side)
    cdef Py_ssize_t side_length = PyBytes_GET_SIZE(side), n = stop - start, i
    cdef Py_ssize_t bound = FRAME_BYTES_EXTRA + PyBytes_GET_SIZE(head) + PyBytes_GET_SIZE(tail) + n * READING_BYTES_MAX
    bound += PyBytes_GET_SIZE(listed)
    bound += ESCAPED_BYTES_MAX * strings_length(
        &indexes, &slots, kinds, PyBytes_GET_SIZE(types), side_length, start, stop
    )
    # The effective status codes lie at the end of the same piece of memory.
    bound = (bound + 3) & ~<Py_ssize_t>3
    cdef char* memory = <char*>PyMem_Malloc(bound + 4 * n)
    if memory == NULL:
        raise MemoryError
    cdef uint32_t* effective = <uint32_t*>(memory + bound)
    cdef char* p = memory
    cdef char* before
    try:
        memcpy(p, PyBytes_AS_STRING(head), PyBytes_GET_SIZE(head))
        p = put_text(p + PyBytes_GET_SIZE(head), b'"t":')
        p = put_one_or_list(p, &sources, start, stop)
        p = put_text(p, b',"tags":[')
        if PyBytes_GET_SIZE(listed):
            memcpy(p, PyBytes_AS_STRING(listed), PyBytes_GET_SIZE(listed))
            p += PyBytes_GET_SIZE(listed)
        else:
            for i in range(start, stop):
                p = put_unsigned(p, u32(&indexes, i))
                p[0] = b","
                p += 1
            p -= n > 0
        p = put_text(p, b'],"v":[')
        for i in range(start, stop):
            effective[i - start] = u32(&codes, i)
            before = p
            if effective[i - start] < BAD:
                p = put_value(p, kinds[u32(&indexes, i)], u64(&slots, i), sides, side_length)
                if p == before:
                    effective[i - start] = BAD_OUT_OF_RANGE
            if p == before:
                p = put_text(p, b"null")
            p[0] = b","
            p += 1
        p -= n > 0
        p[0] = b"]"
        p = put_status(p + 1, effective, n)
        if served:
            p = put_one_or_list(put_text(p, b',"ts":'), &servers, start, stop)
        memcpy(p, PyBytes_AS_STRING(tail), PyBytes_GET_SIZE(tail))
        p += PyBytes_GET_SIZE(tail)
        return PyBytes_FromStringAndSize(memory, p - memory)
    finally:
        PyMem_Free(memory)
