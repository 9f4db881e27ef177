"""ASCII frames: hex digits between a colon and a line's end, the checksum, and the search for a reply.

    ":" | unit | function | bytes | data … | LRC | CR LF          each byte as two hex digits, capitals only

Pure Python alone: a reply of 125 registers takes half a second at 9600 baud, and is found in microseconds.
Source: MODBUS over Serial Line V1.02 §2.5.2 and §6.2.1.
"""

import re

from tidegate_drivers.modbus.link import EXCEPTION_FLAG, OPEN
from tidegate_drivers.modbus.open_reply import open_bytes

BEGIN, END = b":", b"\r\n"
DIGITS = re.compile(rb"[0-9A-F]+")
LRC_BYTES, EXCEPTION_BYTES, HEAD_BYTES = 1, 3, 3


def lrc(data: bytes) -> int:
    """The checksum of a frame's bytes. Over a frame with its own checksum behind it, it is 0."""
    return -sum(data) & 0xFF


def frame(body: bytes) -> bytes:
    """A frame as it is sent: unit, function and what follows, with checksum, colon and line's end."""
    return BEGIN + (body + bytes([lrc(body)])).hex().upper().encode() + END


def find(heard: bytes, unit: int, function: int, reply_bytes: int) -> tuple[int, int, bytes] | None:
    """Where the first whole frame begins and ends that can be the reply, and its bytes; None when there is none.

    It has the unit, the function and the byte count (or is an exception of that function), and its checksum is right.
    With `reply_bytes` OPEN it says itself how long it is.
    """
    start, end = 0, heard.find(END)
    while end >= 0:
        # A colon begins a frame wherever it stands: of several, the last.
        at = heard.rfind(BEGIN, start, end)
        digits = heard[at + len(BEGIN) : end] if at >= 0 else b""
        if len(digits) % 2 == 0 and DIGITS.fullmatch(digits):
            body = bytes.fromhex(digits.decode())
            if lrc(body) == 0 and _fits(body[:-LRC_BYTES], unit, function, reply_bytes):
                return at, end + len(END), body[:-LRC_BYTES]
        start = end + len(END)
        end = heard.find(END, start)
    return None


def _fits(body: bytes, unit: int, function: int, reply_bytes: int) -> bool:
    """Whether the bytes of a frame are those of the reply, or its refusal."""
    if len(body) < EXCEPTION_BYTES or body[0] != unit:
        return False
    if body[1] == function | EXCEPTION_FLAG:
        return len(body) == EXCEPTION_BYTES
    if reply_bytes == OPEN:
        return body[1] == function and len(body) == open_bytes(body)
    return body[1] == function and body[2] == reply_bytes and len(body) == HEAD_BYTES + reply_bytes
