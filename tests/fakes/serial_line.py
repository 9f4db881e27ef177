"""RTU units: what each answers is a function of what it is asked; on a pty, or on a line in memory for virtual time."""

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
    """A serial port `path` that leads to units; `async with`. `unplug` takes it away."""

    def __init__(self, answer: Unit) -> None:
        self._answer = answer
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
        while len(self._heard) >= QUESTION_BYTES:
            question, self._heard = self._heard[:QUESTION_BYTES], self._heard[QUESTION_BYTES:]
            self.asked.append(question)
            for delay_s, piece in self._answer(question):
                self._loop.call_later(delay_s, self.say, piece)
