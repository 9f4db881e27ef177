"""A device that dials in: it calls, says who it is, and answers; what it says besides is a matter of the test."""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType

from tests.fakes.serial_line import QUESTION_BYTES, framed, registers_of

HEADER_BYTES = 6
Answer = Callable[[bytes], list[bytes]]


def rtu(first: int) -> Answer:
    """Registers of which n holds n + first, in one piece."""
    return lambda question: [framed(registers_of(question, lambda address: address + first))]


def tcp(question: bytes, first: int) -> bytes:
    """The same as one message of Modbus TCP."""
    body = registers_of(question[HEADER_BYTES:], lambda address: address + first)
    return question[:4] + len(body).to_bytes(2, "big") + body


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens at."""
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        return int(probe.getsockname()[1])


class Dtu:
    """`async with Dtu(port, packet, answer)`: each piece of an answer is sent by itself."""

    def __init__(
        self, port: int, packet: bytes, answer: Answer, question_bytes: int = QUESTION_BYTES, host: str = "127.0.0.1"
    ) -> None:
        self._port, self._packet, self._answer = port, packet, answer
        self._question_bytes = question_bytes
        self._host = host
        self.ended = asyncio.Event()
        self.asked = 0

    async def __aenter__(self) -> "Dtu":
        self._reader, self.writer = await asyncio.open_connection(self._host, self._port)
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.writer.write(self._packet)
        self._task = asyncio.create_task(self._serve())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:  # fmt: skip
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.writer.transport.abort()

    async def _serve(self) -> None:
        try:
            while True:
                question = await self._reader.readexactly(self._question_bytes)
                self.asked += 1
                for piece in self._answer(question):
                    self.writer.write(piece)
                    await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ended.set()
