"""Modbus TCP replies, pure: those of questions under way, one after the other. The specification of `_mbap_c.pyx`.

    transaction u16 | protocol u16 = 0 | length u16 | unit u8 | function u8 | bytes u8 | data …       all big-endian

Sources: MODBUS Messaging on TCP/IP V1.0b §3.1.3, Modbus Application Protocol V1.1b3 §6.1 to §6.4.
"""

from collections.abc import Mapping, Sequence
from struct import Struct

HEAD = Struct(">HHHBBB")
# What the length counts besides the data: unit, function, byte count.
COUNTED_BYTES = 3
READS_MAX = 4


def whole(
    heard: bytearray, end: int, unit: int, due: Mapping[int, int], questions: Sequence[tuple[bytes, int]]
) -> dict[int, tuple[int, bytes]] | None:
    """By transaction: the index of its question and the data of its reply; None unless all that came is just that.

    `heard` holds what came up to `end`, `due` the index of its question by transaction, `questions` the PDU and byte
    count of each. Whatever is not a whole and right reply to a read is left to a closer look: then it says None.
    """
    taken: dict[int, tuple[int, bytes]] = {}
    at = 0
    while at < end:
        if end - at < HEAD.size:
            return None
        transaction, protocol, length, of, function, count = HEAD.unpack_from(heard, at)
        index = due.get(transaction)
        if index is None or protocol or of != unit or transaction in taken:
            return None
        pdu, reply_bytes = questions[index]
        if function != pdu[0] or function > READS_MAX or count != reply_bytes or length != COUNTED_BYTES + count:
            return None
        begin = at + HEAD.size
        at = begin + count
        if at > end:
            return None
        taken[transaction] = index, bytes(heard[begin:at])
    return taken
