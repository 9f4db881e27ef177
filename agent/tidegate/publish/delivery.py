"""Delivery: the work of one connection. Which message goes next, and what its acknowledgement or refusal means.

    connect ──▶ introduce ──▶ start ──▶ hand over: notices, live, else replay and backlog in turn ──▶ fault
                (status, retained       ▲                                                    │
                 head of ours?)         └──────────── PUBACK, commit, request, time ◀────────┘

It never comes back after a fault: all here is new with every connection, and the buffer knows what is owed.
"""

import asyncio
import contextlib
import logging

from tidegate.errors import BufferFault, NoSession, PublishError, TargetRefused
from tidegate.publish.connector import Will
from tidegate.publish.context import Context
from tidegate.publish.faults import Lost
from tidegate.publish.feed import Batch
from tidegate.publish.formats.tidegate_json import Answer, Lane, last_of_head, parse_request
from tidegate.publish.junction import Junction
from tidegate.publish.lanes import Span
from tidegate.publish.notices import Notices
from tidegate.publish.outcomes import Outcomes
from tidegate.publish.session import Session
from tidegate.publish.suspects import MESSAGE_BYTES_MIN
from tidegate.publish.window import Pace, Sent, Window

log = logging.getLogger(__name__)

TICK_S = 1.0
# How many windows of messages a crash may send twice (formats §2), and how often to look whether the disk is done.
WINDOWS_TWICE_MAX = 2
STORE_LOOK_S = 0.01
LAST_WORDS_S = 1.0
# Some brokers (mosquitto 2.0) refuse a message and then hang up, both at once.
DENIED_S_MAX = 0.2
# Fixed header, topic length, packet identifier, and the properties that go with every message.
PACKET_BYTES_EXTRA = 64
# Below it not even a single reading would be sure to fit.
PIECE_BYTES_MIN = 512


