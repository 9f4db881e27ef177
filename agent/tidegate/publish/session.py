"""Session: one MQTT connection, from its first DNS query to its end. It never reconnects and sends nothing again.

    connect thread                    loop
    DNS, TCP, TLS, CONNECT  ──▶  CONNACK ──▶ publish … PUBACK … tick each second ──▶ lost | left

paho codes and decodes packets; the window, the keeping and the coming back are others'. Whoever made the session looks
at `fault` whenever `wake` was called: callbacks of paho only note what happened.
"""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from tidegate.errors import NoSession, PublishError, TargetRefused
from tidegate.publish.faults import FAILURE, refusal
from tidegate.publish.settings import TargetSettings

RECEIVE_MAX_DEFAULT = 65_535
PACKET_BYTES_MAX_DEFAULT = 268_435_460
# What may come in is a request or our own head; a broker that respects it sends us nothing larger.
INCOMING_BYTES_MAX = 128 * 1024
READ_ROUNDS_MAX = 32
QOS = 1
CONTENT_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker said of itself in CONNACK; MQTT 3.1.1 has only the defaults."""

    receive_max: int = RECEIVE_MAX_DEFAULT
    packet_bytes_max: int = PACKET_BYTES_MAX_DEFAULT
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone without a word."""

    topic: str
    payload: bytes
    retain: bool


class Connector:
    """Does the part of connecting that blocks, in one thread at a time."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    async def connect(self, settings: TargetSettings, client: mqtt.Client, deadline_s: float) -> None:
        """Resolve, connect, shake hands and send CONNECT. Raises NoSession, also when it takes too long.

        A thread that is late (nothing ends a DNS query) closes what it opens; until then there is no second one.
        """
        if self._thread is not None and self._thread.is_alive():
            raise NoSession("the attempt before is still waiting for the network (DNS?)")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def report(error: Exception | None) -> None:
            if done.done():
                _close(client)
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def work() -> None:
            error: Exception | None = None
            try:
                _connect(settings, client)
            except Exception as raised:  # whatever it was, the target must hear of it
                error = raised
            # The loop may have ended in the meantime; then there is nobody to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(report, error)

        self._thread = threading.Thread(target=work, name=f"connect {settings.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(deadline_s):
                await done
        except TimeoutError:
            raise NoSession(f"{settings.url} did not answer within {deadline_s:g} s") from None
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", None) or error.reason or error
            raise NoSession(f"{settings.url}: TLS: {why}") from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            raise NoSession(f"{settings.url}: {error.strerror or error}{where}") from error
        except ValueError as error:
            raise NoSession(f"{settings.url}: {error}") from error


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
        client = _client(settings, client_id, will)
        session = cls(settings, client, on_acknowledged, on_message, wake)
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
        _close(self._client)

    def _attach(self) -> None:
        """Take the connected socket over from the connect thread."""
        client = self._client
        self._socket = client.socket()
        if self._socket is None:
            raise NoSession(f"{self._settings.url}: the connection ended at once")
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

    def _connected(
        self, _client: mqtt.Client, _data: Any, _flags: mqtt.ConnectFlags, code: ReasonCode, said: Properties | None
    ) -> None:
        if code.is_failure:
            self._lose(refusal(f"{self._settings.url} refused the connection: {code}", code.value))
            return
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
            self._properties = _properties(PacketTypes.PUBLISH, PayloadFormatIndicator=1, ContentType=CONTENT_TYPE)
        if not self._connack.done():
            self._connack.set_result(None)

    def _disconnected(self, _client: mqtt.Client, _data: Any, flags: Any, code: ReasonCode, _said: Any) -> None:
        if flags.is_disconnect_packet_from_server and code.value >= FAILURE:
            self._lose(refusal(f"{self._settings.url} ended the connection: {code}", code.value))
        elif not self._leaving:
            why = "lost" if code.value == FAILURE else f"lost: {code}"
            self._lose(NoSession(f"the connection to {self._settings.url} was {why}"))

    def _published(self, _client: mqtt.Client, _data: Any, mid: int, code: ReasonCode, _said: Any) -> None:
        self._on_acknowledged(mid, code.value)
        self._wake()

    def _received(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._on_message(message.topic, bytes(message.payload), bool(message.retain))
        self._wake()


def _client(settings: TargetSettings, client_id: str, will: Will) -> mqtt.Client:
    five = settings.mqtt == "5"
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=None if five else True,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    # paho looks through its whole window at every acknowledgement unless it has none; ours is kept elsewhere.
    client.max_inflight_messages_set(0)
    client.connect_timeout = settings.connect_deadline_s
    client.will_set(will.topic, will.payload, QOS, will.retain)
    if settings.user or settings.password is not None:
        client.username_pw_set(settings.user, settings.password.reveal() if settings.password is not None else None)
    return client


def _connect(settings: TargetSettings, client: mqtt.Client) -> None:
    """All of connecting that blocks: reading certificates, DNS, TCP, TLS."""
    address = settings.address
    if address.tls:
        context = ssl.create_default_context(cafile=str(settings.ca) if settings.ca else None)
        if settings.cert is not None:
            context.load_cert_chain(settings.cert, settings.key)
        client.tls_set_context(context)
    if settings.mqtt == "5":
        asked = _properties(PacketTypes.CONNECT, MaximumPacketSize=INCOMING_BYTES_MAX)
        client.connect(address.host, address.port, settings.keepalive_s, clean_start=True, properties=asked)
    else:
        client.connect(address.host, address.port, settings.keepalive_s)


def _properties(packet: int, **values: object) -> Properties:
    """MQTT 5 properties by the names of the standard, without the blanks."""
    made = Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _pending(sock: Any) -> int:
    return int(sock.pending()) if isinstance(sock, ssl.SSLSocket) and sock.fileno() >= 0 else 0


def _close(client: mqtt.Client) -> None:
    """Close the socket of a client that nobody looks at any more."""
    client.on_socket_close = None
    client.on_socket_register_write = None
    client.on_socket_unregister_write = None
    opened = client.socket()
    if opened is not None:
        opened.close()
