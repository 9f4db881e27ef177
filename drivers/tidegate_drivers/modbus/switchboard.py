"""One listening port, and who of those that call there is which device. It knows no Modbus.

It is opened by the first bus of its port and closed with the last one. Strangers are few and have little time: the one
that has waited longest makes room for the next, so that many who say nothing can't keep devices out.
"""

import asyncio
import ipaddress
import logging
import os
import socket
from weakref import WeakKeyDictionary

from tidegate.errors import NotConnected
from tidegate_drivers.modbus.address import Place
from tidegate_drivers.modbus.call import Call
from tidegate_drivers.modbus.caller import Caller
from tidegate_drivers.modbus.unasked import RtuCleaner, TcpCleaner, strip

STRANGERS_MAX = 16
BACKLOG = 16
# Of several calls refused in so long a time only the first is logged, and the others counted.
TELL_S = 60.0
SHOWN_BYTES = 48
# Heartbeats and a registration: all of it is looked at with each piece, so that more would hold up everybody.
HEARD_BYTES_MAX = 4096

log = logging.getLogger("tidegate.modbus")


class Post:
    """One device's place at a switchboard, where its bus waits for the call."""

    def __init__(self, board: "Switchboard", place: Place, call: Call) -> None:
        self.board = board
        self.place = place
        self.call = call
        self._caller: Caller | None = None
        self._expected: asyncio.Future[None] | None = None

    async def answer(self, deadline_s: float) -> Caller:
        """The call of this device; the one that stands, or the next one. Raises NotConnected at the deadline."""
        if self._caller is None or not self._caller.open:
            self._expected = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(deadline_s):
                    await self._expected
            except TimeoutError:
                raise NotConnected("", f"no call from {self.place.caller} yet at {self.board}") from None
            finally:
                self._expected = None
        if self._caller is None or not self._caller.open:
            raise NotConnected("", f"{self.place.caller} hung up as soon as it had called")
        return self._caller

    def take(self, caller: Caller) -> Caller | None:
        """It has called; gives back the call that this one replaces."""
        before, self._caller = self._caller, caller
        caller.recognised((RtuCleaner if self.place.framed else TcpCleaner)(self.call.packets))
        if self._expected is not None and not self._expected.done():
            self._expected.set_result(None)
        return before if before is not None and before.open else None

    def lose(self, caller: Caller) -> None:
        """A call has ended; nothing where a later one has taken its place."""
        if self._caller is caller:
            self._caller = None

    def hang_up(self) -> None:
        """End the call that stands."""
        if self._caller is not None:
            self._caller.hang_up("closed")


