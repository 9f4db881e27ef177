"""One Modbus TCP connection: a question, its strictly checked reply, its deadline. It knows no tags and never reopens.

    transaction u16 | protocol u16 = 0 | length u16 | unit u8 | function u8 | data …     all big-endian

Sources: MODBUS Messaging on TCP/IP V1.0b §3.1.3, Modbus Application Protocol V1.1b3 §6 and §7.

    idle ──ask──▶ waiting ──reply of this transaction──▶ idle, or the next question of the same asker
                     ├── deadline ──▶ idle, the transaction is abandoned: its late reply is dropped, never taken
                     └── any other reply, anything else behind it, or the peer closes ──▶ closed, for good
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct

from tidegate.clock import Clock
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused

HEADER = Struct(">HHHBB")
ENVELOPE = Struct(">HHHB")
TRANSACTION_BYTES = 2
BEFORE_LENGTH_BYTES = 6
ADU_BYTES_MAX = 260
LENGTH_MIN, LENGTH_MAX = 3, ADU_BYTES_MAX - BEFORE_LENGTH_BYTES
# Function and address and count, behind the unit.
QUESTION_LENGTH = 6
EXCEPTION_LENGTH = 3
EXCEPTION_FLAG = 0x80

CONNECT_DEADLINE_S = 5.0
HAPPY_EYEBALLS_DELAY_S = 0.25
# How long sent bytes may stay unacknowledged before the kernel gives the connection up.
USER_TIMEOUT_MS = 10_000
# One reply that is due, and late ones that a slow gateway sends in front of it.
BUFFER_BYTES = 8 * ADU_BYTES_MAX
# Questions whose number stays out of use, since a late reply may still come. With more, only a new connection helps.
ABANDONED_MAX = 1024
# After so many silent questions without one byte in between, the connection itself is taken for dead.
SILENT_MAX = 3

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target did not respond",
}


async def connect(host: str, port: int, clock: Clock) -> "Link":
    """A connection to a Modbus TCP device. Raises NotConnected, after CONNECT_DEADLINE_S at the latest."""
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_DEADLINE_S):
            transport, link = await loop.create_connection(
                lambda: Link(clock, peer), host, port, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S
            )
    except TimeoutError:
        raise NotConnected("", f"{peer} did not accept a connection within {CONNECT_DEADLINE_S:g} s") from None
    except (OSError, UnicodeError) as error:
        raise NotConnected("", f"no connection to {peer}: {_why(error)}") from error
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
    return link


def _why(error: OSError | UnicodeError) -> str:
    """Connection refused, instead of asyncio's `[Errno 111] Connect call failed ('10.0.0.7', 502)`."""
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error)


