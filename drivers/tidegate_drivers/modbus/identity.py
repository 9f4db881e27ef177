"""Questions about who a unit is: those that may be asked. It knows no connection; the replies are in open_reply.py.

Sources: Modbus Application Protocol V1.1b3 §6.13 and §6.21.
"""

from struct import Struct

from tidegate_drivers.modbus.link import OPEN, Question
from tidegate_drivers.modbus.open_reply import DEVICE_ID, ENCAPSULATED, SERVER_ID
from tidegate_drivers.modbus.point import REGISTERS_MAX

READ = Struct(">BHH")
READ_HOLDING, READ_INPUT = 3, 4
DEVICE_ID_REQUEST_BYTES = 4


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
