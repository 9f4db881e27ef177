"""Connector: the part of connecting that blocks, in a thread: DNS, TCP, proxy, TLS, WebSocket, and sending CONNECT.

It makes the clients that sessions use, and knows nothing of what happens after CONNECT.
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
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tidegate.errors import NoSession
from tidegate.publish import remedies, way
from tidegate.publish.credentials import fingerprint
from tidegate.publish.faults import CertificateTime
from tidegate.publish.settings import TargetSettings
from tidegate.publish.websocket import WebSocket, open_websocket

QOS = 1
# What may come in is a request or our own head; a broker that respects it sends us nothing larger.
INCOMING_BYTES_MAX = 128 * 1024


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker says for us when we are gone without a word."""

    topic: str
    payload: bytes
    retain: bool


Link = socket.socket | ssl.SSLSocket | WebSocket


class Connector:
    """Does the part of connecting that blocks, in one thread at a time. `shown` are the credentials of the last try."""

    def __init__(self) -> None:
        self.shown: bytes | None = None
        self._thread: threading.Thread | None = None

    async def connect(self, settings: TargetSettings, client: mqtt.Client, deadline_s: float) -> None:
        """Resolve, connect, shake hands and send CONNECT. Raises NoSession, also when it takes too long."""

        def work() -> None:
            # Read before they are used: what is replaced in between counts as new.
            self.shown = fingerprint(settings)
            _connect(settings, client)

        await self._in_thread(settings, deadline_s, work, lambda: close(client))

    async def reach(self, settings: TargetSettings, deadline_s: float) -> None:
        """Whether the target's broker could be connected to, up to CONNECT. Raises NoSession when not."""
        opened: list[Link] = []

        def let_go() -> None:
            while opened:
                opened.pop().close()

        await self._in_thread(settings, deadline_s, lambda: opened.append(_open(settings)), let_go)
        let_go()

    async def _in_thread(
        self, settings: TargetSettings, deadline_s: float, work: Callable[[], None], let_go: Callable[[], None]
    ) -> None:
        """Do `work` in the thread. One that is late (nothing ends a DNS query) lets go of what it opens, and until
        then there is no second one.
        """
        if self._thread is not None and self._thread.is_alive():
            raise NoSession("the attempt before is still waiting for the network (DNS?)")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def report(error: Exception | None) -> None:
            if done.done():
                let_go()
            elif error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def run() -> None:
            error: Exception | None = None
            try:
                work()
            except Exception as raised:  # whatever it was, the target must hear of it
                error = raised
            # The loop may have ended in the meantime; then there is nobody to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(report, error)

        self._thread = threading.Thread(target=run, name=f"connect {settings.name}", daemon=True)
        self._thread.start()
        try:
            async with asyncio.timeout(deadline_s):
                await done
        except TimeoutError:
            why = f"did not answer within {deadline_s:g} s: look at address, port and firewalls"
            raise NoSession(f"{settings.url} {why}") from None
        except ssl.SSLError as error:
            dated = getattr(error, "verify_code", 0) in (remedies.NOT_YET_VALID, remedies.EXPIRED)
            why = remedies.tls(error, settings)
            raise (CertificateTime if dated else NoSession)(f"{settings.url}: {why}") from error
        except OSError as error:
            raise NoSession(f"{settings.url}: {remedies.network(error, settings)}") from error
        except ValueError as error:
            raise NoSession(f"{settings.url}: {error}") from error


class _Client(mqtt.Client):
    """paho's client over a link that is opened here: it has no source interface, no ALPN with a proxy, and its own
    WebSocket is slow. `_create_socket` is the one place where it opens anything.
    """

    def __init__(self, settings: TargetSettings, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._settings = settings

    def _create_socket(self) -> Any:
        return _open(self._settings)


def make_client(settings: TargetSettings, client_id: str, will: Will) -> mqtt.Client:
    """A client for one connection; it has no queue of its own that would outlive that."""
    five = settings.mqtt == "5"
    client = _Client(
        settings,
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
    """All of connecting that blocks: reading certificates, DNS, TCP, proxy, TLS, WebSocket, and sending CONNECT."""
    address = settings.address
    if settings.mqtt == "5":
        asked = properties(PacketTypes.CONNECT, MaximumPacketSize=INCOMING_BYTES_MAX)
        client.connect(address.host, address.port, settings.keepalive_s, clean_start=True, properties=asked)
    else:
        client.connect(address.host, address.port, settings.keepalive_s)


def _open(settings: TargetSettings) -> Link:
    """A link to the target's broker: what MQTT is spoken over. Raises OSError, ssl.SSLError or ValueError."""
    address = settings.address
    context = tls_context(settings) if address.tls else None
    link: socket.socket | ssl.SSLSocket = way.connect(settings, settings.connect_deadline_s)
    try:
        link.settimeout(settings.connect_deadline_s)
        if context is not None:
            link = _in_tls(link, context, address.host)
        if not address.path:
            return link
        try:
            return open_websocket(link, address.host, address.port, address.path, settings.connect_deadline_s)
        except ConnectionError as error:
            raise remedies.NoWebSocket(error.errno, error.strerror or str(error)) from error
    except BaseException:
        link.close()
        raise


def _in_tls(link: socket.socket, context: ssl.SSLContext, host: str) -> ssl.SSLSocket:
    try:
        return context.wrap_socket(link, server_hostname=host)
    except (ConnectionError, ssl.SSLEOFError) as error:
        raise remedies.NoTls(error.errno, "the connection ended in the TLS handshake") from error


def tls_context(settings: TargetSettings) -> ssl.SSLContext:
    """Whom we trust and who we are. Raises OSError or ValueError.

    Read anew for every connection, so that a certificate that was renewed is used from the next one on.
    """
    context = ssl.create_default_context(cafile=str(settings.ca) if settings.ca else None)
    if settings.cert is not None:
        context.load_cert_chain(settings.cert, settings.key, _no_password)
    if settings.alpn_names:
        context.set_alpn_protocols(settings.alpn_names)
    return context


def _no_password() -> str:
    """Else OpenSSL would ask for it at the terminal, and wait."""
    raise ValueError("the key is locked by a password: store it without one, readable for this user only")


def properties(packet: int, **values: object) -> Properties:
    """MQTT 5 properties by the names of the standard, without the blanks."""
    made = Properties(packet)  # type: ignore[no-untyped-call]  # paho leaves it untyped
    for name, value in values.items():
        setattr(made, name, value)
    return made


def close(client: mqtt.Client) -> None:
    """Close the socket of a client that nobody looks at any more."""
    client.on_socket_close = None
    client.on_socket_register_write = None
    client.on_socket_unregister_write = None
    opened = client.socket()
    if opened is not None:
        opened.close()
