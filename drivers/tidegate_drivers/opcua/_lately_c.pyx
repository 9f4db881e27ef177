# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
"""What was told last of each tag, compiled: see _lately_py.py, which is the specification."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()


def note(bytearray last not None, bytes tags not None, bytes items not None):
    """In a column of 8 bytes a tag, put the item of each of some tags (u32); see _lately_py.py."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(tags), span = PyBytes_GET_SIZE(items), room = len(last), at
    cdef Py_ssize_t step = 0 if span == 8 else 2
    cdef uint32_t tag
    cdef char* column = PyByteArray_AS_STRING(last)
    if size % 4 or room % 8 or (span != 8 and span != 2 * size):
        raise ValueError("columns of u32 have 4 bytes an item, the others 8")
    for at in range(0, size, 4):
        tag = u32(<const uint8_t*>PyBytes_AS_STRING(tags) + at)
        if <Py_ssize_t>tag * 8 >= room:
            raise ValueError("a tag has no place")
        memcpy(column + <Py_ssize_t>tag * 8, PyBytes_AS_STRING(items) + step * at, 8)


cdef inline uint32_t u32(const uint8_t* at) noexcept:
    return at[0] | (<uint32_t>at[1] << 8) | (<uint32_t>at[2] << 16) | (<uint32_t>at[3] << 24)
