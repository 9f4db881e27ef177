"""One line of units: questions, the replies found among whatever comes, silences. It knows no tags, ports and framings.

    unit u8 | function u8 | address u16 | count u16                            a question; around it: framing.py

Sources: MODBUS over Serial Line V1.02 §2.4.1 and §2.5.1, Modbus Application Protocol V1.1b3 §6 and §7.

    idle ──ask──▶ pausing ──line was silent──▶ asked ──the reply, or what is left of it──▶ idle
                                                 └── deadline ──▶ quiet, until the late reply can have passed ──▶ idle

A frame is the reply when unit, function, byte count and checksum are right, wherever it lies among the bytes that came.
Nothing else is ever taken, and nothing else closes a line: noise is part of it.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import cast

from tidegate.clock import Clock
from tidegate.errors import NoAnswer, NotConnected, Refused
from tidegate_drivers.modbus.abandoned import Abandoned
from tidegate_drivers.modbus.delays import Delays
from tidegate_drivers.modbus.framing import Found
from tidegate_drivers.modbus.line import REPLY_BYTES_MAX, Line
from tidegate_drivers.modbus.link import EXCEPTION_FLAG, EXCEPTIONS, OPEN, SILENT_MAX, Question, Reply

HEAD_BYTES = 3
# Noise in front of a reply, and the reply: what is older is dropped.
HEARD_BYTES_MAX = 1024
# After a silent unit: as long again as it had, but no longer than this and the reply itself.
QUIET_S_MAX = 0.5
# The asker learns of the silence this much after its deadline at the latest; the next question waits for the rest.
TELL_S_MAX = 0.6
# After the answer to another question, a read goes on when that took no longer. Its deadline is put off by as much.
CATCH_UP_S_MAX = 0.25
# A port was silent so long, and the usual time of a reply is over: what came was the reply, and is spoiled.
SPOILED_S = 0.05
# Functions whose right reply has the form of the request.
ALIKE = frozenset({5, 6})
# A line that is never silent is spoken into after so long.
BABBLE_S_MAX = 0.1


class State(Enum):
    """What a line does; see the module."""

    IDLE = auto()
    PAUSING = auto()
    ASKED = auto()
    QUIET = auto()


class LineLink(asyncio.Protocol):
    """One line, with at most one asker, and one question under way. After `closed` it is never used again.

    `gives_up` says whether several silent questions in a row mean that the connection is dead: on TCP, not on a port.
    """

    def __init__(
        self, clock: Clock, peer: str, line: Line, abandoned: Abandoned, gives_up: bool, delays: Delays | None = None
    ) -> None:
        self._clock = clock
        self._peer = peer
        self._line = line
        self._framing = line.framing
        self._abandoned = abandoned
        self._delays = delays or Delays()
        self._silent_max = SILENT_MAX if gives_up else 0
        self._loop = asyncio.get_running_loop()
        # The clock of `ask`'s deadlines, in seconds.
        self.time: Callable[[], float] = self._loop.time
        self.mono_us = 0
        self._transport: asyncio.Transport | None = None
        self._why_closed = ""
        self._state = State.IDLE
        self._waiting: asyncio.Future[bytes] | None = None
        self._device, self._unit = "", 0
        self._questions: Sequence[Question] = ()
        self._replies: list[Reply] = []
        self._next = 0
        # The question under way, or the last one, its unit, its frame, and the echo if it is still to come.
        self._asked, self._of = Question(bytes(5), 0), 0
        self._sent = self._echo = b""
        self._heard = b""
        self._timeout_s = self._until = self._sent_at = 0.0
        # From when on the line is free; from when on it is used even if it is not silent; when silence is told.
        self._free_at = self._use_at = self._tell_at = 0.0
        # When the question under way is given up: at its deadline, or earlier when what came was its spoiled reply.
        self._deadline = self._spoiled_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._armed_at = 0.0
        self._silent = 0
        self._what = ""

    @property
    def between(self) -> bool:
        """Whether nothing of a reply has come."""
        return self._state is not State.ASKED or not self._heard

    @property
    def closed(self) -> bool:
        """Whether it has ended, by the other side or by us."""
        return bool(self._why_closed)

    def ask(self, device: str, unit: int, question: bytes, reply_bytes: int, deadline: float) -> asyncio.Future[bytes]:
        """Send a question and return a future of the reply's data bytes; see Link.ask."""
        return self.ask_all(device, unit, (Question(question, reply_bytes),), math.inf, deadline)[1]

    def ask_all(
        self, device: str, unit: int, questions: Sequence[Question], timeout_s: float, until: float, at_once: int = 1
    ) -> tuple[list[Reply], asyncio.Future[bytes]]:
        """Ask several questions, one after the other; see Link.ask_all. A pause of the line does not count as silence.

        The future raises NotConnected, NoAnswer or Refused.
        """
        waiting: asyncio.Future[bytes] = self._loop.create_future()
        if self._waiting is not None:
            if not self._waiting.done():
                raise RuntimeError("a line has one asker at a time")
            self._give_up(self.time())
        self._questions, self._replies, self._next = questions, [None] * len(questions), 0
        if self._why_closed or self._transport is None:
            waiting.set_exception(NotConnected(device, self._why_closed or "not connected yet"))
            return self._replies, waiting
        self._waiting = waiting
        self._device, self._unit = device, unit
        now = self.time()
        self._timeout_s, self._until = timeout_s, until + max(0.0, self._free_at - now)
        self._begin(now)
        return self._replies, waiting

    def close(self, why: str = "closed") -> None:
        """Close the line; whoever waits gets NotConnected. May be called in any state, more than once."""
        if not self._why_closed:
            self._why_closed = why
            if self._transport is not None:
                self._transport.abort()
        if self._state is State.ASKED:
            # A serial server may hand the late reply to the next connection.
            self._abandoned.add(self._of, self._asked, self.time())
        self._rest()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_exception(NotConnected(self._device, why))

    # What follows is called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is open."""
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        if self._why_closed:
            transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        """The line is gone; a question under way fails at once instead of at its deadline."""
        why = f"{self._peer} closed the connection" if error is None else f"{self._peer} is gone: {error}"
        self.close(why)
        # The two must not hold each other.
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Look for the reply in what has come so far."""
        now = self.time()
        self._silent = 0
        if self._state is State.ASKED and (self._waiting is None or self._waiting.done()):
            self._give_up(now)
        self._heard = (self._heard + data)[-HEARD_BYTES_MAX:]
        if self._state is not State.ASKED:
            self._unasked(now)
            return
        if self._echo:
            at = self._heard.find(self._echo)
            if at < 0:
                return
            self._heard = self._heard[at + len(self._echo) :]
            self._echo = b""
        found = self._find()
        if found is not None:
            self._take(found, now)
        elif self._heard and self._line.baud:
            self._doubt(now)

    def _doubt(self, now: float) -> None:
        """Something came that is not the reply, or not all of it. (Behind TCP, the rest may take any time.)"""
        begun_at = self._sent_at + self._travel_s(len(self._sent)) + self._delays.within_s(self._of)
        self._spoiled_at = max(now, begun_at + self._travel_s(self._reply_bytes())) + SPOILED_S
        if self._spoiled_at < self._deadline <= self._armed_at:
            self._arm(self._spoiled_at)

    def _travel_s(self, wire_bytes: int) -> float:
        return wire_bytes * self._line.byte_s

    def _reply_bytes(self) -> int:
        """How long the reply to the question under way is on the wire, at most."""
        reply_bytes = REPLY_BYTES_MAX if self._asked.reply_bytes == OPEN else HEAD_BYTES + self._asked.reply_bytes
        return self._framing.wire_bytes(reply_bytes)

    def _find(self) -> Found | None:
        """The reply to the question under way, if it is there."""
        found = self._reply_in(self._heard)
        # One coil or register is written with a reply that is the same as the request.
        alike = self._asked.pdu[0] in ALIKE and self._asked.reply_bytes == OPEN
        if found is not None and not self._line.echo and not alike:
            begin = found[0]
            if self._heard[begin : begin + len(self._sent)] == self._sent:
                # An echo that nobody told of, which has the form of a reply of three bytes.
                later = self._reply_in(self._heard[begin + 1 :])
                return None if later is None else (begin + 1 + later[0], begin + 1 + later[1], later[2])
        return found

    def _reply_in(self, heard: bytes) -> Found | None:
        """The first frame that has the form of the reply."""
        return self._framing.find(heard, self._of, self._asked.pdu[0], self._asked.reply_bytes)

    def _begin(self, now: float) -> None:
        """Ask the next question as soon as the line is free."""
        self._use_at = max(now, self._free_at) + BABBLE_S_MAX
        if now < self._free_at:
            self._state = State.PAUSING
            self._arm(self._free_at)
        else:
            self._send(now)

    def _send(self, now: float) -> None:
        """Send the next question, or what must be asked before it."""
        assert self._transport is not None
        question = self._questions[self._next]
        self._asked, self._of = self._abandoned.first(self._unit, question, now) or question, self._unit
        self._sent = self._framing.frame(bytes([self._unit]) + self._asked.pdu)
        self._echo = self._sent if self._line.echo else b""
        self._heard = b""
        self._state, self._sent_at = State.ASKED, now
        self._transport.write(self._sent)
        self._deadline, self._spoiled_at = min(self._until, now + self._timeout_s), math.inf
        self._arm(self._deadline)

    def _take(self, found: Found, now: float) -> None:
        """Take the reply that was found, and ask what is to be asked next; when nothing is, wake the asker."""
        mono_us, asked = self._clock.mono_us(), self._asked
        begin, end, body = found
        function = body[1]
        data = body[HEAD_BYTES - 1 if asked.reply_bytes == OPEN else HEAD_BYTES :]
        self._heard = self._heard[end:]
        self._state = State.IDLE
        self._free_at = now + self._line.pause_s
        self._delays.answered(self._of, max(0.0, now - self._sent_at - self._travel_s(len(self._sent) + end - begin)))
        refused: Refused | NoAnswer | None = None
        if asked is not self._questions[self._next]:
            # It answered the other question: nothing older can come.
            self._abandoned.forget(self._unit)
            took_s = now - self._sent_at
            if took_s <= CATCH_UP_S_MAX:
                # What is to be read has all its time, or a slow unit would be given up again, for ever.
                self._until += took_s
            else:
                # The next read asks it at once.
                refused = NoAnswer(self._device, f"unit {self._unit} answers again, and no time was left to ask it")
        elif function & EXCEPTION_FLAG:
            code = body[2]
            refusal = Refused(self._device, f"exception {code}, {EXCEPTIONS.get(code, 'unknown')}", code)
            self._replies[self._next] = refused = refusal
            self._next += 1
        else:
            self.mono_us = mono_us
            self._replies[self._next] = mono_us, data
            self._next += 1
        self._unasked(now)
        if self._next < len(self._questions) and refused is None and now < self._until:
            self._begin(now)
            return
        self._rest()
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        if refused is not None:
            waiting.set_exception(refused)
        else:
            waiting.set_result(data)

    def _unasked(self, now: float) -> None:
        """Bytes that nobody waits for: the line is not free yet. After a second reply the first may be a late one."""
        if not self._heard:
            return
        second = self._reply_in(self._heard) is not None
        if self._state is State.QUIET:
            # The late reply has passed; without it the silence lasts, and longer where something else is on its way.
            self._free_at = now + self._line.pause_s if second else max(self._free_at, now + self._line.pause_s)
            self._arm(min(self._free_at, self._tell_at))
        else:
            self._free_at = max(self._free_at, now + self._line.pause_s)
            if second:
                self._abandoned.add(self._of, self._asked, now)
        if second:
            self._heard = b""

    def _give_up(self, now: float) -> None:
        """The asker was cancelled: its reply may still come."""
        self._waiting = None
        if self._state is State.ASKED:
            self._abandoned.add(self._of, self._asked, now)
            self._free_at = now + self._quiet_s()
        self._heard = b""
        self._rest()

    def _quiet_s(self) -> float:
        """How long the line is left alone after a question without a reply."""
        return min(self._timeout_s, QUIET_S_MAX) + self._travel_s(self._reply_bytes()) + self._line.pause_s

    def _passed(self) -> None:
        """The timer: what comes next follows from the state."""
        self._timer = None
        now, waiting = self.time(), self._waiting
        if waiting is None or waiting.done():
            self._give_up(now)
        elif self._state is State.PAUSING:
            if now < min(self._free_at, self._use_at):
                self._arm(min(self._free_at, self._use_at))
            else:
                self._send(now)
        elif self._state is State.ASKED:
            if now < min(self._deadline, self._spoiled_at):
                self._arm(min(self._deadline, self._spoiled_at))
            elif now < self._deadline:
                self._was_spoiled(now)
            else:
                self._fell_silent(now)
        elif now < min(self._free_at, self._tell_at):
            self._arm(min(self._free_at, self._tell_at))
        else:
            self._rest()
            self._waiting = None
            waiting.set_exception(NoAnswer(self._device, self._what))

    def _was_spoiled(self, now: float) -> None:
        """What came was what is left of the reply, after others talked: the line goes on at once.

        Should the reply come all the same, it is a late one, and the unit's next is told from it as always.
        """
        self._abandoned.add(self._of, self._asked, now)
        self._delays.spoil(self._device)
        what = f"the reply of unit {self._unit} was spoiled: {len(self._heard)} bytes came that are none"
        self._heard = b""
        self._free_at = now + self._line.pause_s
        self._rest()
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        waiting.set_exception(NoAnswer(self._device, what))

    def _fell_silent(self, now: float) -> None:
        """The deadline: nothing is asked until the late reply can have passed."""
        self._silent += 1
        self._abandoned.add(self._of, self._asked, now)
        if self._silent_max and self._silent >= self._silent_max:
            self.close(f"{self._peer} sent nothing for {self._silent} questions")
            return
        self._what = f"unit {self._unit} did not answer in time"
        if self._echo:
            self._what += "; the echo of the question did not come either"
        elif self._heard:
            self._delays.spoil(self._device)
            self._what += (
                f", and {len(self._heard)} bytes came that are no reply to it: noise, other line settings, or "
            )
            self._what += "two units of one number"
        self._free_at = now + self._quiet_s()
        self._tell_at = now + TELL_S_MAX
        self._heard = b""
        self._state = State.QUIET
        self._arm(min(self._free_at, self._tell_at))

    def _rest(self) -> None:
        """Nothing is under way, and no timer runs."""
        self._state = State.IDLE
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # A loop may round the time that its timer tells.
        self._armed_at = at
        self._timer = self._loop.call_at(at, self._passed)
