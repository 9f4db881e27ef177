# cython: language_level=3, boundscheck=True, wraparound=False
"""Modbus TCP replies, compiled: see _mbap_py.py, which is the specification."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t

cdef extern from *:
    """
    #ifndef TIDEGATE_SOURCE_HASH
    #define TIDEGATE_SOURCE_HASH ""
    #endif
    """
    const char* TIDEGATE_SOURCE_HASH

source_hash = TIDEGATE_SOURCE_HASH.decode()

cdef enum:
    HEAD_BYTES = 9
    COUNTED_BYTES = 3
    READS_MAX = 4


def whole(bytearray heard, Py_ssize_t end, int unit, dict due, questions):
    cdef const uint8_t[::1] view = heard
    cdef Py_ssize_t at = 0, begin
    cdef int transaction, function, count
    cdef dict taken = {}
    cdef bytes pdu
    if end > view.shape[0]:
        raise IndexError("end lies behind what was heard")
    while at < end:
        if end - at < HEAD_BYTES:
            return None
        transaction = view[at] << 8 | view[at + 1]
        function, count = view[at + 7], view[at + 8]
        index = due.get(transaction)
        if index is None or view[at + 2] or view[at + 3] or view[at + 6] != unit or transaction in taken:
            return None
        question = questions[index]
        pdu = question[0]
        if function != pdu[0] or function > READS_MAX or count != question[1]:
            return None
        if (view[at + 4] << 8 | view[at + 5]) != COUNTED_BYTES + count:
            return None
        begin = at + HEAD_BYTES
        at = begin + count
        if at > end:
            return None
        taken[transaction] = index, PyBytes_FromStringAndSize(<const char*>&view[0] + begin, count)
    return taken
