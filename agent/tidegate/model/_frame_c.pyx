# cython: language_level=3, boundscheck=True, wraparound=False
"""Bytes of a frame, compiled: see _frame_py.py, which is the specification, and frame.py for the layout."""

import zlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from tidegate.errors import FrameDamaged

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef object crc32 = zlib.crc32
cdef enum:
    HEADER = 64
    VERSION = 1
    NO_SERVER_TIME = 0x80
    PIECE = 4096
cdef Py_ssize_t[5] WIDTHS = [4, 8, 8, 4, 8]


cdef inline uint32_t u32(const char* p) noexcept:
    cdef uint32_t v
    memcpy(&v, p, 4)
    return v


cdef inline int64_t i64(const char* p) noexcept:
    cdef int64_t v
    memcpy(&v, p, 8)
    return v


cdef uint32_t checksum_of(bytes data, Py_ssize_t end):
    """In pieces: zlib lets others run while it works on more, and waiting for one's turn again costs more than it."""
    cdef uint32_t checksum = 0
    cdef Py_ssize_t at
    view = memoryview(data)
    for at in range(0, end, PIECE):
        checksum = crc32(view[at : min(at + PIECE, end)], checksum)
    return checksum


def encode(
    kind, clock, origin, bytes device not None, bytes table not None, count, boot, mono_us, gateway_us,
    bytes tags not None, bytes source_us not None, bytes server_us not None, bytes status not None,
    bytes values not None, bytes side not None,
):
    """One frame's bytes. Raises ValueError when a column has neither `count` items nor one, or a number is too big."""
    cdef uint8_t kind_, clock_, origin_, constant = 0
    cdef uint32_t count_, boot_, checksum
    cdef int64_t mono, gateway
    try:
        kind_, clock_, origin_, count_, boot_ = kind, clock, origin, count, boot
        mono, gateway = mono_us, gateway_us
    except OverflowError as wrong:
        raise ValueError(f"a frame's header does not hold this: {wrong}") from None
    cdef Py_ssize_t device_length = PyBytes_GET_SIZE(device), side_length = PyBytes_GET_SIZE(side)
    if device_length > 0xFFFF or side_length > 0xFFFFFFFF:
        raise ValueError("a frame's header does not hold this: device name or side bytes too long")
    if PyBytes_GET_SIZE(table) != 8:
        raise ValueError(f"a tag-table hash has 8 bytes, not {len(table)}")
    cdef Py_ssize_t total = HEADER + device_length + side_length
    cdef Py_ssize_t length
    cdef int bit
    columns = (tags, source_us, server_us, status, values)
    for bit in range(5):
        length = PyBytes_GET_SIZE(columns[bit])
        if bit == 2 and length == 0:
            constant |= NO_SERVER_TIME
            continue
        if count_ > 1 and length == WIDTHS[bit]:
            constant |= <uint8_t>(1 << bit)
        elif length != WIDTHS[bit] * <Py_ssize_t>count_:
            raise ValueError(f"column {bit} has {length} bytes for {count} readings")
        total += length
    cdef bytes out = PyBytes_FromStringAndSize(NULL, total + 4)
    cdef char* p = PyBytes_AS_STRING(out)
    cdef uint16_t device_length_ = <uint16_t>device_length
    cdef uint32_t side_length_ = <uint32_t>side_length
    memset(p, 0, HEADER)
    p[0], p[1], p[2], p[3], p[4] = VERSION, <char>kind_, <char>clock_, <char>origin_, <char>constant
    memcpy(p + 6, &device_length_, 2)
    memcpy(p + 8, &count_, 4)
    memcpy(p + 12, &side_length_, 4)
    memcpy(p + 32, PyBytes_AS_STRING(table), 8)
    memcpy(p + 40, &boot_, 4)
    memcpy(p + 48, &mono, 8)
    memcpy(p + 56, &gateway, 8)
    cdef Py_ssize_t at = HEADER
    cdef bytes part
    for part in (device, tags, source_us, server_us, status, values, side):
        length = PyBytes_GET_SIZE(part)
        memcpy(p + at, PyBytes_AS_STRING(part), length)
        at += length
    checksum = checksum_of(out, total)
    memcpy(p + total, &checksum, 4)
    return out


def decode(bytes data not None):
    """The parts of one frame in the order that `encode` takes them. Raises FrameDamaged."""
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data) - 4
    cdef const char* p = PyBytes_AS_STRING(data)
    if end < HEADER:
        raise FrameDamaged(f"a frame of {len(data)} bytes is too short")
    if <uint8_t>p[0] != VERSION:
        raise FrameDamaged(f"a frame of version {data[0]}; this build reads version {VERSION}")
    if u32(p + end) != <uint32_t>crc32(memoryview(data)[:end]):
        raise FrameDamaged("a frame's checksum is wrong")
    cdef uint8_t constant = <uint8_t>p[4]
    cdef uint16_t device_length
    memcpy(&device_length, p + 6, 2)
    cdef Py_ssize_t count = u32(p + 8), total = HEADER + device_length, at = HEADER
    cdef Py_ssize_t[7] lengths
    cdef int bit
    lengths[0] = device_length
    for bit in range(5):
        lengths[bit + 1] = WIDTHS[bit] if count > 1 and constant >> bit & 1 else WIDTHS[bit] * count
    if constant & NO_SERVER_TIME:
        lengths[3] = 0
    lengths[6] = u32(p + 12)
    for bit in range(1, 7):
        total += lengths[bit]
    if total != end:
        raise FrameDamaged("a frame's length is not what its header says")
    parts = []
    for bit in range(7):
        parts.append(PyBytes_FromStringAndSize(p + at, lengths[bit]))
        at += lengths[bit]
    device, tags, source_us, server_us, status, values, side = parts
    return (
        <uint8_t>p[1], <uint8_t>p[2], <uint8_t>p[3], device, data[32:40], count, u32(p + 40), i64(p + 48),
        i64(p + 56), tags, source_us, server_us, status, values, side,
    )
