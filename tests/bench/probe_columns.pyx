# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The probe's compiled half: Modbus replies into columns, columns into bytes for a row and into a Sparkplug payload.

It takes what it is sent on trust, which is why it is a yardstick and not a gateway.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef enum:
    HEADER_BYTES = 9
    COLUMNS_BYTES = 21
    METRIC_BYTES_MAX = 40
    GOOD = 192


def replies(bytes data):
    """Whole Modbus TCP replies at the front of `data`: a list of (transaction, register bytes), and what is left."""
    cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(data)
    cdef Py_ssize_t at = 0, end = PyBytes_GET_SIZE(data), length
    found = []
    while end - at >= HEADER_BYTES:
        length = (p[at + 4] << 8 | p[at + 5]) + 6
        if end - at < length:
            break
        found.append((p[at] << 8 | p[at + 1], data[at + HEADER_BYTES : at + length]))
        at += length
    return found, data[at:]


cdef inline uint8_t* varint(uint8_t* p, uint64_t value) noexcept nogil:
    while value >= 0x80:
        p[0] = <uint8_t>(value | 0x80)
        value >>= 7
        p += 1
    p[0] = <uint8_t>value
    return p + 1


cdef class Columns:
    """Readings of a batch: tag u32, ms i64, value f64, quality u8; `room` of them at most."""

    cdef uint32_t* tags
    cdef int64_t* times
    cdef double* values
    cdef uint8_t* qualities
    cdef readonly Py_ssize_t count, room

    def __cinit__(self, Py_ssize_t room):
        self.room, self.count = room, 0
        self.tags = <uint32_t*>malloc(4 * room)
        self.times = <int64_t*>malloc(8 * room)
        self.values = <double*>malloc(8 * room)
        self.qualities = <uint8_t*>malloc(room)

    def __dealloc__(self):
        free(self.tags)
        free(self.times)
        free(self.values)
        free(self.qualities)

    def add(self, bytes registers, uint32_t first_tag, double scale, int64_t now_ms):
        """Each register as a word times `scale`, under tags from `first_tag` on; False when there is no room."""
        cdef const uint8_t* p = <const uint8_t*>PyBytes_AS_STRING(registers)
        cdef Py_ssize_t n = PyBytes_GET_SIZE(registers) // 2, i, at = self.count
        if at + n > self.room:
            return False
        for i in range(n):
            self.tags[at + i] = first_tag + <uint32_t>i
            self.times[at + i] = now_ms
            self.values[at + i] = <uint16_t>(p[2 * i] << 8 | p[2 * i + 1]) * scale
            self.qualities[at + i] = GOOD
        self.count = at + n
        return True

    def clear(self):
        """Forget them."""
        self.count = 0

    def row(self):
        """The columns one after the other, for the disk."""
        cdef Py_ssize_t n = self.count
        made = PyBytes_FromStringAndSize(NULL, COLUMNS_BYTES * n)
        cdef char* p = PyBytes_AS_STRING(made)
        memcpy(p, self.tags, 4 * n)
        memcpy(p + 4 * n, self.times, 8 * n)
        memcpy(p + 12 * n, self.values, 8 * n)
        memcpy(p + 20 * n, self.qualities, n)
        return made

    def payload(self, uint64_t now_ms, uint64_t number):
        """A Sparkplug B payload: a metric a reading, by alias, as a double."""
        cdef uint8_t* made = <uint8_t*>malloc(32 + METRIC_BYTES_MAX * self.count)
        cdef uint8_t* p = made
        cdef uint8_t[METRIC_BYTES_MAX] metric
        cdef uint8_t* q
        cdef Py_ssize_t i
        p[0] = 0x08
        p = varint(p + 1, now_ms)
        for i in range(self.count):
            metric[0] = 0x10
            q = varint(metric + 1, self.tags[i])
            q[0] = 0x18
            q = varint(q + 1, <uint64_t>self.times[i])
            q[0], q[1], q[2] = 0x20, 10, 0x69
            memcpy(q + 3, &self.values[i], 8)
            q += 11
            p[0] = 0x12
            p = varint(p + 1, q - metric)
            memcpy(p, metric, q - metric)
            p += q - metric
        p[0] = 0x18
        p = varint(p + 1, number)
        whole = PyBytes_FromStringAndSize(<char*>made, p - made)
        free(made)
        return whole
