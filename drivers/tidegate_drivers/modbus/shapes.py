"""How long a frame is that begins with given bytes, as a question and as a reply. It knows no checksums and no lines.

    unit u8 | function u8 | address u16 | count u16 | CRC-16               8 bytes: most questions, replies to writes
    unit u8 | function u8 | bytes u8 | data … | CRC-16                       replies to reads
    unit u8 | function u8 + 0x80 | code u8 | CRC-16                          5 bytes: an exception

Source: Modbus Application Protocol V1.1b3 §6 and §7. A length of 0 says that more bytes are needed to know it, NEVER
that no frame of this kind begins so.
"""

NEVER = -1
FRAME_BYTES_MIN, FRAME_BYTES_MAX = 4, 256
EXCEPTION_FLAG = 0x80
EXCEPTION_BYTES = 5
# The highest unit id that a device may have; 0 calls all of them.
UNIT_MAX = 247
CODES = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 10, 11})
CRC_BYTES = 2
READS, WORDS = frozenset({1, 2, 3, 4}), frozenset({3, 4, 23})
DEVICE_ID, OBJECTS_AT = 14, 8

QUESTIONS = {1: 8, 2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: 4, 8: 8, 11: 4, 12: 4, 17: 4, 22: 10, 24: 6}
REPLIES = {5: 8, 6: 8, 7: 5, 8: 8, 11: 8, 15: 8, 16: 8, 22: 10}
# Where the count of the bytes behind it stands.
COUNTED_QUESTIONS = {15: 6, 16: 6, 20: 2, 21: 2, 23: 10}
COUNTED_REPLIES = {1: 2, 2: 2, 3: 2, 4: 2, 12: 2, 17: 2, 20: 2, 21: 2, 23: 2}


def question_bytes(head: bytes) -> int:
    """The length of the question that begins so, with its checksum."""
    if len(head) < 2:
        return 0
    function = head[1]
    if head[0] > UNIT_MAX:
        return NEVER
    if function in QUESTIONS:
        return QUESTIONS[function]
    if function == 43:
        return NEVER if len(head) > 2 and head[2] != DEVICE_ID else 7
    if function not in COUNTED_QUESTIONS:
        return NEVER
    length = _counted(head, COUNTED_QUESTIONS[function])
    if length > 0 and function in (15, 16):
        count = int.from_bytes(head[4:6], "big")
        if head[6] != (2 * count if function == 16 else (count + 7) // 8):
            return NEVER
    return length


def reply_bytes(head: bytes) -> int:
    """The length of the reply or exception that begins so, with its checksum."""
    if len(head) < 2:
        return 0
    function = head[1]
    if not 0 < head[0] <= UNIT_MAX:
        return NEVER
    if function & EXCEPTION_FLAG:
        return NEVER if len(head) > 2 and head[2] not in CODES else EXCEPTION_BYTES
    if function in REPLIES:
        return REPLIES[function]
    if function in COUNTED_REPLIES:
        if len(head) > 2 and function in WORDS and head[2] % 2:
            return NEVER
        return _counted(head, COUNTED_REPLIES[function])
    if function == 24:
        return 0 if len(head) < 4 else _within(6 + int.from_bytes(head[2:4], "big"))
    return _device_id(head) if function == 43 else NEVER


def _counted(head: bytes, at: int) -> int:
    if len(head) <= at:
        return 0
    return _within(at + 1 + head[at] + CRC_BYTES) if head[at] else NEVER


def _device_id(head: bytes) -> int:
    """A reply with objects, each of which says how long it is (§6.21)."""
    if len(head) > 2 and head[2] != DEVICE_ID:
        return NEVER
    if len(head) < OBJECTS_AT:
        return 0
    end = OBJECTS_AT
    for _ in range(head[OBJECTS_AT - 1]):
        if len(head) < end + 2:
            return 0
        end += 2 + head[end + 1]
    return _within(end + CRC_BYTES)


def _within(length: int) -> int:
    return length if length <= FRAME_BYTES_MAX else NEVER
