# cython: language_level=3, boundscheck=True, wraparound=False
"""Registers and bits into value slots, compiled: see _codec_py.py, which is the specification."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
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
    BIT
    REGISTER_BIT
    TRUTH
    INT8
    UINT8
    INT16
    UINT16
    INT32
    UINT32
    WIDE
cdef enum:
    SWAP_BYTES = 0x10
    SWAP_REGISTERS = 0x20
    SWAP_HALVES = 0x40
    STEP_BYTES = 8
    SLOT_BYTES = 8
cdef Py_ssize_t[10] WIDTH_BYTES = [1, 2, 2, 2, 2, 2, 2, 4, 4, 8]

cdef packed struct Step:
    uint32_t slot
    uint16_t place
    uint8_t code
    uint8_t bit


cdef inline uint64_t register(const uint8_t* p, bint swapped) noexcept nogil:
    return (<uint64_t>p[1] << 8 | p[0]) if swapped else (<uint64_t>p[0] << 8 | p[1])


cdef inline uint64_t number(const uint8_t* p, int registers, int code) noexcept nogil:
    """Up to four registers as one unsigned number, most significant first once they are in order."""
    cdef bint swapped = code & SWAP_BYTES
    cdef uint64_t made = 0
    cdef int i
    for i in range(registers):
        made = made << 16 | register(p + 2 * (registers - 1 - i if code & SWAP_REGISTERS else i), swapped)
    return made


def decode(bytes block not None, bytes steps not None, bytearray values not None):
    """Fill the slots of `values` that the steps name. Raises ValueError for a step that leads outside, or is none."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(block)
    cdef const char* todo = PyBytes_AS_STRING(steps)
    cdef char* out = PyByteArray_AS_STRING(values)
    cdef Py_ssize_t data_end = PyBytes_GET_SIZE(block), todo_end = PyBytes_GET_SIZE(steps)
    cdef Py_ssize_t out_end = PyByteArray_GET_SIZE(values), at, start, i
    cdef Step step
    cdef int what
    cdef uint64_t slot
    if todo_end % STEP_BYTES:
        raise ValueError("steps are 8 bytes each")
    for i in range(todo_end // STEP_BYTES):
        memcpy(&step, todo + i * STEP_BYTES, STEP_BYTES)
        what = step.code & 0x0F
        if what > WIDE or step.bit > 15:
            raise ValueError(f"no step: code {step.code}, bit {step.bit}")
        start = step.place >> 3 if what == BIT else step.place
        if start + WIDTH_BYTES[what] > data_end:
            raise ValueError("a step leads outside of the block")
        at = <Py_ssize_t>step.slot * SLOT_BYTES
        if at + SLOT_BYTES > out_end:
            raise ValueError("a step leads outside of the values")
        if what == UINT16:
            slot = register(data + start, step.code & SWAP_BYTES)
        elif what == INT16:
            slot = <uint64_t><int64_t><int16_t>register(data + start, step.code & SWAP_BYTES)
        elif what == UINT32:
            slot = number(data + start, 2, step.code)
        elif what == INT32:
            slot = <uint64_t><int64_t><int32_t>number(data + start, 2, step.code)
        elif what == WIDE:
            slot = number(data + start, 4, step.code)
            if step.code & SWAP_HALVES:
                slot = slot << 32 | slot >> 32
        elif what == BIT:
            slot = data[start] >> (step.place & 7) & 1
        elif what == REGISTER_BIT:
            slot = register(data + start, step.code & SWAP_BYTES) >> step.bit & 1
        elif what == TRUTH:
            slot = register(data + start, False) != 0
        elif what == UINT8:
            slot = register(data + start, step.code & SWAP_BYTES) & 0xFF
        else:
            slot = <uint64_t><int64_t><int8_t>register(data + start, step.code & SWAP_BYTES)
        # Slots and steps are little-endian, as is every machine that this is built for.
        memcpy(out + at, &slot, SLOT_BYTES)
