"""Replies that say themselves how long they are: where each ends. It knows neither framing nor checksum.

    unit u8 | 17 | bytes u8 | text …                                                             report server id
    unit u8 | 5, 6, 15 or 16 | address u16 | value or count u16                                  a write
    unit u8 | 43 | 14 | code | level | more | next | objects u8 | (id, bytes u8, text …) …       device id

Sources: Modbus Application Protocol V1.1b3 §6.5, §6.6, §6.11 to §6.13 and §6.21.
"""

from tidegate_drivers.modbus.link import EXCEPTION_FLAG

SERVER_ID, ENCAPSULATED, DEVICE_ID = 17, 43, 14
# By the function that writes: the function that reads the same.
WRITES = {5: 1, 6: 3, 15: 1, 16: 3}
HEAD_BYTES = EXCEPTION_BYTES = 3
WRITTEN_BYTES = 6
# Unit, function, and six bytes before the objects of a device id.
OBJECTS_AT = 8
BODY_BYTES_MAX = 254


def open_bytes(heard: bytes) -> int:
    """How long the reply is that begins here, without a checksum; 0 while that can't be told, or when it can't be."""
    if len(heard) < HEAD_BYTES:
        return 0
    if heard[1] & EXCEPTION_FLAG:
        return EXCEPTION_BYTES
    if heard[1] in WRITES:
        return WRITTEN_BYTES
    if heard[1] == SERVER_ID:
        end = HEAD_BYTES + heard[2]
    elif heard[2] != DEVICE_ID or len(heard) < OBJECTS_AT:
        return 0
    else:
        end = OBJECTS_AT
        for _ in range(heard[OBJECTS_AT - 1]):
            if end + 2 > len(heard):
                return 0
            end += 2 + heard[end + 1]
    return end if end <= BODY_BYTES_MAX else 0
