"""Session: one MQTT connection, from its first DNS query to its end. It never reconnects and sends nothing again.

    connect thread                    loop
    DNS, TCP, TLS, CONNECT  ──▶  CONNACK ──▶ publish … PUBACK … tick each second ──▶ lost | left

paho codes and decodes packets; the window, the keeping and the coming back are others'. Whoever made the session looks
at `fault` whenever `wake` was called: callbacks of paho only note what happened.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tidegate.errors import NoSession, PublishError, TargetRefused
from tidegate.publish.connector import QOS, Connector, Will, close, make_client, properties
from tidegate.publish.faults import FAILURE, Lost, refusal
from tidegate.publish.remedies import connack, silence
from tidegate.publish.settings import TargetSettings
from tidegate.publish.websocket import WebSocket

RECEIVE_MAX_DEFAULT = 65_535
PACKET_BYTES_MAX_DEFAULT = 268_435_460
READ_ROUNDS_MAX = 32
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker said of itself in CONNACK; MQTT 3.1.1 has only the defaults."""

    receive_max: int = RECEIVE_MAX_DEFAULT
    packet_bytes_max: int = PACKET_BYTES_MAX_DEFAULT
    retain: bool = True


class Session:
    """One connection. Made by `open`; afterwards everything happens on the loop.

    `fault` is why the connection is over, None while it is not. `wake` is called after anything that the owner should
    look at; `on_acknowledged(mid, reason code)` and `on_message(topic, payload, retained)` before that.
    """

    def __init__(
        self,
        settings: TargetSettings,
        client: mqtt.Client,
        on_acknowledged: Callable[[int, int], None],
        on_message: Callable[[str, bytes, bool], None],
        wake: Callable[[], None],
    ) -> None:
        self.fault: PublishError | None = None
        self.limits = Limits()
        self._settings = settings
        self._client = client
        self._on_acknowledged = on_acknowledged
        self._on_message = on_message
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._five = settings.mqtt == "5"
        self._connack: asyncio.Future[None] = self._loop.create_future()
        self._socket: Any = None
        self._descriptor = -1
        self._properties: Properties | None = None
        # What paho says of the socket's faults before CONNACK; it hands on no more of them.
        self._said = ""
        self._leaving = False
        self._closed = asyncio.Event()

    @classmethod
    async def open(
        cls,
        connector: Connector,
        settings: TargetSettings,
        client_id: str,
        will: Will,
        on_acknowledged: Callable[[int, int], None],
        on_message: Callable[[str, bytes, bool], None],
        wake: Callable[[], None],
    ) -> "Session":
        """Connect within settings.connect_deadline_s, twice: once for the network, once for the broker's CONNACK.

        Raises NoSession, TargetRefused or another PublishError.
        """
        client = make_client(settings, client_id, will)
        session = cls(settings, client, on_acknowledged, on_message, wake)
        client.on_log = session._noted
        await connector.connect(settings, client, settings.connect_deadline_s)
        try:
            session._attach()
            async with asyncio.timeout(settings.connect_deadline_s):
                await session._connack
        except TimeoutError:
            session.drop()
            raise NoSession(f"{settings.url} is connected, but sends no CONNACK") from None
        except BaseException:
            session.drop()
            raise
        return session

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> int:
        """Hand a message over with QoS 1; the identifier that its acknowledgement will have. Raises PublishError."""
        if self.fault is not None:
            raise self.fault
        info = self._client.publish(topic, payload, QOS, retain and self.limits.retain, self._properties)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise NoSession(f"could not hand over a message: {mqtt.error_string(info.rc)}")
        return info.mid

    def subscribe(self, topic: str) -> None:
        """Ask for the messages of a topic. After a refusal there are simply none.

        Never with "no local": to the letter of MQTT 5, 3.8.3.1, what we retained in an earlier connection is ours too,
        and some brokers (EMQX) would not show us our own head.
        """
        if self._five:
            self._client.subscribe(topic, options=SubscribeOptions(qos=QOS))
        else:
            self._client.subscribe(topic, QOS)

    def unsubscribe(self, topic: str) -> None:
        """Ask for no more of a topic."""
        self._client.unsubscribe(topic)

    def tick(self) -> None:
        """To be called about once a second: pings, and notices a broker that does not answer them."""
        if self.fault is None:
            self._client.loop_misc()

    async def leave(self) -> None:
        """Say goodbye, so that the broker does not send the will. The caller has a deadline, and drops it then."""
        if self.fault is None:
            self._leaving = True
            self._client.disconnect()
            await self._closed.wait()
        self.drop()

    def drop(self) -> None:
        """End the connection at once, without a word."""
        if self.fault is None:
            self.fault = NoSession("the connection was ended from here")
        self._detach()
        close(self._client)

    def _attach(self) -> None:
        """Take the connected socket over from the connect thread."""
        client = self._client
        self._socket = client.socket()
        if self._socket is None:
            raise NoSession(f"{self._settings.url} {silence(self._said, self._settings)}")
        # Kept beside the socket, since a closed socket no longer tells which descriptor to forget.
        self._descriptor = self._socket.fileno()
        user_timeout_ms = self._settings.keepalive_s * 1000
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, user_timeout_ms)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = self._received
        client.on_socket_close = self._detach
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._want_no_write
        self._loop.add_reader(self._descriptor, self._readable)
        if client.want_write():
            self._want_write()

    def _want_write(self, *_: object) -> None:
        if self._descriptor >= 0:
            self._loop.add_writer(self._descriptor, self._writable)

    def _want_no_write(self, *_: object) -> None:
        if self._descriptor >= 0:
            self._loop.remove_writer(self._descriptor)

    def _detach(self, *_: object) -> None:
        self._closed.set()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            self._loop.remove_writer(self._descriptor)
            self._descriptor = -1

    def _readable(self) -> None:
        """Read until the TLS layer holds nothing back: the loop sees the socket only, not what is already decrypted."""
        try:
            for _ in range(READ_ROUNDS_MAX):
                self._client.loop_read()
                if self._descriptor < 0 or not _pending(self._socket):
                    return
            self._loop.call_soon(self._readable)
        except Exception as error:  # paho raises what it finds in malformed packets: struct.error, IndexError ...
            self._lose(NoSession(f"the broker sent what is not MQTT: {error!r}"))

    def _writable(self) -> None:
        try:
            self._client.loop_write()
        except Exception as error:
            self._lose(NoSession(f"could not send: {error!r}"))

    def _lose(self, fault: PublishError) -> None:
        if self.fault is None:
            self.fault = fault
        self._detach()
        if not self._connack.done():
            self._connack.set_exception(self.fault)
            # Nobody may be waiting for it any more.
            self._connack.exception()
        self._wake()

    def _noted(self, _client: mqtt.Client, _data: Any, level: int, text: str) -> None:
        """Called in the connect thread too."""
        if level == LogLevel.MQTT_LOG_ERR:
            self._said = text.rpartition("socket: ")[2]

    def _connected(
        self, _client: mqtt.Client, _data: Any, _flags: mqtt.ConnectFlags, code: ReasonCode, said: Properties | None
    ) -> None:
        if code.is_failure:
            what, remedy = f"{self._settings.url} refused the connection: {code}", connack(code.value, self._settings)
            self._lose(refusal(what, code.value, remedy))
            return
        # It would be called for every packet.
        self._client.on_log = None
        maximum_qos = getattr(said, "MaximumQoS", QOS)
        if maximum_qos < QOS:
            self._lose(TargetRefused(f"{self._settings.url} acknowledges nothing: it has no QoS 1", 0x9B))
            return
        self.limits = Limits(
            getattr(said, "ReceiveMaximum", RECEIVE_MAX_DEFAULT),
            getattr(said, "MaximumPacketSize", PACKET_BYTES_MAX_DEFAULT),
            bool(getattr(said, "RetainAvailable", 1)),
        )
        if self._five:
            self._properties = properties(PacketTypes.PUBLISH, PayloadFormatIndicator=1, ContentType=CONTENT_TYPE)
        if not self._connack.done():
            self._connack.set_result(None)

    def _disconnected(self, _client: mqtt.Client, _data: Any, flags: Any, code: ReasonCode, _said: Any) -> None:
        if flags.is_disconnect_packet_from_server and code.value >= FAILURE:
            self._lose(refusal(f"{self._settings.url} ended the connection: {code}", code.value))
        elif not self._connack.done():
            self._lose(NoSession(f"{self._settings.url} {silence(self._said, self._settings)}"))
        elif not self._leaving:
            why = "lost" if code.value == FAILURE else f"lost: {code}"
            self._lose(Lost(f"the connection to {self._settings.url} was {why}"))

    def _published(self, _client: mqtt.Client, _data: Any, mid: int, code: ReasonCode, _said: Any) -> None:
        self._on_acknowledged(mid, code.value)
        self._wake()

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload), bool(message.retain))
        self._wake()


def _pending(sock: Any) -> int:
    """Bytes that were read from the descriptor already and wait above it; TCP alone has none."""
    return int(sock.pending()) if isinstance(sock, (ssl.SSLSocket, WebSocket)) and sock.fileno() >= 0 else 0
