"""An ear on a line of ASCII units: lines of hex digits into what an ear for RTU hears. It knows no ports.

What lies between a colon and a line's end, with a right checksum, is a frame; which questions and replies they are is
found as for RTU. Source: MODBUS over Serial Line V1.02 §2.5.2.
"""

from tidegate_drivers.modbus.ascii import BEGIN, DIGITS, END, LRC_BYTES, lrc
from tidegate_drivers.modbus.ear import Ear
from tidegate_drivers.modbus.framing import crc16
from tidegate_drivers.modbus.heard import SHOWN_BYTES, Heard, Noise
from tidegate_drivers.modbus.shapes import CRC_BYTES

# A colon, 255 bytes as digits, and the line's end.
LINE_BYTES_MAX = 513
BODY_BYTES_MIN = 2


def body_of(line: bytes) -> bytes | None:
    """Unit, function and data of the digits between a colon and a line's end; None when these are no frame."""
    if len(line) % 2 or not DIGITS.fullmatch(line):
        return None
    body = bytes.fromhex(line.decode())
    return body[:-LRC_BYTES] if len(body) > BODY_BYTES_MIN and lrc(body) == 0 else None


class AsciiEar:
    """Hears one line, as Ear does. It keeps one line of digits at most."""

    def __init__(self, gap_s: float) -> None:
        self._ear = Ear(gap_s)
        self._bytes = b""
        self._began_s = 0.0

    def hear(self, now_s: float, data: bytes) -> list[Heard]:
        """What is clear now that these bytes have come."""
        if not self._bytes:
            self._began_s = now_s
        self._bytes += data
        found: list[Heard] = []
        while (end := self._bytes.find(END)) >= 0:
            self._line(self._bytes[: end + len(END)], now_s, found)
            self._bytes = self._bytes[end + len(END) :]
            self._began_s = now_s
        if len(self._bytes) > LINE_BYTES_MAX:
            # A frame that has just begun is kept.
            at = max(self._bytes.rfind(BEGIN), len(self._bytes) - LINE_BYTES_MAX)
            self._noise(self._bytes[:at], found)
            self._bytes, self._began_s = self._bytes[at:], now_s
        return found

    def silence(self) -> list[Heard]:
        """What is clear when nothing has come for long: nothing of what came is still on its way."""
        found: list[Heard] = []
        self._noise(self._bytes, found)
        self._bytes = b""
        return found

    def _line(self, line: bytes, now_s: float, found: list[Heard]) -> None:
        """A whole line: a frame, behind noise perhaps; else noise."""
        at = line.rfind(BEGIN)
        body = body_of(line[at + len(BEGIN) : -len(END)]) if at >= 0 else None
        if body is None:
            self._noise(line, found)
            return
        self._noise(line[:at], found)
        frame = body + crc16(body).to_bytes(CRC_BYTES, "little")
        found += self._ear.hear(self._began_s, frame[:1])
        found += self._ear.hear(now_s, frame[1:])
        found += self._ear.silence()

    def _noise(self, data: bytes, found: list[Heard]) -> None:
        if data:
            found.append(Noise(self._began_s, data[:SHOWN_BYTES], len(data), self._unit_of(data)))

    def _unit_of(self, data: bytes) -> int | None:
        """The unit that a damaged frame begins with, where one was heard of."""
        digits = data[len(BEGIN) : len(BEGIN) + 2] if data.startswith(BEGIN) else b""
        unit = int(digits, 16) if len(digits) == 2 and DIGITS.fullmatch(digits) else None
        return unit if unit in self._ear.known else None