class Link(asyncio.BufferedProtocol):
    """One connection, with at most one question under way. After `closed` it is never used again."""

    def __init__(self, clock: Clock, peer: str) -> None:
        self._clock = clock
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        # The clock of `ask`'s deadlines, in seconds.
        self.time: Callable[[], float] = self._loop.time
        self._transport: asyncio.Transport | None = None
        self._why_closed = ""
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._end = 0
        self._transaction = 0
        self._waiting: asyncio.Future[bytes] | None = None
        # What its asker wants to know besides, each with the bytes of its reply; a time for each, and one for all.
        self._then: deque[tuple[bytes, int]] = deque()
        self._timeout_s = self._until = 0.0
        # Replies to what it asked: monotonic µs and data.
        self._answers: list[tuple[int, bytes]] = []
        self._device = ""
        self._unit = 0
        self._function = 0
        self._reply_bytes = 0
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._abandoned: dict[int, int] = {}
        self._silent = 0
        self.mono_us = 0

    @property
    def closed(self) -> bool:
        """Whether it has ended, by the peer, by a wrong reply, or by us."""
        return bool(self._why_closed)

    def ask(self, device: str, unit: int, question: bytes, reply_bytes: int, deadline: float) -> asyncio.Future[bytes]:
        """Send a question (function, address, count: 5 bytes) and return a future of the reply's data bytes.

        `reply_bytes` is the byte count that the reply must have, `deadline` a time of the loop's clock; `device` is
        for messages. `mono_us` then says when the reply was in. Cancelling the future abandons the
        transaction. The future raises NotConnected, NoAnswer, InvalidReply or Refused.
        """
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        if self._waiting is not None:
            if not self._waiting.done():
                raise RuntimeError("a link asks one question at a time")
            self._abandon()
        self._answers = []
        self._then.clear()
        if self._why_closed or self._transport is None:
            waiting.set_exception(NotConnected(device, self._why_closed or "not connected yet"))
            return waiting
        self._waiting = waiting
        self._device, self._unit = device, unit
        self._send(question, reply_bytes, deadline)
        return waiting

    def ask_all(
        self, device: str, unit: int, questions: Iterable[tuple[bytes, int]], timeout_s: float, until: float
    ) -> tuple[list[tuple[int, bytes]], asyncio.Future[bytes]]:
        """Ask several questions (each with the bytes of its reply), one after the other, without waking the asker.

        Returns a list to which each reply is added, as (monotonic µs, data), and a future that is done when all are
        in or no time is left: each question has `timeout_s`, and none is asked past `until`. The future raises as that
        of `ask` what is wrong with the first that fails; those behind it are not asked.
        """
        first, *then = questions
        waiting = self.ask(device, unit, *first, min(until, self.time() + timeout_s))
        self._then.extend(then)
        self._timeout_s, self._until = timeout_s, until
        return self._answers, waiting

    def _send(self, question: bytes, reply_bytes: int, deadline: float) -> None:
        assert self._transport is not None
        transaction = (self._transaction + 1) & 0xFFFF
        while transaction in self._abandoned:
            transaction = (transaction + 1) & 0xFFFF
        self._transaction = transaction
        self._function, self._reply_bytes, self._deadline = question[0], reply_bytes, deadline
        self._transport.write(ENVELOPE.pack(transaction, 0, QUESTION_LENGTH, self._unit) + question)
        # One timer serves many questions: a reply leaves it armed, and it finds out when it fires.
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._passed)
        elif self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._passed)

    def close(self, why: str = "closed") -> None:
        """Close the connection; whoever waits gets NotConnected. May be called in any state, more than once."""
        self._end_with(NotConnected(self._device, why), why)

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._why_closed:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended; a question under way fails at once instead of at its deadline."""
        why = f"{self._peer} closed the connection" if error is None else f"connection to {self._peer} lost: {error}"
        self.close(why)
        # The two must not hold each other.
        self._transport = None

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop puts what comes in: there is always room, since whole replies are taken out at once."""
        return self._view[self._end :]

    def buffer_updated(self, count: int) -> None:
        """Take all whole replies out of the buffer, and refuse wrong ones by their header already."""
        self._silent = 0
        end = self._end + count
        at = 0
        due: tuple[int, bytes] | None = None
        while end - at >= HEADER.size:
            transaction, protocol, length, unit, function = HEADER.unpack_from(self._buffer, at)
            if protocol or not LENGTH_MIN <= length <= LENGTH_MAX:
                self._refuse(f"no Modbus TCP header: protocol {protocol}, length {length}")
                return
            whole = end - at >= BEFORE_LENGTH_BYTES + length
            if due is None and self._is_due(transaction):
                if not self._fits(length, unit, function):
                    return
                if whole:
                    due = function, bytes(self._view[at + HEADER.size : at + BEFORE_LENGTH_BYTES + length])
            elif not self._late(transaction, length):
                return
            elif whole:
                self._abandoned.pop(transaction, None)
            if not whole:
                break
            at += BEFORE_LENGTH_BYTES + length
        if due is not None:
            # What follows it was looked at first: bytes that nobody asked for say that these may be none of its own.
            if at < end and not self._begins_late(at, end):
                return
            self._take(*due)
        if at < end and at:
            self._buffer[: end - at] = self._buffer[at:end]
        self._end = end - at

    def _is_due(self, transaction: int) -> bool:
        """Whether a reply of this transaction is waited for."""
        return self._waiting is not None and transaction == self._transaction and not self._waiting.done()

    def _fits(self, length: int, unit: int, function: int) -> bool:
        """Whether a header can be that of the reply we wait for; if not, the connection is closed."""
        if unit != self._unit:
            return self._refuse(f"a reply of unit {unit} to a question to unit {self._unit}")
        expected = EXCEPTION_LENGTH
        if function == self._function:
            expected += self._reply_bytes
        elif function != self._function | EXCEPTION_FLAG:
            return self._refuse(f"a reply of function {function} to a question of function {self._function}")
        if length != expected:
            return self._refuse(f"a reply of length {length} where {expected} was due")
        return True

    def _late(self, transaction: int, length: int) -> bool:
        """Whether a reply belongs to a question that was given up; if not, the connection is closed."""
        if self._waiting is not None and self._waiting.done() and transaction == self._transaction:
            # Its asker was cancelled in the meantime.
            self._abandon()
            if self._why_closed:
                return False
        due = self._abandoned.get(transaction)
        if due is not None and length in (due, EXCEPTION_LENGTH):
            return True
        return self._refuse(f"a reply of transaction {transaction}, which nobody waits for")

    def _begins_late(self, at: int, end: int) -> bool:
        """Whether what follows the due reply can be the beginning of a late one; if not, the connection is closed."""
        begin = bytes(self._view[at : min(end, at + TRANSACTION_BYTES)])
        if any(number.to_bytes(TRANSACTION_BYTES, "big").startswith(begin) for number in self._abandoned):
            return True
        return self._refuse(f"{end - at} bytes behind a reply, which nobody waits for")

    def _take(self, function: int, data: bytes) -> None:
        """Hand over a reply whose header fits."""
        waiting = self._waiting
        assert waiting is not None
        if function != self._function:
            self._waiting = None
            code = data[0]
            name = EXCEPTIONS.get(code, "unknown")
            waiting.set_exception(Refused(self._device, f"exception {code}, {name}", code))
        elif data[0] != self._reply_bytes:
            self._refuse(f"a byte count of {data[0]} where {self._reply_bytes} was due")
        else:
            self.mono_us = self._clock.mono_us()
            self._answers.append((self.mono_us, data[1:]))
            if self._then and (now := self.time()) < self._until:
                self._send(*self._then.popleft(), min(self._until, now + self._timeout_s))
            else:
                self._waiting = None
                waiting.set_result(data[1:])

    def _refuse(self, what: str) -> bool:
        """End the connection over a reply that is wrong: what follows it can't be trusted either."""
        self._end_with(InvalidReply(self._device, what), f"closed after {what}")
        return False

    def _abandon(self) -> None:
        """Forget the question under way, but not its number."""
        self._waiting = None
        self._abandoned[self._transaction] = EXCEPTION_LENGTH + self._reply_bytes
        if len(self._abandoned) > ABANDONED_MAX:
            self.close(f"{len(self._abandoned)} questions to {self._peer} were given up, and none of them answered")

    def _passed(self) -> None:
        """The timer: it fires at the deadline of some question, which may be answered by now."""
        self._timer = None
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._passed)
            return
        self._silent += 1
        if self._end:
            self._end_with(NoAnswer(self._device, "a reply broke off in the middle"), "closed over half a reply")
        elif self._silent >= SILENT_MAX:
            self.close(f"{self._peer} sent nothing for {self._silent} questions")
        else:
            self._abandon()
            waiting.set_exception(NoAnswer(self._device, f"unit {self._unit} did not answer in time"))

    def _end_with(self, error: DriverError, why: str) -> None:
        """Closed, for good."""
        if not self._why_closed:
            self._why_closed = why
            if self._transport is not None:
                self._transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(error)
