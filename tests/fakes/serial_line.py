"""Units of a line, RTU or ASCII, on a pty or in memory: what each answers is a function of what it is asked."""

import asyncio
import os
import tty
from collections.abc import Callable
from types import TracebackType

from tidegate_drivers.modbus.line_link import LineLink

QUESTION_BYTES = 8
# What comes of a question: pieces, each after so many seconds.
Moves = list[tuple[float, bytes]]
Unit = Callable[[bytes], Moves]


def crc(body: bytes) -> bytes:
    """A checksum of the tests' own, by long division."""
    remainder = 0xFFFF
    for byte in body:
        remainder ^= byte
        for _ in range(8):
            remainder, odd = remainder >> 1, remainder & 1
            remainder ^= 0xA001 * odd
    return remainder.to_bytes(2, "little")


def framed(body: bytes) -> bytes:
    """A frame: the body with its checksum."""
    return body + crc(body)


def in_ascii(body: bytes) -> bytes:
    """An ASCII frame: the body with a checksum of the tests' own, which adds up to 256 with it."""
    total = 0
    for byte in body:
        total = (total + byte) % 256
    return b":" + "".join(f"{byte:02X}" for byte in [*body, (256 - total) % 256]).encode() + b"\r\n"


def out_of_ascii(frame: bytes) -> bytes:
    """The body of a whole frame."""
    return bytes.fromhex(frame[1:-4].decode())


def registers_of(question: bytes, words: Callable[[int], int]) -> bytes:
    """The body of an honest reply to a question for registers."""
    address, count = int.from_bytes(question[2:4], "big"), int.from_bytes(question[4:6], "big")
    data = b"".join((words(address + i) & 0xFFFF).to_bytes(2, "big") for i in range(count))
    return question[:2] + bytes([len(data)]) + data


class MemoryLine(asyncio.Transport):
    """A line in memory whose units are one function."""

    def __init__(self, link: LineLink, answer: Unit) -> None:
        super().__init__()
        self._link, self._answer = link, answer
        self._loop = asyncio.get_running_loop()
        self.asked: list[tuple[float, bytes]] = []
        self.ended = False
        link.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.asked.append((self._loop.time(), bytes(data)))
        for delay_s, piece in self._answer(bytes(data)):
            self._loop.call_later(delay_s, self._give, piece)

    def abort(self) -> None:
        self.ended = True

    def _give(self, piece: bytes) -> None:
        if not self.ended:
            self._link.data_received(piece)


class PtyLine:
    """A serial port `path` that leads to units, which speak RTU, or ASCII; `async with`. `unplug` takes it away."""

    def __init__(self, answer: Unit, ascii: bool = False) -> None:
        self._answer, self._ascii = answer, ascii
        self.asked: list[bytes] = []

    async def __aenter__(self) -> "PtyLine":
        self._loop = asyncio.get_running_loop()
        self._units, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._units, False)
        self.path = os.ttyname(self._port)
        self._heard = b""
        self._loop.add_reader(self._units, self._read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()

    def unplug(self) -> None:
        """The adapter is pulled out."""
        if self._units >= 0:
            self._loop.remove_reader(self._units)
            os.close(self._units)
            os.close(self._port)
            self._units = -1

    def say(self, piece: bytes) -> None:
        """Send bytes to the port."""
        if self._units >= 0:
            os.write(self._units, piece)

    def _read(self) -> None:
        self._heard += os.read(self._units, 4096)
        while end := self._end():
            question, self._heard = self._heard[:end], self._heard[end:]
            self.asked.append(question)
            for delay_s, piece in self._answer(question):
                self._loop.call_later(delay_s, self.say, piece)

    def _end(self) -> int:
        """Where the question ends that came; 0 while it has not."""
        if self._ascii:
            return self._heard.find(b"\n") + 1
        return QUESTION_BYTES if len(self._heard) >= QUESTION_BYTES else 0
