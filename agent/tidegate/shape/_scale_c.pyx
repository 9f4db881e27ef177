# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Scale, compiled: see _scale_py.py, which is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef enum:
    RULE = 32
    FLOAT32 = 10
    FLOAT64 = 11
cdef uint32_t BAD = 0x80000000


cdef inline uint32_t u32(const char* p) noexcept nogil:
    cdef uint32_t v
    memcpy(&v, p, 4)
    return v


cdef inline double number(uint8_t kind, const char* p) noexcept nogil:
    cdef double d
    cdef float f
    cdef int64_t i
    cdef uint64_t u
    if kind == FLOAT64:
        memcpy(&d, p, 8)
        return d
    if kind == FLOAT32:
        memcpy(&f, p, 4)
        return f
    if kind == 3 or kind == 5 or kind == 7 or kind == 9:
        memcpy(&u, p, 8)
        return <double>u
    memcpy(&i, p, 8)
    return <double>i


def scale(bytes tags not None, bytes status not None, bytes values not None, bytes rules not None, Py_ssize_t count):
    """The values column with each raw slot turned into its tag's type. Raises IndexError for a tag without a rule."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(values) // 8, i, tag_step = 4, status_step = 4, slot_step = 8
    cdef Py_ssize_t known = PyBytes_GET_SIZE(rules) // RULE
    if PyBytes_GET_SIZE(tags) == 4:
        tag_step = 0
    if PyBytes_GET_SIZE(status) == 4:
        status_step = 0
    if n == 1 and (tag_step or status_step):
        n = count
        slot_step = 0
    if (tag_step and PyBytes_GET_SIZE(tags) < 4 * n) or (status_step and PyBytes_GET_SIZE(status) < 4 * n):
        raise IndexError("a column is shorter than the values")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, 8 * n)
    cdef char* o = PyBytes_AS_STRING(out)
    cdef const char* v = PyBytes_AS_STRING(values)
    cdef const char* t = PyBytes_AS_STRING(tags)
    cdef const char* s = PyBytes_AS_STRING(status)
    cdef const char* r = PyBytes_AS_STRING(rules)
    cdef const char* rule
    cdef double numerator, denominator, offset, scaled
    cdef uint32_t tag
    for i in range(n):
        tag = u32(t + i * tag_step)
        if tag >= known:
            raise IndexError(f"tag {tag} has no rule")
        rule = r + <Py_ssize_t>tag * RULE
        if rule[25]:
            memcpy(o + 8 * i, v + i * slot_step, 8)
        elif u32(s + i * status_step) >= BAD:
            memset(o + 8 * i, 0, 8)
        else:
            memcpy(&numerator, rule, 8)
            memcpy(&denominator, rule + 8, 8)
            memcpy(&offset, rule + 16, 8)
            scaled = number(<uint8_t>rule[24], v + i * slot_step) * numerator / denominator + offset
            memcpy(o + 8 * i, &scaled, 8)
    return out
