"""One Modbus TCP connection: questions, their strictly checked replies, deadlines. It knows no tags and never reopens.

    transaction u16 | protocol u16 = 0 | length u16 | unit u8 | function u8 | data …     all big-endian

Sources: MODBUS Messaging on TCP/IP V1.0b §3.1.3, Modbus Application Protocol V1.1b3 §6 and §7.

    idle ──ask──▶ waiting ──replies of its transactions──▶ idle
                     ├── deadline ──▶ idle, its transactions are abandoned: a late reply is dropped, never taken
                     └── any other reply, anything else behind it, or the peer closes ──▶ closed, for good

One asker at a time. It may ask several questions: one after the other, or so many at a time as the device can take.
"""

import asyncio
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from struct import Struct
from typing import NamedTuple, cast

from tidegate.clock import Clock
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate_drivers.modbus.mbap import whole

HEADER = Struct(">HHHBB")
ENVELOPE = Struct(">HHHB")
TRANSACTION_BYTES = 2
BEFORE_LENGTH_BYTES = 6
ADU_BYTES_MAX = 260
LENGTH_MIN, LENGTH_MAX = 3, ADU_BYTES_MAX - BEFORE_LENGTH_BYTES
UNIT_BYTES = 1
EXCEPTION_LENGTH = 3
EXCEPTION_FLAG = 0x80

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


# Of a question whose reply says itself how long it is; what comes of it begins behind the function.
OPEN = -1


class Question(NamedTuple):
    """A request: its PDU (function, address, count: 5 bytes), and the byte count that its reply must have, or OPEN."""

    pdu: bytes
    reply_bytes: int


# What became of a question: monotonic µs of its reply and the data in it, or its refusal. None: there is no reply.
Reply = tuple[int, bytes] | Refused | None


