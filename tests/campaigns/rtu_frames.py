"""RTU and ASCII frames as the hostile line makes and reads them, checksums of its own. Imports nothing of Tidegate."""

from dataclasses import dataclass

from tests.campaigns.modbus_replies import EXCEPTION_FLAG

RTU, ASCII = "rtu", "ascii"
QUESTION_BYTES = 8
DIGITS = frozenset(b"0123456789ABCDEF")


def _table() -> list[int]:
    made = []
    for remainder in range(256):
        for _ in range(8):
            remainder, odd = remainder >> 1, remainder & 1
            remainder ^= 0xA001 * odd
        made.append(remainder)
    return made


TABLE = _table()


def crc(body: bytes) -> bytes:
    """The checksum of RTU, low byte first."""
    remainder = 0xFFFF
    for byte in body:
        remainder = remainder >> 8 ^ TABLE[(remainder ^ byte) & 0xFF]
    return remainder.to_bytes(2, "little")


def lrc(body: bytes) -> bytes:
    """The checksum of ASCII: what makes the sum a multiple of 256."""
    return bytes([-sum(body) % 256])


def framed(framing: str, body: bytes) -> bytes:
    """A whole frame with a right checksum."""
    if framing == RTU:
        return body + crc(body)
    return b":" + (body + lrc(body)).hex().upper().encode() + b"\r\n"


@dataclass(slots=True)
class Questions:
    """Cuts the bytes that a line is sent into the bodies of questions. Raises ValueError for any that is not one."""

    framing: str
    heard: bytes = b""

    def take(self, data: bytes) -> list[bytes]:
        """Whole questions' bodies: unit, function, address, count."""
        self.heard += data
        found = []
        while True:
            end = self.heard.find(b"\r\n") + 2 if self.framing == ASCII else QUESTION_BYTES
            if end < 2 or len(self.heard) < end:
                return found
            frame, self.heard = self.heard[:end], self.heard[end:]
            body = frame[:-2] if self.framing == RTU else bytes.fromhex(frame[1:-2].decode())[:-1]
            if framed(self.framing, body) != frame:
                raise ValueError(f"{frame!r} is no question in {self.framing}")
            found.append(body)


def replies_in(framing: str, heard: bytes, unit: int, function: int, data_bytes: int) -> list[bytes]:
    """The data of every frame among these bytes that has the form of such a reply and a right checksum.

    What is not the reply and is found here, no receiver can tell from it: its checksum can't see the difference.
    """
    head, found = bytes([unit, function, data_bytes]), []
    if framing == RTU:
        length = len(head) + data_bytes
        at = heard.find(head)
        while at >= 0:
            body = heard[at : at + length]
            if heard[at + length : at + length + 2] == crc(body) and len(body) == length:
                found.append(body[len(head) :])
            at = heard.find(head, at + 1)
        return found
    for part in heard.split(b":")[1:]:
        digits, end, _ = part.partition(b"\r\n")
        if end and len(digits) == 2 * (len(head) + data_bytes + 1) and set(digits) <= DIGITS:
            body = bytes.fromhex(digits.decode())
            if body[:3] == head and sum(body) % 256 == 0:
                found.append(body[3:-1])
    return found


def refused_in(framing: str, heard: bytes, unit: int, function: int) -> bool:
    """Whether a frame among these bytes has the form of a refusal and a right checksum."""
    head = bytes([unit, function | EXCEPTION_FLAG])
    if framing == RTU:
        bodies = [heard[at : at + 5] for at in range(len(heard) - 4) if heard.startswith(head, at)]
        return any(body[3:] == crc(body[:3]) for body in bodies)
    for part in heard.split(b":")[1:]:
        digits, end, _ = part.partition(b"\r\n")
        if end and len(digits) == 8 and set(digits) <= DIGITS:
            body = bytes.fromhex(digits.decode())
            if body[:2] == head and sum(body) % 256 == 0:
                return True
    return False


def refusal(framing: str, unit: int, function: int, code: int) -> bytes:
    """An exception."""
    return framed(framing, bytes([unit, function | EXCEPTION_FLAG, code]))