class Delivery:
    """One connection of a target, from connecting to its fault.

    `retain` and the context's suspects are what earlier connections learned about the broker; what this one says in
    CONNACK counts beside them.
    """

    def __init__(self, context: Context, retain: bool) -> None:
        self._context = context
        self._suspects = context.suspects
        self._settings = context.settings
        self._buffer = context.buffer
        self._format = context.format
        self._counts = context.counts
        self._message_bytes_max = context.suspects.message_bytes_max
        self._packet_bytes_max = 0
        self._retain = retain
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self.outcomes = Outcomes(context, self._again)
        self._session: Session | None = None
        self._notices = Notices(context)
        # There is none before the broker knows us, and no data may go.
        self._junction: Junction | None = None
        self._held: Batch | None = None
        self._elsewhere = 0
        self._tick_at_s = self._loop.time()

    async def connect(self) -> None:
        """Open the session. Raises PublishError."""
        self._session = session = await Session.open(
            self._context.connector,
            self._settings,
            self._context.client_id,
            Will(self._format.topic("status"), self._context.status(False), self._retain),
            self.outcomes.acknowledged,
            self._received,
            self._wake.set,
        )
        self._packet_bytes_max = session.limits.packet_bytes_max - PACKET_BYTES_EXTRA
        if self._message_bytes_max < self._settings.message_bytes_max:
            # Learned the hard way, so it holds for tables as well.
            self._packet_bytes_max = min(self._packet_bytes_max, self._message_bytes_max)
        if self._settings.bytes_s_max is not None:
            # A longer one would hold up live data for more than a second.
            slow = max(self._settings.bytes_s_max, MESSAGE_BYTES_MIN)
            self._message_bytes_max = min(self._message_bytes_max, slow)
        room = self._packet_bytes_max - len(self._format.topic(Lane.BACKLOG).encode())
        self._message_bytes_max = min(self._message_bytes_max, room)
        if self._piece_bytes_max < PIECE_BYTES_MIN:
            raise TargetRefused(f"{self._settings.url} takes packets of {session.limits.packet_bytes_max} bytes", 0x95)
        outcomes = self.outcomes
        outcomes.window_max = min(self._settings.window, session.limits.receive_max)
        outcomes.window = Window(1 if self._suspects.careful else outcomes.window_max)
        outcomes.pace = Pace(outcomes.window_max * self._message_bytes_max)

    async def run(self) -> None:
        """Deliver until there is a fault, and raise it: PublishError."""
        await self._introduce()
        outcomes = self.outcomes
        self._junction = Junction(self._context, outcomes.window, outcomes.pace, self._piece_bytes_max, self._wake.set)
        self._notices.say_head(self._loop.time())
        while True:
            self._wake.clear()
            self._raise_fault()
            self._tick()
            await self._hand_over_all()
            await self._rest()

    async def leave(self) -> None:
        """Say offline and goodbye; when there is no room for that, the broker says it with our will."""
        session = self._session
        if session is None or session.fault is not None:
            return
        if self._junction is not None:
            # Before that, it could be laid over a retained head that we have yet to look at.
            self._notices.say_head(self._loop.time())
        self._notices.say_status(False, self._loop.time())
        # Hanging up with acknowledgements still on their way to us looks like a lost connection to the broker.
        with contextlib.suppress(TimeoutError, PublishError):
            async with asyncio.timeout(LAST_WORDS_S):
                while len(self._notices) or len(self.window):
                    self._wake.clear()
                    self._raise_fault()
                    if self.window.free <= 0 or not self._hand_over_notice():
                        await self._wake.wait()
                await session.leave()

    def close(self) -> None:
        """Let go of everything, whatever state it is in."""
        if self._junction is not None:
            self._junction.close()
        if self._session is not None:
            self._session.drop()

    @property
    def window(self) -> Window:
        """What is in flight."""
        return self.outcomes.window

    @property
    def drained(self) -> bool:
        """Whether everything committed so far is acknowledged."""
        junction = self._junction
        return junction is not None and self._held is None and junction.drained and not self.window.data

    @property
    def live_lag_s(self) -> float:
        """How long ago the oldest frame of the live run was committed that is not yet acknowledged; 0 when none is."""
        oldest_s = self._oldest_live_s
        return self._loop.time() - oldest_s if oldest_s is not None else 0.0

    @property
    def _piece_bytes_max(self) -> int:
        return self._message_bytes_max - self._format.envelope_bytes

    async def _introduce(self) -> None:
        """Say that we are there; and was our numbering seen here before, further on than we are?

        Then it was us, before this disk was put back to an older state, and new readings would be taken for old ones.
        "Than we are" means when this broker was last asked, or at the start after that: what is committed until it is
        there must not hide it, not even when we are started again meanwhile, and what we said since is no sign of it. A
        retained head comes before the acknowledgement of what was published after subscribing to it.
        """
        session = self._opened()
        session.subscribe(self._format.topic("head"))
        session.subscribe(self._format.topic("request"))
        self._notices.say_status(True, self._loop.time())
        while not self.outcomes.introduced:
            self._wake.clear()
            self._raise_fault()
            self._tick()
            if self.window.free > 0:
                self._hand_over_notice()
            await self._rest()
        session.unsubscribe(self._format.topic("head"))
        if self._counts.introduced:
            return
        (epoch, first), name = self._context.unasked, self._settings.name
        if self._elsewhere >= first and epoch == self._buffer.epoch:
            reason = f"target {name} has a head of {self._elsewhere}, we started at {first - 1}"
            log.error("%s: this buffer is older than what it sent (a restored image?); a new epoch begins", reason)
            await self._buffer.renumber(reason, first)
        self._counts.introduced = True
        try:
            # Before our own head is there, or the next start would take it for another's.
            await self._buffer.asked(name)
        except BufferFault as error:
            log.error("target %s: %s", name, error)

    def end(self, fault: PublishError) -> None:
        """End it for a reason that lies outside."""
        self.outcomes.fault = self.outcomes.fault or fault
        self._wake.set()

    def look(self) -> None:
        """There may be something new to be sent."""
        self._wake.set()

    def owe(self, spans: list[Span]) -> None:
        """These numbers have to be sent, again or after all."""
        if self._junction is not None:
            self._junction.owe(spans)

    def _again(self, spans: list[Span], live: bool) -> None:
        """What the broker refused, and what went with it where it was live data, is the backlog's now."""
        self.owe(spans)
        if live and self._junction is not None:
            self._junction.end_live()

    def _received(self, topic: str, payload: bytes, retained: bool) -> None:
        if topic == self._format.topic("head") and retained:
            self._elsewhere = max(self._elsewhere, last_of_head(payload, self._context.unasked[0]))
        # A retained request is from another time.
        if topic != self._format.topic("request") or retained or self._junction is None:
            return
        self._counts.requests += 1
        try:
            refused = self._junction.ask(parse_request(payload))
        except ValueError as error:
            log.warning("target %s: a request can't be read: %s", self._settings.name, error)
            return
        if refused is not None:
            self._notices.say_answer(refused)

    def _raise_fault(self) -> None:
        fault, outcomes = self.outcomes.fault or self._opened().fault, self.outcomes
        if isinstance(fault, Lost) and outcomes.denied and self._loop.time() - outcomes.denied_s < DENIED_S_MAX:
            raise NoSession(f"{self._settings.url} ended the connection: {outcomes.denied}")
        if fault is not None:
            raise fault

    def _opened(self) -> Session:
        if self._session is None:
            raise NoSession("not connected")
        return self._session

    def _tick(self) -> None:
        """What is due by time. Raises NoSession when the broker acknowledges nothing any more."""
        now_s = self._loop.time()
        junction, oldest_s = self._junction, self._oldest_live_s
        if junction is not None and oldest_s is not None and now_s - oldest_s > self._settings.live_lag_s:
            junction.end_live()
        if now_s - self._tick_at_s < TICK_S:
            return
        self._tick_at_s = now_s
        self._opened().tick()
        handed_s = self.window.oldest_s
        if handed_s is not None and now_s - handed_s > self._settings.puback_deadline_s:
            raise NoSession(f"the broker acknowledged nothing for {now_s - handed_s:.0f} s")
        if junction is not None:
            self._notices.tick(now_s)
            junction.owe(self._suspects.trying(now_s))

    @property
    def _oldest_live_s(self) -> float | None:
        return self._junction.oldest_live_s if self._junction is not None else None

    async def _hand_over_all(self) -> None:
        """Hand over messages as long as the window has room for them."""
        while self.window.free > 0 and self._context.rate.due_s <= self._loop.time():
            if self._hand_over_notice():
                continue
            if not self._stored_enough():
                return
            batch, self._held = self._held or await self._next(), None
            if batch is None:
                if len(self._notices):
                    continue
                return
            if self._notices.say_tables(batch.tables):
                # The tables go first.
                self._held = batch
                continue
            self._hand_over(batch)
            # Encoding a large message takes milliseconds: the polls have their turn in between.
            await asyncio.sleep(0)
            self._raise_fault()

    def _stored_enough(self) -> bool:
        """Whether a crash now would send less than two windows twice: what is in flight, and what is acknowledged but
        not stored yet. A slow disk holds the target back so, and nothing else: not what a connection before this one
        left to be stored some time, and not a window that is smaller for a while.
        """
        unstored = self._buffer.unstored(self._settings.name)
        return self.window.data + unstored < WINDOWS_TWICE_MAX * self._settings.window

    async def _next(self) -> Batch | None:
        """The next data message; an answer that is due becomes a notice."""
        found = await self._junction.next() if self._junction is not None else None
        if isinstance(found, Answer):
            self._notices.say_answer(found)
            return None
        return found

    def _hand_over_notice(self) -> bool:
        """Hand over the next message that is not data; whether there was one."""
        notice = self._notices.take(self._packet_bytes_max)
        if notice is None:
            return False
        mid = self._opened().publish(notice.topic, notice.payload, notice.retain and self._retain)
        self._add(mid, Sent(notice.what, len(notice.payload), self._loop.time()))
        return True

    def _hand_over(self, batch: Batch) -> None:
        payload = self._format.data(
            batch.lane, batch.run, batch.epoch, batch.pieces, self._buffer.last, self._context.clock.now_us()
        )
        mid = self._opened().publish(self._format.topic(batch.lane), payload)
        sent = Sent(
            f"a message of lane {batch.lane.value}", len(payload), self._loop.time(), batch.lane, batch.run,
            batch.epoch, batch.first, batch.last, batch.since_s, batch.part,
        )  # fmt: skip
        self._add(mid, sent)
        self._counts.messages += 1
        self._counts.readings += batch.readings
        self._counts.bytes += len(payload)

    def _add(self, mid: int, sent: Sent) -> None:
        self.window.add(mid, sent)
        self._context.rate.sent(sent.size, sent.at_s)

    async def _rest(self) -> None:
        """Wait until something happened, or is due."""
        due_s = self._tick_at_s + TICK_S
        if not self._stored_enough():
            due_s = self._loop.time() + STORE_LOOK_S
        if self._context.rate.due_s > self._loop.time():
            due_s = min(due_s, self._context.rate.due_s)
        oldest_s = self._oldest_live_s
        if oldest_s is not None:
            due_s = min(due_s, oldest_s + self._settings.live_lag_s)
        # Waking a little early would be a turn for nothing.
        timer = self._loop.call_at(due_s + 0.005, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
