"""Names of devices into addresses, each name in a thread of its own. It opens no connection.

A resolver whose server is gone takes many seconds, and nothing ends it before. In the few threads that an event loop
has for that, names that nobody knows would keep those waiting that this machine knows by itself.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Found = list[tuple[Any, ...]]
Look = Callable[[str, int], Found]
Lookups = dict[tuple[str, int], asyncio.Future[Found | OSError | UnicodeError]]

# Those that go on, by event loop: as many threads as there are names, however often each is asked for.
_UNDER_WAY: WeakKeyDictionary[asyncio.AbstractEventLoop, Lookups] = WeakKeyDictionary()


def resolve(host: str, port: int) -> Found:
    """What the system's resolver knows. Raises OSError or UnicodeError."""
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


async def addresses(host: str, port: int, look: Look = resolve) -> Found:
    """The addresses of a name. Who gives up leaves the lookup to the next who asks. Raises OSError or UnicodeError."""
    loop = asyncio.get_running_loop()
    lookups = _UNDER_WAY.setdefault(loop, {})
    found = lookups.get((host, port))
    if found is None:
        found = lookups[host, port] = loop.create_future()
        # The end of the gateway does not wait for it.
        thread = threading.Thread(target=_run, args=(loop, lookups, (host, port), look), name=f"lookup {host}")
        thread.daemon = True
        try:
            thread.start()
        except RuntimeError as error:
            del lookups[host, port]
            raise OSError(f"no thread to look it up: {error}") from None
    answer = await asyncio.shield(found)
    if isinstance(answer, Exception):
        raise answer.with_traceback(None)
    return answer


def _run(loop: asyncio.AbstractEventLoop, lookups: Lookups, key: tuple[str, int], look: Look) -> None:
    """In its thread."""
    answer: Found | OSError | UnicodeError
    try:
        answer = look(*key)
    except (OSError, UnicodeError) as error:
        answer = error
    try:
        loop.call_soon_threadsafe(lambda: lookups.pop(key).set_result(answer))
    except RuntimeError:
        # The loop is closed: nobody waits any more.
        return
