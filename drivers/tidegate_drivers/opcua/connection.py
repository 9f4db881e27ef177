"""Connection: one session with one server, over one secure channel. It knows no tags and no subscriptions.

hello ──▶ channel ──▶ CreateSession ──▶ ActivateSession ──▶ namespaces, limits
                  └── the session from before, where the server still has it ──┘

asyncua does the bytes; it never reconnects by itself here: the poller alone does.
"""

import asyncio
import contextlib
import logging
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from tidegate.clock import Clock
from tidegate.errors import DriverError, NotConnected
from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.limits import NODES, Limits, batches, limits_of
from tidegate_drivers.opcua.requests import send
from tidegate_drivers.opcua.settings import Settings
from tidegate_drivers.opcua.standard import standard_types
from tidegate_drivers.opcua.words import LOST_CODES, driver_error, words

# How long a farewell may take, over a channel that may be half dead.
FAREWELL_S = 1.5
# A channel's token is renewed after this share of its life (OPC 10000-4 §5.5.2.1).
RENEW_AFTER = 0.75
# A session is used at least once in this share of its timeout; so many answers that fail to come are a dead line.
BEAT_SHARE, MISSED_MAX = 0.3, 2
STATE = ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)
STARTED = ua.NodeId(ua.ObjectIds.Server_ServerStatus_StartTime)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CHANNEL_MS = 3_600_000
MESSAGE_BYTES_MAX, CHUNKS_MAX = 64 * 1024 * 1024, 4096

# At INFO it formats every message that it sends or gets, which doubles the cost of each value.
logging.getLogger("asyncua").setLevel(logging.ERROR)


class Connection:
    """An open session. `lost` is done, with why, when nothing goes on over it. Made by `connect`."""

    def __init__(self, settings: Settings, client: Client, clock: Clock) -> None:
        self.settings = settings
        self._clock = clock
        self.client = client
        self.session = client.uaclient.session
        self.protocol = client.uaclient.protocol
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.namespaces: list[str] = []
        # What the server says of structures and enumerations, as far as somebody asked.
        self.types = standard_types()
        self.limits = Limits()
        # Whether the server still had the session from before, with what it owned.
        self.resumed = False
        # When the server began to run, its µs UTC; 0 where it does not say.
        self.started = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False
        self.protocol.on_connection_lost = self._on_lost

    @property
    def name(self) -> str:
        """Of its session; another one has another."""
        return str(self.session.authentication_token)

    @property
    def open(self) -> bool:
        """Whether requests may be sent."""
        return not self._closed and not self.lost.done()

    def lose(self, why: str) -> None:
        """Nothing goes on over it: whoever waits on `lost` is told why. The first word counts."""
        if not self.lost.done():
            self.lost.set_result(why)

    def ask(self, kind: int, parameters: bytes, timeout_s: float = 0.0) -> "asyncio.Future[Any]":
        """Send a request whose parameters are bytes already, and give a future of the answer's Buffer.

        It has no deadline but the server's own, which is told `timeout_s` (0: none). Raises OSError when it is closed.
        """
        return send(self.protocol, kind, parameters, self._clock.now_us(), timeout_s)

    async def call(self, request: Any, response: Any, timeout_s: float | None = None) -> Any:
        """The server's answer to one request, as asyncua's class `response`.

        Raises asyncua's errors, TimeoutError and OSError: see words.driver_error.
        """
        answer = struct_from_binary(response, await self.answer(request, timeout_s))
        answer.ResponseHeader.ServiceResult.check()
        return answer

    async def answer(self, request: Any, timeout_s: float | None = None) -> Any:
        """The same as a Buffer of bytes, from its type id on; a ServiceFault is raised."""
        if not self.open:
            raise ConnectionError(self.lost.result() if self.lost.done() else "it is closed")
        return await self.protocol.send_request(request, timeout_s or self.settings.timeout_s)

    async def read(self, nodes: list[Any], attribute: Any = ua.AttributeIds.Value) -> list[Any]:
        """DataValues of one attribute of many nodes, within the server's limit a request. Raises as `call` does."""
        values: list[Any] = []
        for some in batches(nodes, self.limits.read):
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=attribute) for node in some]
            values += (await self.call(request, ua.ReadResponse)).Results
        return values

    @property
    def asking(self) -> Asking:
        """Attributes and references of its nodes."""
        return Asking(self.answer, self.limits.read, self.limits.browse)

    async def close(self, delete: bool) -> None:
        """End the session, with its subscriptions where they are to be deleted, and the channel. Never raises."""
        if self._closed:
            return
        self._closed = True
        self._end()
        if not self.lost.done():
            with contextlib.suppress(Exception):
                async with asyncio.timeout(FAREWELL_S):
                    request = ua.CloseSessionRequest()
                    request.DeleteSubscriptions = delete
                    await self.protocol.send_request(request, FAREWELL_S)
                    await self.client.uaclient.close_secure_channel()
        self.drop()

    def drop(self) -> None:
        """Close the socket at once, without a word to the server: it keeps session and subscriptions."""
        self._closed = True
        self.lose("it was closed")
        self._end()
        transport = self.protocol.transport
        self.client.uaclient.disconnect_socket()
        if transport is not None:
            # What a dead line did not take is not waited for.
            transport.abort()

    async def begin(self) -> None:
        """Learn what every use of it needs, and keep its channel alive."""
        self._tasks = [asyncio.create_task(work, name=f"{self.settings.url}") for work in (self._renew(), self._beat())]
        array = ua.NodeId(ua.ObjectIds.Server_NamespaceArray)
        # One by one: a server may refuse a request of more nodes than it takes, and has not said yet how many.
        [namespaces] = await self.read([array])
        if not isinstance(namespaces.Value.Value if namespaces.Value else None, list):
            raise NotConnected("", "it does not give its namespaces (i=2255)")
        self.namespaces = [str(uri) for uri in namespaces.Value.Value]
        self.types = standard_types(tuple(self.namespaces))
        found = [
            one.Value.Value if one.Value and one.StatusCode.is_good() else None
            for one in await self.read([ua.NodeId(number) for number in NODES.values()])
        ]
        self.limits = limits_of(found, self.settings.batch)
        [started] = await self.read([STARTED])
        if started.Value and isinstance(started.Value.Value, datetime):
            self.started = (started.Value.Value.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)

    async def alive(self) -> None:
        """Have the server say something. Raises as `call` does."""
        await self.read([STATE])

    def _on_lost(self, error: Exception | None) -> None:
        self.lose(f"the connection ended: {words(error)}" if error else "the server closed the connection")
        self.client.uaclient._on_transport_lost(error)

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _beat(self) -> None:
        """An answer now and then keeps the session, whatever else waits, and shows that the line is not dead."""
        every_s = min(self.settings.keepalive_s, self.client.session_timeout / 1000 * BEAT_SHARE)
        missed = 0
        while self.open:
            await asyncio.sleep(every_s if not missed else 0)
            try:
                await self.alive()
                missed = 0
            except ua.UaStatusCodeError as error:
                if error.code in LOST_CODES:
                    self.lose(words(error))
            except TimeoutError:
                missed += 1
                if missed >= MISSED_MAX:
                    self.lose(f"it did not answer {missed} times in a row")
            except Exception as error:
                self.lose(words(error))

    async def _renew(self) -> None:
        try:
            while self.open:
                await asyncio.sleep(self.client.secure_channel_timeout / 1000 * RENEW_AFTER)
                await self.client.open_secure_channel(renew=True)
                self.client.uaclient.revolve_security_token()
        except Exception as error:
            self.lose(f"its channel could not be renewed: {words(error)}")


