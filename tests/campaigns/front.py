"""Front: stands between the gateway and a real broker, and does to MQTT 5 what brokers and lines do on bad days.

It runs in a thread of its own. What it does is set from outside, one attribute at a time. Imports nothing of Tidegate.
"""

import asyncio
import contextlib
import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

CONNECT, PUBLISH, PUBACK, DISCONNECT = 1, 3, 4, 14
DATA_LEAVES = ("live", "backlog", "replay")
START_DEADLINE_S = 10.0
# For `judge`: what is done instead of an answer with a reason code.
PASS, HANG_UP, TOO_LARGE = 0, -1, -2


@dataclass(frozen=True, slots=True)
class Data:
    """A data message on its way: the numbers that it covers, and its size."""

    leaf: str
    first: int
    last: int
    size: int


def passed(_: Data) -> int:
    """For `judge`: all goes on to the broker."""
    return PASS


class Front:
    """`judge` says of each data message: PASS, HANG_UP, TOO_LARGE (a DISCONNECT), or the PUBACK's reason code.

    While `dropped`, nothing passes in either direction and nobody is told; while `mute`, who connects hears nothing.
    """

    def __init__(self, broker_port: int) -> None:
        self.judge: Callable[[Data], int] = passed
        self.dropped = self.mute = False
        self.connections = 0
        self.refused = 0
        self.port = 0
        self._broker_port = broker_port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="front", daemon=True)
        self._thread.start()
        assert self._ready.wait(START_DEADLINE_S)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def close(self) -> None:
        """End it and all its connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_DEADLINE_S)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.mute:
            await reader.read()
            writer.close()
            return
        there: asyncio.StreamWriter | None = None
        try:
            back, there = await asyncio.open_connection("127.0.0.1", self._broker_port)
            _, pending = await asyncio.wait(
                [
                    asyncio.create_task(self._upwards(reader, writer, there)),
                    asyncio.create_task(self._downwards(back, writer)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in pending:
                task.cancel()
        except OSError:
            pass  # The broker is away: so are we.
        finally:
            writer.close()
            if there is not None:
                there.close()

    async def _downwards(self, back: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await back.read(65_536):
                if not self.dropped:
                    writer.write(data)
                    await writer.drain()
            # A dropped link says nothing of its end either.
            while self.dropped:  # noqa: ASYNC110 (it is set from another thread)
                await asyncio.sleep(0.1)

    async def _upwards(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                packet = await _packet(reader)
                if self.dropped:
                    continue
                verdict, mid = PASS, 0
                if packet[0] >> 4 == PUBLISH:
                    data, mid = _data(packet)
                    verdict = self.judge(data) if data is not None else PASS
                if verdict == PASS:
                    there.write(packet)
                    await there.drain()
                    continue
                self.refused += 1
                if verdict == TOO_LARGE:
                    writer.write(bytes([DISCONNECT << 4, 2, 0x95, 0]))
                    await writer.drain()
                if verdict < 0:
                    return
                writer.write(bytes([PUBACK << 4, 3]) + struct.pack("!HB", mid, verdict))


async def _packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(1)
    length = shift = 0
    while True:
        digit = await reader.readexactly(1)
        head += digit
        length |= (digit[0] & 127) << shift
        shift += 7
        if digit[0] < 128:
            return head + await reader.readexactly(length)


def _data(packet: bytes) -> tuple[Data | None, int]:
    """What a PUBLISH with QoS 1 holds, if it is data, and its identifier."""
    at = 1
    while packet[at] >= 128:
        at += 1
    at += 1
    length = struct.unpack_from("!H", packet, at)[0]
    topic = packet[at + 2 : at + 2 + length].decode()
    at += 2 + length
    mid = struct.unpack_from("!H", packet, at)[0]
    payload = packet[at + 3 + packet[at + 2] :]
    leaf = topic.rsplit("/", 1)[1]
    if leaf not in DATA_LEAVES:
        return None, mid
    said = json.loads(payload)
    return Data(leaf, said["from"], said["to"], len(payload)), mid
