# cython: language_level=3, boundscheck=True, wraparound=False
"""RTU frames, compiled: see _rtu_py.py, which is the specification."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef enum:
    POLYNOMIAL = 0xA001
    EXCEPTION_FLAG = 0x80
    EXCEPTION_BYTES = 5
    HEAD_BYTES = 3
    CRC_BYTES = 2

# What a byte does to the checksum, worked out once.
cdef uint16_t[256] TABLE


cdef void fill_table() noexcept:
    cdef int byte, _
    cdef uint16_t crc
    for byte in range(256):
        crc = <uint16_t>byte
        for _ in range(8):
            crc = crc >> 1 ^ POLYNOMIAL if crc & 1 else crc >> 1
        TABLE[byte] = crc


fill_table()


cdef uint16_t checksum(const uint8_t* data, Py_ssize_t count) noexcept nogil:
    cdef uint16_t crc = 0xFFFF
    cdef Py_ssize_t i
    for i in range(count):
        crc = crc >> 8 ^ TABLE[(crc ^ data[i]) & 0xFF]
    return crc


def crc16(bytes data not None):
    """The checksum of a frame's bytes."""
    return checksum(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))


def find(bytes heard not None, int unit, int function, int reply_bytes):
    """Where the first whole frame begins that can be the reply; -1 when there is none."""
    cdef const uint8_t* data = <const uint8_t*>PyBytes_AS_STRING(heard)
    cdef Py_ssize_t count = PyBytes_GET_SIZE(heard), at, length
    for at in range(count - EXCEPTION_BYTES + 1):
        if data[at] != unit:
            continue
        if data[at + 1] == function | EXCEPTION_FLAG:
            length = EXCEPTION_BYTES
        elif data[at + 1] == function and data[at + 2] == reply_bytes:
            length = HEAD_BYTES + reply_bytes + CRC_BYTES
        else:
            continue
        if length <= count - at and checksum(data + at, length) == 0:
            return at
    return -1
