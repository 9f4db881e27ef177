# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Report by exception, compiled: see _deadband_py.py, which is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport fabs, isnan
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
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
    RULE = 24
    MEMORY = 32
    BOOL = 1
    FLOAT32 = 10
    FLOAT64 = 11
    STRING = 12
# The smallest float64 that no 64-bit integer reaches.
cdef double U64_END = 18446744073709551616.0


def fresh(Py_ssize_t tags):
    """A memory that has reported nothing."""
    return bytearray((bytes(8) + b"\xff" * 8 + bytes(16)) * tags)


cdef inline uint32_t u32(const char* p) noexcept nogil:
    cdef uint32_t v
    memcpy(&v, p, 4)
    return v


cdef inline double number(uint8_t kind, uint64_t slot) noexcept nogil:
    cdef double d
    cdef float f
    if kind == FLOAT64:
        memcpy(&d, &slot, 8)
        return d
    memcpy(&f, &slot, 4)
    return f


cdef inline bint moved(uint8_t kind, uint64_t slot, uint64_t last, double band) noexcept nogil:
    cdef double step
    cdef uint64_t apart
    if slot == last:
        return False
    if band <= 0 or kind == STRING or kind == BOOL:
        return True
    if kind == FLOAT32 or kind == FLOAT64:
        step = fabs(number(kind, slot) - number(kind, last))
        return isnan(step) or step > band
    if kind == 3 or kind == 5 or kind == 7 or kind == 9:
        apart = slot - last if slot > last else last - slot
    else:
        apart = slot - last if <int64_t>slot > <int64_t>last else last - slot
    # A whole number is above the band when it is above the band's whole part: exact, where a float64 would round.
    return band < U64_END and apart > <uint64_t>band


cdef int hashed(uint64_t* slot, const char* side, Py_ssize_t size) except -1:
    """The slot of a string becomes the FNV-1a hash of its bytes."""
    cdef uint64_t offset = slot[0] & 0xFFFFFFFF, length = slot[0] >> 32, value = 0xCBF29CE484222325, i
    if offset + length > <uint64_t>size:
        raise IndexError("a string lies outside the side bytes")
    for i in range(length):
        value = (value ^ <uint8_t>side[offset + i]) * <uint64_t>0x100000001B3
    slot[0] = value
    return 0


def select(
    bytes tags not None, bytes status not None, bytes values not None, bytes side not None, bytes rules not None,
    bytearray memory not None, int64_t mono_us, Py_ssize_t count,
):
    """Which readings are worth reporting: their positions as u32, rising; `memory` is brought up to date."""
    cdef Py_ssize_t tag_step = 4, status_step = 4, slot_step = 8, i, n = 0
    cdef Py_ssize_t known = min(PyBytes_GET_SIZE(rules) // RULE, len(memory) // MEMORY)
    if PyBytes_GET_SIZE(tags) == 4:
        tag_step = 0
    if PyBytes_GET_SIZE(status) == 4:
        status_step = 0
    if PyBytes_GET_SIZE(values) == 8:
        slot_step = 0
    if (
        PyBytes_GET_SIZE(tags) < (4 * count if tag_step else 4)
        or PyBytes_GET_SIZE(status) < (4 * count if status_step else 4)
        or PyBytes_GET_SIZE(values) < (8 * count if slot_step else 8)
    ) and count:
        raise IndexError("a column is too short")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, 4 * count)
    cdef char* o = PyBytes_AS_STRING(out)
    cdef const char* t = PyBytes_AS_STRING(tags)
    cdef const char* s = PyBytes_AS_STRING(status)
    cdef const char* v = PyBytes_AS_STRING(values)
    cdef const char* r = PyBytes_AS_STRING(rules)
    cdef char* m = memory
    cdef uint32_t tag, code, position
    cdef uint64_t slot, value
    cdef int64_t at, seen, heartbeat_us
    cdef const char* rule
    cdef char* last
    cdef double band
    cdef uint8_t kind
    for i in range(count):
        tag = u32(t + i * tag_step)
        if tag >= known:
            raise IndexError(f"tag {tag} has no rule")
        code = u32(s + i * status_step)
        memcpy(&slot, v + i * slot_step, 8)
        rule = r + <Py_ssize_t>tag * RULE
        last = m + <Py_ssize_t>tag * MEMORY
        memcpy(&band, rule, 8)
        memcpy(&heartbeat_us, rule + 8, 8)
        kind = <uint8_t>rule[16]
        if kind == STRING:
            hashed(&slot, PyBytes_AS_STRING(side), PyBytes_GET_SIZE(side))
        memcpy(&value, last, 8)
        memcpy(&at, last + 8, 8)
        memcpy(&seen, last + 16, 8)
        if (
            isnan(band) or at == -1 or code != u32(last + 24)
            or (heartbeat_us > 0 and mono_us - at + mono_us - seen > heartbeat_us) or moved(kind, slot, value, band)
        ):
            position = <uint32_t>i
            memcpy(o + 4 * n, &position, 4)
            n += 1
            memcpy(last, &slot, 8)
            memcpy(last + 8, &mono_us, 8)
            memcpy(last + 24, &code, 4)
        memcpy(last + 16, &mono_us, 8)
    return out[: 4 * n]


def take(bytes column not None, bytes kept not None, Py_ssize_t width):
    """The items of a column at these positions; a constant column stays. Raises IndexError beyond its end."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(column), n = PyBytes_GET_SIZE(kept) // 4, i, position
    if size <= width:
        return column
    cdef bytes out = PyBytes_FromStringAndSize(NULL, n * width)
    cdef char* o = PyBytes_AS_STRING(out)
    cdef const char* c = PyBytes_AS_STRING(column)
    cdef const char* k = PyBytes_AS_STRING(kept)
    for i in range(n):
        position = u32(k + 4 * i)
        if (position + 1) * width > size:
            raise IndexError(f"no item {position}")
        memcpy(o + i * width, c + position * width, width)
    return out
