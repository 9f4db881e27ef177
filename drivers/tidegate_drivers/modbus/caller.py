"""One call of a device: a stranger's until it has said who it is, then the wire of a link. It knows no others.

called ──registration──▶ waiting ──a link──▶ serving ──▶ ended
   └── refused, unknown, too slow ──────────────────────▶ ended
"""

import asyncio
import socket
from typing import Protocol, cast

from tidegate.errors import NotConnected
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import Link
from tidegate_drivers.modbus.unasked import Cleaner, HeartbeatInside

# How long sent bytes may stay unacknowledged before the kernel gives the connection up.
USER_TIMEOUT_MS = 10_000


class Desk(Protocol):
    """Who takes calls."""

    def called(self, caller: "Caller", host: str) -> bool:
        """Whether a call from this address is taken."""
        ...

    def heard(self, caller: "Caller", data: bytes) -> None:
        """All that a stranger has sent so far."""
        ...

    def ended(self, caller: "Caller") -> None:
        """A call has ended."""
        ...


class Caller(asyncio.Protocol):
    """One call."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._cleaner: Cleaner | None = None
        self._link: Link | LineLink | None = None
        self._why = ""
        self.peer = ""
        # Ends a call that does not say in time who it is.
        self.timer: asyncio.TimerHandle | None = None

    @property
    def open(self) -> bool:
        """Whether it can be spoken with."""
        return self._transport is not None and not self._transport.is_closing()

    def recognised(self, cleaner: Cleaner) -> None:
        """It has said who it is."""
        self._cleaner, self._heard = cleaner, b""

    def serve(self, link: Link | LineLink) -> None:
        """From now on it is the wire of this link. Raises NotConnected when it has ended."""
        if self._transport is None or not self.open:
            raise NotConnected("", f"{self.peer} hung up")
        self._link = link
        link.connection_made(self._transport)

    def hang_up(self, why: str) -> None:
        """End it at once."""
        self._why = self._why or why
        if self._link is not None:
            self._link.close(why)
        if self._transport is not None:
            self._transport.abort()

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody calls."""
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        if not peer:
            # It has hung up already.
            transport.abort()
            return
        host, port = str(peer[0]), peer[1]
        self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        if not self._desk.called(self, host):
            transport.abort()
            return
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    def connection_lost(self, error: Exception | None) -> None:
        """It has ended, by either side."""
        self._transport = None
        self._desk.ended(self)
        link, self._link = self._link, None
        if link is not None:
            link.connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """A stranger's first packet, or what a link waits for. While nobody asks, nothing can be an answer."""
        if not self.open:
            return
        if self._cleaner is None:
            self._heard += data
            self._desk.heard(self, self._heard)
            return
        link = self._link
        if link is None:
            return
        try:
            data = self._cleaner.clean(data, link.between)
        except HeartbeatInside:
            self.hang_up("a heartbeat came inside a reply, which has no checksum")
            return
        if isinstance(link, LineLink):
            if data:
                link.data_received(data)
            return
        while data and not link.closed:
            room = link.get_buffer(len(data))
            count = min(len(room), len(data))
            room[:count] = data[:count]
            link.buffer_updated(count)
            data = data[count:]
