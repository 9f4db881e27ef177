"""Asks units whether they are there: one question at a time, none that writes. Silence and nonsense are no faults here.

It is not the driver's link: nobody knows yet who answers, and how; what comes late still says that somebody is there.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from struct import Struct
from typing import cast

from tidegate.errors import NotConnected
from tidegate_drivers.modbus.ascii import BEGIN, END
from tidegate_drivers.modbus.ascii_ear import body_of
from tidegate_drivers.modbus.dial import why_not
from tidegate_drivers.modbus.framing import ASCII, Framing, crc16
from tidegate_drivers.modbus.hosts import place_of
from tidegate_drivers.modbus.link import EXCEPTION_FLAG
from tidegate_drivers.modbus.shapes import CRC_BYTES, reply_bytes

MBAP = Struct(">HHHB")
PDU_BYTES_MAX = 253
STALE_MAX = 16
HEARD_BYTES_MAX = 1024
# One register, and the basic objects of the device identification: questions by the word for `--ask`.
QUESTIONS = {
    "3": bytes.fromhex("0300000001"), "4": bytes.fromhex("0400000001"), "1": bytes.fromhex("0100000001"),
    "2": bytes.fromhex("0200000001"), "17": b"\x11", "43": bytes.fromhex("2b0e0100"),
}  # fmt: skip
# Said by a gateway of a unit that it does not find: no proof of one.
NOBODY = frozenset({10, 11})
OBJECTS_AT = 7
OBJECTS = {0: "vendor", 1: "product", 2: "revision"}


def proves(reply: bytes | None) -> bool:
    """Whether a reply is that of a unit: any is, but for a gateway's word that there is none."""
    return reply is not None and not (len(reply) > 1 and reply[0] & EXCEPTION_FLAG and reply[1] in NOBODY)


class TcpProbe:
    """The units behind one TCP address. After it was hung up on, the next question goes over a new connection."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s
        self._transaction = 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> None:
        """Connect. Raises NotConnected."""
        self.close()
        try:
            async with asyncio.timeout(self._timeout_s):
                self._streams = await asyncio.open_connection(self._host, self._port)
        except (TimeoutError, OSError) as error:
            raise NotConnected("", f"no connection to {place_of(self._host, self._port)}: {why_not(error)}") from error

    async def ask(self, unit: int, question: bytes) -> bytes | None:
        """The PDU of the reply; None when there is none in time. Raises NotConnected when it can't be reached again."""
        if self._streams is None:
            await self.open()
        assert self._streams is not None
        reader, writer = self._streams
        self._transaction = (self._transaction + 1) & 0xFFFF
        try:
            async with asyncio.timeout(self._timeout_s):
                writer.write(MBAP.pack(self._transaction, 0, len(question) + 1, unit) + question)
                return await self._reply(reader, unit, question[0])
        except TimeoutError:
            return None
        except (asyncio.IncompleteReadError, OSError, ValueError):
            self.close()
            return None

    async def _reply(self, reader: asyncio.StreamReader, unit: int, function: int) -> bytes | None:
        """Raises ValueError for what is no Modbus TCP."""
        for _ in range(STALE_MAX):
            transaction, protocol, length, answering = MBAP.unpack(await reader.readexactly(MBAP.size))
            if protocol or not 3 <= length <= PDU_BYTES_MAX + 1:
                raise ValueError("no Modbus TCP")
            reply = await reader.readexactly(length - 1)
            fits = answering == unit and reply[0] & ~EXCEPTION_FLAG == function
            if transaction == self._transaction and fits:
                return reply
        return None

    def close(self) -> None:
        """Let go of the connection; safe to call at any time."""
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._streams = None


class LineProbe(asyncio.Protocol):
    """The units of one line. `late` are those whose reply came when another was asked; `strange` counts other bytes."""

    def __init__(self, timeout_s: float, pause_s: float, framing: Framing) -> None:
        self.timeout_s = timeout_s
        self.late: set[int] = set()
        self.strange = 0
        self._pause_s = pause_s
        self._framing = framing
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._heard_at = 0.0
        self._unit, self._question, self._sent = 0, b"", b""
        self._waiting: asyncio.Future[bytes] | None = None
        self._lost = ""

    async def ask(self, unit: int, question: bytes) -> bytes | None:
        """The PDU of the reply; None when there is none in time. Raises NotConnected when the line is gone."""
        await asyncio.sleep(max(0.0, self._heard_at + self._pause_s - self._loop.time()))
        if self._lost or self._transport is None:
            raise NotConnected("", self._lost or "the line is not open")
        self._unit, self._heard = unit, b""
        self._question = question
        self._sent = self._framing.frame(bytes((unit,)) + question)
        self._waiting = self._loop.create_future()
        self._transport.write(self._sent)
        self._heard_at = self._loop.time()
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._waiting
        except TimeoutError:
            self.strange += len(self._heard.replace(self._sent, b""))
            return None
        finally:
            self._waiting = None

    def close(self) -> None:
        """Let go of the line; safe to call at any time."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is open."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """The line is gone."""
        self._lost = "the line is gone" if error is None else f"the line is gone: {error}"
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(NotConnected("", self._lost))

    def data_received(self, data: bytes) -> None:
        """Look for a reply in what has come so far."""
        self._heard = (self._heard + data)[-HEARD_BYTES_MAX:]
        self._heard_at = self._loop.time()
        # A line that gives back what is sent has the question in it, which must not be taken for a reply.
        heard = self._heard.replace(self._sent, b"", 1) if self._sent else self._heard
        for body in (_ascii_bodies if self._framing is ASCII else _rtu_bodies)(heard):
            waits = self._waiting is not None and not self._waiting.done()
            if body[0] != self._unit:
                self.late.add(body[0])
            elif waits and body[1] & ~EXCEPTION_FLAG == self._question[0]:
                assert self._waiting is not None
                self._waiting.set_result(body[1:])


def _rtu_bodies(heard: bytes) -> Iterator[bytes]:
    """What may be whole replies of any unit: unit, function and data."""
    for at in range(len(heard) - 4):
        length = reply_bytes(heard[at:])
        if 0 < length <= len(heard) - at and crc16(heard[at : at + length]) == 0:
            yield heard[at : at + length - CRC_BYTES]


def _ascii_bodies(heard: bytes) -> Iterator[bytes]:
    """The same in ASCII."""
    for line in heard.split(END)[:-1]:
        body = body_of(line.rpartition(BEGIN)[2]) if BEGIN in line else None
        if body is not None and reply_bytes(body) == len(body) + CRC_BYTES:
            yield body


def identity(reply: bytes | None) -> tuple[str, ...]:
    """What a reply to question 43 or 17 says of its device, as far as it is text."""
    if not reply or reply[0] & EXCEPTION_FLAG or len(reply) < 3:
        return ()
    if reply[0] == 17:
        text = _text(reply[2 : 2 + reply[1]])
        return (f"server id {text}",) if text else ()
    found, at = [], OBJECTS_AT
    with suppress(IndexError):
        for _ in range(reply[OBJECTS_AT - 1]):
            number, size = reply[at], reply[at + 1]
            text = _text(reply[at + 2 : at + 2 + size])
            if text:
                found.append(f"{OBJECTS.get(number, f'object {number}')} {text}")
            at += 2 + size
    return tuple(found)


def _text(data: bytes) -> str:
    return "".join(letter for letter in data.decode("ascii", "ignore") if letter.isprintable()).strip()