class Switchboard:
    """One port. `str` says where it is and what was refused there. Raises NotConnected where it can't be opened."""

    def __init__(self, place: Place) -> None:
        self._loop = asyncio.get_running_loop()
        self._where = f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"
        self._place = place
        self._listening = self._bind()
        self._server: asyncio.Server | None = None
        self._posts: dict[bytes, Post] = {}
        self._strangers: dict[Caller, None] = {}
        self._known: dict[Caller, Post] = {}
        self._told_at = -TELL_S
        self._untold = 0
        self.refused = 0
        self._last = ""

    def __str__(self) -> str:
        if not self.refused:
            return self._where
        return f"{self._where} (refused there: {self.refused} calls, the last one {self._last})"

    @property
    def empty(self) -> bool:
        """Whether no bus needs it any more."""
        return not self._posts

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listening.getsockname()[1])

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._place.host else socket.AF_INET
        try:
            return socket.create_server((self._place.host, self._place.port), family=family, backlog=BACKLOG)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            remedy = "see which program has that port, and that the address is this machine's"
            raise NotConnected("", f"can't listen at {self._where}: {why}; {remedy}") from None

    async def listen(self) -> None:
        """Take calls from now on."""
        if self._server is None:
            # It waits for nothing before the server is ours, so that no other bus of the port comes in between.
            self._server = await self._loop.create_server(
                lambda: Caller(self), sock=self._listening, backlog=BACKLOG, start_serving=False
            )
            await self._server.start_serving()

    def close(self) -> None:
        """Close the port, and hang up on everybody."""
        if self._server is not None:
            self._server.close()
        self._listening.close()
        for caller in [*self._strangers, *self._known]:
            caller.hang_up("the gateway no longer listens")

    def add(self, place: Place, call: Call) -> Post:
        """A post for a device."""
        if call.registration in self._posts:
            raise NotConnected("", f"{self._posts[call.registration].place.caller} registers with the same packet")
        post = self._posts[call.registration] = Post(self, place, call)
        return post

    def remove(self, post: Post) -> None:
        """The bus of this post needs it no more."""
        if self._posts.get(post.call.registration) is post:
            del self._posts[post.call.registration]
        post.hang_up()

    # What follows is called by the calls.

    def called(self, caller: Caller, host: str) -> bool:
        """Whether a call from this address is taken."""
        rules = next((post.call for post in self._posts.values()), None)
        address = ipaddress.ip_address(host.partition("%")[0])
        if rules is None or not any(address in network for network in rules.allow):
            self._refuse(caller, "from an address that `allow` does not name")
            return False
        if len(self._strangers) >= STRANGERS_MAX:
            self._refuse(next(iter(self._strangers)), "crowded out before it had said who it is")
        self._strangers[caller] = None
        caller.timer = self._loop.call_later(rules.registration_s, self._too_slow, caller)
        return True

    def heard(self, caller: Caller, data: bytes) -> None:
        """All that a stranger has sent so far: its registration, perhaps behind heartbeats; a part of it; or junk."""
        if caller not in self._strangers:
            return
        beats = tuple({post.call.heartbeat for post in self._posts.values()} - {b""})
        rest = strip(data, beats)
        post = next((post for packet, post in self._posts.items() if rest.startswith(packet)), None)
        if post is None:
            if not any(packet.startswith(rest) for packet in (*self._posts, *beats)):
                self._refuse(caller, f"with {rest[:SHOWN_BYTES]!r}, which no device registers with")
            elif len(data) > HEARD_BYTES_MAX:
                self._refuse(caller, f"with {len(data)} bytes of heartbeats, and no registration")
            return
        self._forget(caller)
        self._known[caller] = post
        before = post.take(caller)
        if before is not None:
            # It lost its connection without telling.
            before.hang_up(f"{post.place.caller} called again, from {caller.peer}")

    def ended(self, caller: Caller) -> None:
        """A call has ended."""
        self._forget(caller)
        post = self._known.pop(caller, None)
        if post is not None:
            post.lose(caller)

    def _too_slow(self, caller: Caller) -> None:
        self._refuse(caller, "without saying in time who it is")

    def _forget(self, caller: Caller) -> None:
        self._strangers.pop(caller, None)
        if caller.timer is not None:
            caller.timer.cancel()
            caller.timer = None

    def _refuse(self, caller: Caller, why: str) -> None:
        """End a stranger's call, count it, and log it if none was logged lately."""
        self._forget(caller)
        self.refused += 1
        self._last = f"of {caller.peer} {why}"
        caller.hang_up("refused")
        if self._loop.time() - self._told_at < TELL_S:
            self._untold += 1
            return
        more = f"; {self._untold} more since the last time that this was logged" if self._untold else ""
        log.warning("%s: refused a call %s%s", self._where, self._last, more)
        self._told_at, self._untold = self._loop.time(), 0


# Those that are open, by the event loop that serves them: the buses of one port know nothing of each other.
_OPEN: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, int], Switchboard]] = WeakKeyDictionary()


async def join(place: Place, call: Call) -> Post:
    """A post at the switchboard of a port, which is opened if it is not. Raises NotConnected."""
    boards = _OPEN.setdefault(asyncio.get_running_loop(), {})
    board = boards.get((place.host, place.port))
    if board is None:
        board = boards[place.host, place.port] = Switchboard(place)
    post = board.add(place, call)
    try:
        await board.listen()
    except BaseException:
        leave(post)
        raise
    return post


def leave(post: Post) -> None:
    """Give a post up; the last one closes the port."""
    boards = _OPEN.get(asyncio.get_running_loop(), {})
    post.board.remove(post)
    if post.board.empty:
        post.board.close()
        if boards.get((post.place.host, post.place.port)) is post.board:
            del boards[post.place.host, post.place.port]
