# cython: language_level=3, boundscheck=True, wraparound=False
"""A second look at raw slots, compiled: see _refine_py.py, which is the specification."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
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
    EQUAL
    NAN32
    NAN64
    BCD
cdef enum:
    RULE_BYTES = 16
    SLOT_BYTES = 8

cdef packed struct Rule:
    uint32_t slot
    uint8_t code
    uint8_t[3] unused
    uint64_t bits


cdef inline bint digits(uint64_t found, uint64_t* number) noexcept nogil:
    """Whether all 16 nibbles are digits; `number` is what they say."""
    cdef int shift
    cdef uint64_t digit
    number[0] = 0
    for shift in range(60, -4, -4):
        digit = found >> shift & 0xF
        if digit > 9:
            return False
        number[0] = number[0] * 10 + digit
    return True


def refine(bytearray values not None, bytes rules not None):
    """The numbers of the rules that struck; their slots become zero. Raises ValueError for a rule that is none."""
    cdef char* out = PyByteArray_AS_STRING(values)
    cdef const char* todo = PyBytes_AS_STRING(rules)
    cdef Py_ssize_t out_end = PyByteArray_GET_SIZE(values), todo_end = PyBytes_GET_SIZE(rules), at, i
    cdef Rule rule
    cdef uint64_t found
    cdef uint64_t number
    cdef bint strikes
    cdef list struck = []
    if todo_end % RULE_BYTES:
        raise ValueError("rules are 16 bytes each")
    for i in range(todo_end // RULE_BYTES):
        memcpy(&rule, todo + i * RULE_BYTES, RULE_BYTES)
        at = <Py_ssize_t>rule.slot * SLOT_BYTES
        if rule.code > BCD:
            raise ValueError(f"no rule: code {rule.code}")
        if at + SLOT_BYTES > out_end:
            raise ValueError("a rule leads outside of the values")
        # Slots and rules are little-endian, as is every machine that this is built for.
        memcpy(&found, out + at, SLOT_BYTES)
        if rule.code == EQUAL:
            strikes = found == rule.bits
        elif rule.code == NAN32:
            strikes = (found & 0x7FFFFFFF) > 0x7F800000
        elif rule.code == BCD:
            strikes = not digits(found, &number)
            if not strikes:
                memcpy(out + at, &number, SLOT_BYTES)
        else:
            strikes = (found & 0x7FFFFFFFFFFFFFFFULL) > 0x7FF0000000000000ULL
        if strikes:
            found = 0
            memcpy(out + at, &found, SLOT_BYTES)
            struck.append(i)
    return struck
