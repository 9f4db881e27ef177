"""Questions about who a unit is, and the ends of replies that say themselves how long they are. It knows no connection.

    unit u8 | 17 | bytes u8 | text … | CRC-16                                                    report server id
    unit u8 | 43 | 14 | code | level | more | next | objects u8 | (id, bytes u8, text …) … | CRC-16     device id

Sources: Modbus Application Protocol V1.1b3 §6.13 and §6.21.
"""

from struct import Struct

from tidegate_drivers.modbus.framing import crc16
from tidegate_drivers.modbus.link import EXCEPTION_FLAG, OPEN, Question
from tidegate_drivers.modbus.point import REGISTERS_MAX

READ = Struct(">BHH")
READ_HOLDING, READ_INPUT, SERVER_ID, ENCAPSULATED, DEVICE_ID = 3, 4, 17, 43, 14
DEVICE_ID_REQUEST_BYTES = 4
HEAD_BYTES, CRC_BYTES, EXCEPTION_BYTES = 3, 2, 5
# Unit, function, and six bytes before the objects of a device id.
OBJECTS_AT = 8
FRAME_BYTES_MAX = 256


def identity_question(request: bytes) -> Question:
    """The question of a request's PDU. Raises ValueError for any that does not only read."""
    function = request[0] if request else 0
    if function in (READ_HOLDING, READ_INPUT) and len(request) == READ.size:
        count = READ.unpack(request)[2]
        if 1 <= count <= REGISTERS_MAX:
            return Question(request, 2 * count)
    elif request == bytes((SERVER_ID,)) or (
        len(request) == DEVICE_ID_REQUEST_BYTES and request[:2] == bytes((ENCAPSULATED, DEVICE_ID))
    ):
        return Question(request, OPEN)
    raise ValueError(f"{request.hex()} is no question about who a unit is: functions 3, 4, 17 and 43/14 may be asked")


def open_bytes(heard: bytes) -> int:
    """How long the frame is that begins here, with its checksum; 0 while that can't be told, or when it can't be."""
    if len(heard) < HEAD_BYTES:
        return 0
    if heard[1] & EXCEPTION_FLAG:
        return EXCEPTION_BYTES
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
    return end + CRC_BYTES if end + CRC_BYTES <= FRAME_BYTES_MAX else 0


def find_open(heard: bytes, unit: int, function: int) -> int:
    """Where the first whole reply to such a question begins, its checksum right; -1 when there is none."""
    for at in range(len(heard) - EXCEPTION_BYTES + 1):
        if heard[at] != unit or heard[at + 1] & ~EXCEPTION_FLAG != function:
            continue
        length = open_bytes(heard[at:])
        if length and at + length <= len(heard) and crc16(heard[at : at + length]) == 0:
            return at
    return -1
