"""Framings of a line: how bytes become a frame, and where the reply lies among what came. They know no questions.

RTU has twins. ASCII has none: see ascii.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tidegate.twins import choose
from tidegate_drivers.modbus import ascii
from tidegate_drivers.modbus.link import EXCEPTION_FLAG, OPEN
from tidegate_drivers.modbus.open_reply import open_bytes

if TYPE_CHECKING:
    from tidegate_drivers.modbus import _rtu_py as twin
else:
    twin = choose("tidegate_drivers.modbus._rtu")

# See _rtu_py.py.
crc16 = twin.crc16
find = twin.find

HEAD_BYTES, CRC_BYTES = 3, 2
EXCEPTION_BYTES = 5
# Where a frame begins and ends among what came, and its bytes: unit, function and what follows, without a checksum.
Found = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Framing:
    """One way to send unit, function and data over a line, which takes `around` bytes and `each` for each of theirs.

    `frame` makes a frame. `find(heard, unit, function, reply_bytes)` looks for the first whole one that can be the
    reply, or its refusal: None when there is none. `reply_bytes` OPEN: the reply says itself how long it is.
    `bits` are the data bits that a character may have, the usual number first.
    """

    name: str
    around: int
    each: int
    bits: tuple[int, ...]
    frame: Callable[[bytes], bytes]
    find: Callable[[bytes, int, int, int], Found | None]

    def wire_bytes(self, body_bytes: int) -> int:
        """How many bytes a frame has whose unit, function and data are so many."""
        return self.around + self.each * body_bytes


def _rtu_frame(body: bytes) -> bytes:
    return body + crc16(body).to_bytes(CRC_BYTES, "little")


def _rtu_find(heard: bytes, unit: int, function: int, reply_bytes: int) -> Found | None:
    if reply_bytes == OPEN:
        return _rtu_find_open(heard, unit, function)
    at = find(heard, unit, function, reply_bytes)
    if at < 0:
        return None
    end = at + HEAD_BYTES + (0 if heard[at + 1] & EXCEPTION_FLAG else reply_bytes)
    return at, end + CRC_BYTES, heard[at:end]


def _rtu_find_open(heard: bytes, unit: int, function: int) -> Found | None:
    """The first whole reply that says itself how long it is."""
    for at in range(len(heard) - EXCEPTION_BYTES + 1):
        if heard[at] != unit or heard[at + 1] & ~EXCEPTION_FLAG != function:
            continue
        length = open_bytes(heard[at:])
        end = at + length
        if length and end + CRC_BYTES <= len(heard) and crc16(heard[at : end + CRC_BYTES]) == 0:
            return at, end + CRC_BYTES, heard[at:end]
    return None


RTU = Framing("RTU", CRC_BYTES, 1, (8,), _rtu_frame, _rtu_find)
# The standard has 7 data bits; devices with 8 are common.
ASCII = Framing("ASCII", len(ascii.BEGIN) + 2 * ascii.LRC_BYTES + len(ascii.END), 2, (7, 8), ascii.frame, ascii.find)
