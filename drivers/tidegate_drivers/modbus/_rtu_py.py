"""RTU frames, pure: the checksum and the search for a reply. The specification of `_rtu_c.pyx`, its oracle in tests.

    unit u8 | function u8 | bytes u8 | data … | CRC-16, low byte first          a reply
    unit u8 | function u8 + 0x80 | code u8 | CRC-16, low byte first             an exception

Sources: MODBUS over Serial Line V1.02 §2.5.1.2 and §6.2.2, Modbus Application Protocol V1.1b3 §7.
"""

POLYNOMIAL = 0xA001
EXCEPTION_FLAG = 0x80
EXCEPTION_BYTES = 5
HEAD_BYTES, CRC_BYTES = 3, 2


def crc16(data: bytes) -> int:
    """The checksum of a frame's bytes. Over a frame with its own checksum behind it, low byte first, it is 0."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ POLYNOMIAL if crc & 1 else crc >> 1
    return crc


def find(heard: bytes, unit: int, function: int, reply_bytes: int) -> int:
    """Where in the bytes that came the first whole frame begins that can be the reply; -1 when there is none.

    It has the unit, the function and the byte count (or is an exception of that function), and its checksum is right.
    """
    for at in range(len(heard) - EXCEPTION_BYTES + 1):
        if heard[at] != unit:
            continue
        if heard[at + 1] == function | EXCEPTION_FLAG:
            end = at + EXCEPTION_BYTES
        elif heard[at + 1] == function and heard[at + 2] == reply_bytes:
            end = at + HEAD_BYTES + reply_bytes + CRC_BYTES
        else:
            continue
        if end <= len(heard) and crc16(heard[at:end]) == 0:
            return at
    return -1
