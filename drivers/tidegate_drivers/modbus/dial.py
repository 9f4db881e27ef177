"""TCP connections to devices: opened within a deadline, and able to notice a dead peer. It knows no frames."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from typing import TypeVar

from tidegate.errors import NotConnected

CONNECT_DEADLINE_S = 5.0
HAPPY_EYEBALLS_DELAY_S = 0.25
# How long sent bytes may stay unacknowledged before the kernel gives the connection up.
USER_TIMEOUT_MS = 10_000

Made = TypeVar("Made", bound=asyncio.BaseProtocol)


async def dial(host: str, port: int, make: Callable[[str], Made]) -> Made:
    """A TCP connection that `make(peer)` serves. Raises NotConnected, after CONNECT_DEADLINE_S at the latest."""
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    loop = asyncio.get_running_loop()
    # One address needs no race of several, which leaves much to the garbage collector.
    delay_s = None if _is_address(host) else HAPPY_EYEBALLS_DELAY_S
    try:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            transport, link = await loop.create_connection(lambda: make(peer), host, port, happy_eyeballs_delay=delay_s)
    except TimeoutError:
        raise NotConnected("", f"{peer} did not accept a connection within {CONNECT_DEADLINE_S:g} s") from None
    except (OSError, UnicodeError) as error:
        raise NotConnected("", f"no connection to {peer}: {_why(error)}") from error
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    return link


def _is_address(host: str) -> bool:
    """Whether a host is an IP address, and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _why(error: OSError | UnicodeError) -> str:
    """Connection refused, instead of asyncio's `[Errno 111] Connect call failed ('10.0.0.7', 502)`."""
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error)
