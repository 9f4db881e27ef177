"""What a device that dialled in sends by itself, taken out from between its replies. Inside a reply nothing is touched.

heartbeat | reply | heartbeat | reply …                          dropped, reply, dropped, reply
first half of a reply | heartbeat | its second half              RTU: its checksum is wrong; TCP: the call ends
"""

from typing import Protocol

BEFORE_LENGTH_BYTES = 6
LENGTH = slice(4, 6)
LENGTH_MAX = 254


class HeartbeatInside(Exception):
    """A reply without a checksum holds a whole heartbeat: nobody can say which of its bytes are its own."""


class Cleaner(Protocol):
    """Takes packets out."""

    def clean(self, data: bytes, between: bool) -> bytes:
        """What is left of what came; `between` says that nothing of a reply is there yet."""
        ...


def strip(data: bytes, packets: tuple[bytes, ...]) -> bytes:
    """Without the packets that it begins with."""
    at = 0
    while found := next((packet for packet in packets if data.startswith(packet, at)), None):
        at += len(found)
    return data[at:]


class RtuCleaner:
    """Of a line: what is not dropped in front of a reply is noise to it, and a checksum guards the reply."""

    def __init__(self, packets: tuple[bytes, ...]) -> None:
        self._packets = packets

    def clean(self, data: bytes, between: bool) -> bytes:
        """What is left of what came."""
        return strip(data, self._packets) if between else data


class TcpCleaner:
    """Of Modbus TCP, where only the lengths in the headers say what is between two replies."""

    def __init__(self, packets: tuple[bytes, ...]) -> None:
        self._packets = packets
        self._kept = b""
        # The reply that has begun.
        self._begun = b""

    def clean(self, data: bytes, between: bool) -> bytes:
        """What is left of what came; nothing yet while its end may be half a packet. Raises HeartbeatInside."""
        data, self._kept = self._kept + data, b""
        given, begun, rest = b"", self._begun, data
        while rest:
            if not begun:
                rest = strip(rest, self._packets)
                if rest and any(packet.startswith(rest) for packet in self._packets):
                    # It is looked at together with what stands before it: half a packet, or bytes nobody asked for.
                    self._kept = data
                    return b""
            taken = _missing(begun, rest)
            begun, rest = begun + rest[:taken], rest[taken:]
            given += begun[len(begun) - taken :] if taken else b""
            if _whole(begun):
                if any(packet in begun for packet in self._packets):
                    raise HeartbeatInside
                begun = b""
        self._begun = begun
        return given


def _length(begun: bytes) -> int:
    return BEFORE_LENGTH_BYTES + int.from_bytes(begun[LENGTH], "big")


def _missing(begun: bytes, rest: bytes) -> int:
    """How many bytes of the rest belong to the message that has begun; all, where its header is none."""
    head = (begun + rest[:BEFORE_LENGTH_BYTES])[:BEFORE_LENGTH_BYTES]
    if len(head) < BEFORE_LENGTH_BYTES or _length(head) > BEFORE_LENGTH_BYTES + LENGTH_MAX:
        return len(rest)
    return min(len(rest), _length(head) - len(begun))


def _whole(begun: bytes) -> bool:
    return len(begun) >= BEFORE_LENGTH_BYTES and len(begun) >= _length(begun)
