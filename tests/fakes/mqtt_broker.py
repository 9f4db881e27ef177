"""A broker that does as it is told, in the test's own loop: the few packets that a publisher sees, over TCP or TLS.

It keeps what was published and answers as `puback` says. It is no broker to learn from.
"""

import asyncio
import contextlib
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from tests.fakes.certificates import certificates

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = (
    1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14,
)  # fmt: skip


NO_LOCAL = 4
DATA_LEAVES = ("live", "backlog", "replay")


@dataclass(frozen=True, slots=True)
class Published:
    """A message that came in; `connection` counts from 1."""

    topic: str
    payload: bytes
    retain: bool
    mid: int
    connection: int

    @property
    def leaf(self) -> str:
        return self.topic.rsplit("/", 1)[1]


def held_back(message: Published) -> int | None:
    """For `puback`: data is not acknowledged, all else is."""
    return None if message.leaf in DATA_LEAVES else 0


def packet(kind: int, body: bytes) -> bytes:
    """A packet with its remaining length."""
    length, left = b"", len(body)
    while True:
        left, digit = divmod(left, 128)
        length += bytes([digit | (0x80 if left else 0)])
        if not left:
            return bytes([kind << 4]) + length + body


class ScriptedBroker:
    """Speaks MQTT 5, or 3.1.1 when `five` is False.

    `connack` is the reason code of CONNACK and `properties` its properties (bytes). `puback` gives the reason code for
    a message; None keeps it unacknowledged until `acknowledge_all`, which sends all acknowledgements in one write.
    `retained` is what it has kept by topic; it adds nothing to that itself. While `deaf` it answers nothing at all.
    """

    def __init__(
        self, *, tls: bool = False, five: bool = True, connack: int | None = 0, properties: bytes = b"",
        puback: Callable[[Published], int | None] = lambda _: 0, handshake: bool = True, port: int = 0,
    ) -> None:  # fmt: skip
        self.published: list[Published] = []
        self.retained: dict[str, bytes] = {}
        self.connections = 0
        self.connects: list[bytes] = []
        self.disconnects = 0
        self.connack = connack
        self.properties = properties
        self.puback = puback
        self.port = port
        self.deaf = False
        self._tls = tls
        self._five = five
        self._handshake = handshake
        self._unacknowledged: list[bytes] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._server: asyncio.Server | None = None

    @property
    def data(self) -> list[Published]:
        """The data messages that came in."""
        return [message for message in self.published if message.leaf in DATA_LEAVES]

    @property
    def url(self) -> str:
        return f"{'mqtts' if self._tls else 'mqtt'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        context = None
        if self._tls and self._handshake:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates().server)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.hang_up()

    def hang_up(self, reason: int | None = None) -> None:
        """End all connections, with a DISCONNECT packet when there is a reason."""
        for writer in self._writers:
            if reason is not None:
                writer.write(packet(DISCONNECT, bytes([reason, 0])))
            writer.close()
        self._writers.clear()

    def acknowledge_all(self) -> int:
        """Send what was held back in one write: one TLS record, as far as they fit; how many."""
        held, self._unacknowledged = self._unacknowledged, []
        self.write(b"".join(held))
        return len(held)

    def write(self, packets: bytes) -> None:
        """Send to whoever connected last, in one write."""
        self._writers[-1].write(packets)

    def delivery(self, topic: str, payload: bytes, retain: bool = False) -> bytes:
        """The packet that delivers a message."""
        name = topic.encode()
        made = packet(PUBLISH, struct.pack("!H", len(name)) + name + (b"\0" if self._five else b"") + payload)
        return bytes([made[0] | retain]) + made[1:]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        connection = self.connections
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while self._handshake or not self._tls:
                kind, flags, body = await _read(reader)
                answer = self._answer(kind, flags, body, connection)
                if answer and not self.deaf:
                    writer.write(answer)
                    await writer.drain()
                if kind == DISCONNECT:
                    self.disconnects += 1
                    break
            else:
                await reader.read()
        writer.close()

    def _answer(self, kind: int, flags: int, body: bytes, connection: int) -> bytes:
        if kind == CONNECT:
            self.connects.append(body)
            if self.connack is None:
                return b""
            said = bytes([0, self.connack])
            return packet(CONNACK, said + bytes([len(self.properties)]) + self.properties if self._five else said)
        if kind == PUBLISH:
            return self._published(flags, body, connection)
        if kind == SUBSCRIBE:
            return packet(SUBACK, body[:2] + (b"\0\1" if self._five else b"\1")) + self._kept(body)
        if kind == UNSUBSCRIBE:
            return packet(UNSUBACK, body[:2] + (b"\0\0" if self._five else b""))
        return packet(PINGRESP, b"") if kind == PINGREQ else b""

    def _kept(self, body: bytes) -> bytes:
        """What is retained of the topic that is subscribed to. To the letter of MQTT 5, 3.8.3.1, "no local" keeps a
        client's own messages from it, those of its earlier connections too.
        """
        at = 3 + body[2] if self._five else 2
        topic = body[at + 2 : at + 2 + struct.unpack_from("!H", body, at)[0]].decode()
        if topic not in self.retained or body[-1] & NO_LOCAL:
            return b""
        return self.delivery(topic, self.retained[topic], retain=True)

    def _published(self, flags: int, body: bytes, connection: int) -> bytes:
        length = struct.unpack_from("!H", body)[0]
        at = 2 + length
        mid = struct.unpack_from("!H", body, at)[0]
        at += 2
        if self._five:
            at += 1 + body[at]
        message = Published(body[2 : 2 + length].decode(), body[at:], bool(flags & 1), mid, connection)
        self.published.append(message)
        code = self.puback(message)
        made = packet(PUBACK, struct.pack("!H", mid) + (bytes([code or 0]) if self._five and code else b""))
        if code is None:
            self._unacknowledged.append(made)
            return b""
        return made


async def _read(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    head = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        digit = (await reader.readexactly(1))[0]
        length |= (digit & 127) << shift
        shift += 7
        if digit < 128:
            break
    return head >> 4, head & 15, await reader.readexactly(length)


async def until(so: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Waits on the loop until it is so; fails when the deadline passes first."""
    end_s = asyncio.get_running_loop().time() + deadline_s
    while not so():
        assert asyncio.get_running_loop().time() < end_s, "it did not come to be in time"
        await asyncio.sleep(0.01)
