"""TCP connections to devices: opened within a deadline, and able to notice a dead peer. It knows no frames."""

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

from aiohappyeyeballs import start_connection

from tidegate.errors import NotConnected
from tidegate_drivers.modbus.lookup import addresses

CONNECT_DEADLINE_S = 5.0
HAPPY_EYEBALLS_DELAY_S = 0.25
# How long sent bytes may stay unacknowledged before the kernel gives the connection up.
USER_TIMEOUT_MS = 10_000

Made = TypeVar("Made", bound=asyncio.BaseProtocol)


async def dial(host: str, port: int, make: Callable[[str], Made], tls: ssl.SSLContext | None = None,
               name: str = "") -> Made:  # fmt: skip
    """A TCP connection that `make(peer)` serves, within TLS where there is a context: then the peer proves `name`.

    Raises NotConnected, after CONNECT_DEADLINE_S at the latest; when the handshake fails SSLError, or ConnectionError.
    """
    shaking = False
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            connection = await _connected(host, port)
            try:
                if tls is None:
                    _, link = await loop.create_connection(lambda: make(peer), sock=connection)
                else:
                    shaking = True
                    _, link = await loop.create_connection(
                        lambda: make(peer), sock=connection, ssl=tls, server_hostname=name
                    )
            except BaseException:
                connection.close()
                raise
    except TimeoutError:
        late = "finish the TLS handshake" if shaking else "accept a connection"
        raise NotConnected("", f"{peer} did not {late} within {CONNECT_DEADLINE_S:g} s") from None
    except (OSError, UnicodeError) as error:
        if shaking and isinstance(error, (ssl.SSLError, ConnectionError)):
            raise
        raise NotConnected("", f"no connection to {peer}: {why_not(error)}") from error
    return link


async def _connected(host: str, port: int) -> socket.socket:
    """A connected socket, of the first address that answers. Raises OSError or UnicodeError."""
    if _is_address(host):
        # One address needs no resolver's thread and no race of several, which leave much to the garbage collector.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[:1]
        connection = await start_connection(found)
    else:
        found = await addresses(host, port)
        connection = await start_connection(found, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    return connection


def _is_address(host: str) -> bool:
    """Whether a host is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def why_not(error: OSError | UnicodeError) -> str:
    """Connection refused, instead of asyncio's `[Errno 111] Connect call failed ('10.0.0.7', 502)`."""
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or "no answer in time"