async def connect(settings: Settings, client: Client, clock: Clock, again: bool) -> Connection:
    """Open a session with a client whose security is set up.

    Where the same client had one, and `again`, that one is taken up if the server still has it. Raises NotConnected.
    """
    uaclient, connection = client.uaclient, None
    client.secure_channel_timeout = CHANNEL_MS
    client.session_timeout = round(settings.session_s * 1000)
    client.max_messagesize, client.max_chunkcount = MESSAGE_BYTES_MAX, CHUNKS_MAX
    uaclient.pre_request_hook = None
    try:
        await client.connect_socket()
        connection = Connection(settings, client, clock)
        _guard(uaclient.protocol.transport, settings)
        await client.send_hello()
        await client.open_secure_channel()
        if not (again and await _resumed(connection)):
            uaclient.session.reset_authentication_token()
            await client.create_session()
            await client.activate_session(client._username, client._password, client.user_certificate)
        await connection.begin()
    except BaseException as error:
        if connection is not None:
            connection.drop()
        uaclient.disconnect_socket()
        if isinstance(error, DriverError) or not isinstance(error, Exception):
            raise
        raise NotConnected("", f"no session with {settings.url}: {driver_error('', error).what}") from None
    return connection


async def _resumed(connection: Connection) -> bool:
    """Whether the session from before goes on over this channel (OPC 10000-4 §5.6.3)."""
    client = connection.client
    if not client.uaclient.session.has_session:
        return False
    try:
        client.uaclient.session.rebind_authentication_token()
        await client.activate_session(client._username, client._password, client.user_certificate)
    except ua.UaStatusCodeError:
        return False
    connection.resumed = True
    return True


def _guard(transport: asyncio.Transport, settings: Settings) -> None:
    """Have the kernel end a connection whose other end is gone, though it never said so."""
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(2 * settings.timeout_s * 1000))