class Link(asyncio.BufferedProtocol):
    """One connection, with at most one asker. After `closed` it is never used again."""

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
        self._device = ""
        self._unit = 0
        # What its asker wants to know, what became of it, and by transaction the indexes of what is under way.
        self._questions: Sequence[Question] = ()
        self._replies: list[Reply] = []
        self._due: dict[int, int] = {}
        self._at_once = 1
        self._next = 0
        self._refused: Refused | None = None
        self._last = b""
        # How long the device may be silent, until when it may answer, and what follows from the two.
        self._timeout_s = self._until = self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._abandoned: dict[int, int] = {}
        self._silent = 0
        self.mono_us = 0

    @property
    def between(self) -> bool:
        """Whether nothing of a reply has come."""
        return not self._end

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
        return self.ask_all(device, unit, (Question(question, reply_bytes),), math.inf, deadline)[1]

    def ask_all(
        self, device: str, unit: int, questions: Sequence[Question], timeout_s: float, until: float, at_once: int = 1
    ) -> tuple[list[Reply], asyncio.Future[bytes]]:
        """Ask several questions, at most `at_once` at a time, and wake the asker once.

        Returns a list with what becomes of each, and a future that is done when all have their reply or no time is
        left: the device may be silent for `timeout_s`, and nothing is asked past `until`. After a refusal nothing more
        is asked, and the future raises it when the rest is in; else it gives the last data, or raises as that of `ask`.
        """
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        if self._waiting is not None:
            if not self._waiting.done():
                raise RuntimeError("a link has one asker at a time")
            self._abandon()
        self._questions, self._replies, self._at_once = questions, [None] * len(questions), at_once
        self._next, self._refused = 0, None
        if self._why_closed or self._transport is None:
            waiting.set_exception(NotConnected(device, self._why_closed or "not connected yet"))
            return self._replies, waiting
        self._waiting = waiting
        self._device, self._unit = device, unit
        self._timeout_s, self._until = timeout_s, until
        self._send(self.time())
        return self._replies, waiting

    def _send(self, now: float) -> None:
        """Ask as many questions as may be under way, in one piece."""
        asked = []
        while self._next < len(self._questions) and len(self._due) < self._at_once:
            transaction = (self._transaction + 1) & 0xFFFF
            while transaction in self._abandoned or transaction in self._due:
                transaction = (transaction + 1) & 0xFFFF
            self._transaction = transaction
            self._due[transaction] = self._next
            pdu = self._questions[self._next].pdu
            asked.append(ENVELOPE.pack(transaction, 0, UNIT_BYTES + len(pdu), self._unit) + pdu)
            self._next += 1
        assert self._transport is not None
        self._transport.write(b"".join(asked))
        self._deadline = deadline = min(self._until, now + self._timeout_s)
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
        transport = cast(asyncio.Transport, transport)
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
        """Where the loop puts what comes in: there is always room, since of whole replies one at most is left there."""
        return self._view[self._end :]

    def buffer_updated(self, count: int) -> None:
        """Take all whole replies out of the buffer, and refuse wrong ones by their header already."""
        self._silent = 0
        end = self._end + count
        waiting = self._waiting
        if waiting is not None and not waiting.done():
            read = whole(self._buffer, end, self._unit, self._due, self._questions)
            if read is not None:
                self._end = 0
                self._take_read(read)
                return
        at = before = last = 0
        taken: dict[int, tuple[int, bytes]] = {}
        dropped: set[int] = set()
        while end - at >= HEADER.size:
            transaction, protocol, length, unit, function = HEADER.unpack_from(self._buffer, at)
            if protocol or not LENGTH_MIN <= length <= LENGTH_MAX:
                self._refuse(f"no Modbus TCP header: protocol {protocol}, length {length}")
                return
            complete = end - at >= BEFORE_LENGTH_BYTES + length
            if transaction not in taken and self._is_due(transaction):
                if not self._fits(self._questions[self._due[transaction]], length, unit, function):
                    return
                if complete:
                    data = bytes(self._view[at + HEADER.size : at + BEFORE_LENGTH_BYTES + length])
                    taken[transaction] = function, data
            elif transaction in dropped:
                self._refuse(f"two late replies of transaction {transaction}")
                return
            elif not self._late(transaction, length):
                return
            elif complete:
                dropped.add(transaction)
            if not complete:
                break
            last, before = transaction, at
            at += BEFORE_LENGTH_BYTES + length
        if at and end - at < HEADER.size and at < end:
            # What follows is looked at first: bytes that nobody asked for say that those before are none of their own.
            if not self._begins_another(at, end, taken):
                return
            taken.pop(last, None)
            dropped.discard(last)
            at = before
        for transaction in dropped:
            self._abandoned.pop(transaction, None)
        if taken:
            self._take(taken)
        if at < end and at:
            self._buffer[: end - at] = self._buffer[at:end]
        self._end = end - at

    def _is_due(self, transaction: int) -> bool:
        """Whether a reply of this transaction is waited for."""
        return transaction in self._due and self._waiting is not None and not self._waiting.done()

    def _fits(self, question: Question, length: int, unit: int, function: int) -> bool:
        """Whether a header can be that of the reply to a question; if not, the connection is closed."""
        if unit != self._unit:
            return self._refuse(f"a reply of unit {unit} to a question to unit {self._unit}")
        asked, expected = question.pdu[0], EXCEPTION_LENGTH
        if function == asked:
            if question.reply_bytes == OPEN:
                return True
            expected += question.reply_bytes
        elif function != asked | EXCEPTION_FLAG:
            return self._refuse(f"a reply of function {function} to a question of function {asked}")
        if length != expected:
            return self._refuse(f"a reply of length {length} where {expected} was due")
        return True

    def _late(self, transaction: int, length: int) -> bool:
        """Whether a reply belongs to a question that was given up; if not, the connection is closed."""
        if self._waiting is not None and self._waiting.done() and transaction in self._due:
            # Its asker was cancelled in the meantime.
            self._abandon()
            if self._why_closed:
                return False
        due = self._abandoned.get(transaction)
        if due is not None and (due == OPEN or length in (due, EXCEPTION_LENGTH)):
            return True
        return self._refuse(f"a reply of transaction {transaction}, which nobody waits for")

    def _begins_another(self, at: int, end: int, taken: Collection[int]) -> bool:
        """Whether less than a header can begin another reply, due or late; if not, the connection is closed."""
        begin = bytes(self._view[at : min(end, at + TRANSACTION_BYTES)])
        others = (number for number in (*self._abandoned, *self._due) if number not in taken)
        if any(number.to_bytes(TRANSACTION_BYTES, "big").startswith(begin) for number in others):
            return True
        return self._refuse(f"{end - at} bytes behind a reply, which nobody waits for")

    def _take(self, taken: Mapping[int, tuple[int, bytes]]) -> None:
        """Take replies whose headers fit, and go on."""
        mono_us = self._clock.mono_us()
        for transaction, (function, data) in taken.items():
            index = self._due.pop(transaction)
            question = self._questions[index]
            if function != question.pdu[0]:
                name = EXCEPTIONS.get(data[0], "unknown")
                refused = Refused(self._device, f"exception {data[0]}, {name}", data[0])
                self._replies[index], self._refused = refused, self._refused or refused
            elif question.reply_bytes == OPEN:
                self.mono_us = mono_us
                self._last = data
                self._replies[index] = mono_us, data
            elif data[0] != question.reply_bytes:
                self._refuse(f"a byte count of {data[0]} where {question.reply_bytes} was due")
                return
            else:
                self.mono_us = mono_us
                self._last = data[1:]
                self._replies[index] = mono_us, self._last
        self._go_on()

    def _take_read(self, read: Mapping[int, tuple[int, bytes]]) -> None:
        """Take what was read, by transaction: the index of the question and the data."""
        mono_us = self.mono_us = self._clock.mono_us()
        replies, due = self._replies, self._due
        for transaction, (index, data) in read.items():
            del due[transaction]
            replies[index] = mono_us, data
        self._last = data
        self._go_on()

    def _go_on(self) -> None:
        """Ask what is to be asked next; when nothing is, and all that was is answered, wake the asker."""
        now = self.time()
        if self._next < len(self._questions) and self._refused is None and now < self._until:
            self._send(now)
            return
        self._deadline = min(self._until, now + self._timeout_s)
        if self._due:
            return
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        if self._refused is not None:
            waiting.set_exception(self._refused)
        else:
            waiting.set_result(self._last)

    def _refuse(self, what: str) -> bool:
        """End the connection over a reply that is wrong: what follows it can't be trusted either."""
        self._end_with(InvalidReply(self._device, what), f"closed after {what}")
        return False

    def _abandon(self) -> None:
        """Forget the questions under way, but not their numbers."""
        self._waiting = None
        for transaction, index in self._due.items():
            reply_bytes = self._questions[index].reply_bytes
            self._abandoned[transaction] = OPEN if reply_bytes == OPEN else EXCEPTION_LENGTH + reply_bytes
        self._due.clear()
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
