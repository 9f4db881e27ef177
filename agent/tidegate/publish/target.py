"""Target: one place that readings are published to, as one task that comes and goes with its broker, for ever.

    connecting ──▶ connected ──▶ waiting (the way or the broker is not well; growing pauses) ──▶ connecting
        └────────────▶ └────────▶ parked (somebody has to act; data is kept, a knock once in a while) ──▶ connecting

It knows no device, and of the buffer only what is owed. Targets don't know each other.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.errors import BufferFault, NoSession, PublishError, TargetRefused, TidegateError
from tidegate.model.progress import Progress
from tidegate.publish.brokers import Brokers, FirstIsBack
from tidegate.publish.connector import Connector
from tidegate.publish.context import Context, Counts
from tidegate.publish.delivery import Delivery
from tidegate.publish.faults import (
    CREDENTIALS,
    GOOD_CONNECTION_S,
    RETAIN_NOT_SUPPORTED,
    TAKEN_FACTOR,
    TAKEN_PAUSE_S_MIN,
    BackOff,
    SessionTaken,
    by_the_clock,
)
from tidegate.publish.formats.tidegate_json import TidegateJson
from tidegate.publish.lanes import Tables
from tidegate.publish.rate import Rate
from tidegate.publish.settings import TargetSettings
from tidegate.publish.suspects import End, Suspects

log = logging.getLogger(__name__)

# So often in a row a target is back at once to find out which message ended its connections.
QUICK_RETURNS_MAX = 40
# Before it, nothing can be said about how fast the disk fills.
DISK_LOOK_S_MIN = 60.0
DAY_S = 86_400.0
# Connecting and every acknowledgement have deadlines that are shorter.
PATIENCE_S = 90.0


class State(StrEnum):
    """Where a target is with its broker."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One look at a target.

    `why` is the last fault ("" while all is well), `since_us` when the state began, `next_try_s` seconds until the
    next attempt (None when connected). `backlog` are frames that are owed and not acknowledged, `backlog_s` the age
    of the oldest of them, `lag_s` that of the oldest in the live run. All others count since the start of the gateway:
    `acknowledged` and `replayed` frames; `refused`, `unheard` (nobody subscribes) and `requests` messages; `spoiled`
    frames that could not be put in a message. `dead_letters` are kept frames that the broker never takes.
    """

    name: str
    url: str
    state: State
    why: str
    since_us: int
    next_try_s: float | None
    backlog: int
    backlog_s: float
    lag_s: float
    in_flight: int
    window: int
    acknowledged: int
    messages: int
    readings: int
    bytes: int
    runs: int
    requests: int
    replayed: int
    refused: int
    unheard: int
    spoiled: int
    dead_letters: int


class Target:
    """One target of a gateway. `devices` tells how many are up and down, `config` is the fingerprint of the files."""

    def __init__(
        self,
        settings: TargetSettings,
        gateway: str,
        buffer: Buffer,
        clock: Clock,
        devices: Callable[[], tuple[int, int]],
        version: str,
        config: str,
        rng: Random | None = None,
    ) -> None:
        self._settings = settings
        self._buffer = buffer
        self._clock = clock
        self._devices = devices
        self._version = version
        self.config = config
        self._rng = rng or Random()
        self._back_off = BackOff(settings.back_off_s_min, settings.back_off_s_max, self._rng)
        self._counts = Counts()
        self._format = TidegateJson(gateway, settings.name, settings.prefix)
        self._context = Context(
            settings, settings.client_id_of(gateway), buffer, clock, self._format, Connector(), Tables(buffer),
            Suspects(settings.message_bytes_max), Rate(settings.messages_s_max, settings.bytes_s_max), self._counts,
            self._said, (buffer.epoch, buffer.last),
        )  # fmt: skip
        self._delivery: Delivery | None = None
        self._state = State.WAITING
        self._why = ""
        self._since_us = clock.now_us()
        self._next_try_s: float | None = None
        self._retain = True
        self._brokers = Brokers(settings.urls, settings.return_s)
        self._password = settings.password
        self._quick_returns = 0
        self._resubmitting: asyncio.Task[None] | None = None
        self._taken_pause_s = TAKEN_PAUSE_S_MIN
        self._turns = 0
        self._first_look_us = clock.mono_us()

    @property
    def name(self) -> str:
        """As configured."""
        return self._settings.name

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._state == State.CONNECTED

    def resubmit(self) -> int:
        """Send all dead letters that are kept once more; how many there are. They are owed again before it is done."""
        letters = self._buffer.letters.kept(self._settings.name)
        if letters:
            self._resubmitting = asyncio.create_task(self._resubmit())
        return len(letters)

    async def _resubmit(self) -> None:
        try:
            owed = await self._buffer.letters.resubmit(self._settings.name)
        except BufferFault as error:
            log.error("target %s: its dead letters stay where they are: %s", self._settings.name, error)
            return
        log.warning("target %s: %d dead letters are sent again", self._settings.name, len(owed))
        if self._delivery is not None:
            self._delivery.owe(owed)

    @property
    def drained(self) -> bool:
        """Whether it makes no sense to wait for this target: nothing is left to be acknowledged, or it is not there."""
        return self._state != State.CONNECTED or self._delivery is None or self._delivery.drained

    def progress(self) -> Progress:
        """Whether what is owed is being delivered, or its broker is tried again when it was said to be."""
        if self._state in (State.CONNECTING, State.CONNECTED):
            owes = self._state == State.CONNECTING or not self.drained
        else:
            owes = self._next_try_s is not None and self._next_try_s < asyncio.get_running_loop().time()
        moved = self._turns + self._counts.messages + self._counts.acknowledged + self._counts.refused
        return Progress(f"target {self.name}", moved, owes, PATIENCE_S)

    async def run(self) -> None:
        """Serve the target until cancelled; then say goodbye to the broker."""
        if not self._permitted():
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        while True:
            self._turn(State.CONNECTING, self._why)
            delivery = Delivery(self._served(), self._retain)
            begun_s = loop.time()
            fault = await self._deliver(delivery)
            pause_s = self._after(fault, delivery, loop.time() - begun_s)
            self._next_try_s = loop.time() + pause_s
            await asyncio.sleep(pause_s)

    def status(self) -> TargetStatus:
        """How the target is now."""
        delivery, counts = self._delivery, self._counts
        backlog = self._backlog()
        loop_s = asyncio.get_running_loop().time()
        connected = self._state in (State.CONNECTED, State.CONNECTING)
        return TargetStatus(
            name=self._settings.name,
            url=self._brokers.url,
            state=self._state,
            why=self._why,
            since_us=self._since_us,
            next_try_s=None if connected or self._next_try_s is None else round(max(0, self._next_try_s - loop_s), 1),
            backlog=backlog,
            backlog_s=round(self._backlog_s(backlog), 3),
            lag_s=round(delivery.live_lag_s, 3) if delivery is not None else 0.0,
            in_flight=len(delivery.window) if delivery is not None else 0,
            window=delivery.window.limit if delivery is not None else 0,
            acknowledged=counts.acknowledged,
            messages=counts.messages,
            readings=counts.readings,
            bytes=counts.bytes,
            runs=counts.runs,
            requests=counts.requests,
            replayed=counts.replayed,
            refused=counts.refused,
            unheard=counts.unheard,
            spoiled=counts.spoiled,
            dead_letters=len(self._buffer.letters.kept(self._settings.name)),
        )

    def _permitted(self) -> bool:
        """Whether the target may be used as it is configured; parks it when not."""
        settings = self._settings
        try:
            exposed = settings.exposed
        except ValueError as error:
            self._turn(State.PARKED, str(error))
            log.error("target %s is not used: %s", settings.name, error)
            return False
        if exposed and not settings.insecure:
            self._turn(State.PARKED, "plain mqtt beyond this box needs insecure = true; better use mqtts://")
            log.error("target %s is not used: %s is %s", settings.name, settings.url, self._why)
            return False
        if exposed:
            log.warning(
                "target %s: readings and password go to %s in the clear, as insecure = true allows",
                settings.name, settings.url,
            )  # fmt: skip
        if settings.mqtt != "5":
            log.warning(
                "target %s speaks MQTT %s: such a broker acknowledges also what it drops (a denied topic, a full "
                "queue), so that only the subscriber's proof shows what arrived",
                settings.name, settings.mqtt,
            )  # fmt: skip
        return True

    def _served(self) -> Context:
        """What the next connection works with: the broker whose turn it is, and the password as it is now."""
        settings = replace(self._settings, url=self._brokers.url, password=self._password)
        return replace(self._context, settings=settings)

    async def _deliver(self, delivery: Delivery) -> PublishError:
        """Connect and deliver until there is a fault."""
        self._delivery = delivery
        looking: asyncio.Task[None] | None = None
        try:
            await delivery.connect()
            log.info("target %s: connected to %s", self._settings.name, self._brokers.url)
            self._turn(State.CONNECTED, "")
            if not self._brokers.first:
                looking = asyncio.create_task(self._look_for_first(delivery))
            await delivery.run()
        except FirstIsBack as fault:
            delivery.outcomes.fault = None
            await delivery.leave()
            return fault
        except PublishError as fault:
            return by_the_clock(fault, self._clock)
        except asyncio.CancelledError:
            await delivery.leave()
            raise
        except TidegateError as error:
            return PublishError(str(error))
        except Exception as error:
            # A fault that we don't know must stop neither the gateway nor, for good, this target.
            log.exception("target %s: unexpected", self._settings.name)
            return PublishError(f"unexpected: {error!r}")
        finally:
            if looking is not None:
                looking.cancel()
            delivery.close()
            self._delivery = None
        return PublishError("the delivery ended")

    async def _look_for_first(self, delivery: Delivery) -> None:
        """While a fallback serves us: end that once the first broker can be reached again."""
        connector = Connector()
        while True:
            await asyncio.sleep(self._brokers.return_s * self._rng.uniform(0.9, 1.1))
            with contextlib.suppress(NoSession):
                await connector.reach(self._settings, self._settings.connect_deadline_s)
                delivery.end(FirstIsBack(f"{self._settings.url} can be reached again"))
                return

    def _after(self, fault: PublishError, delivery: Delivery, lived_s: float) -> float:
        """What a fault means for the next connection; how long to wait for it, in seconds."""
        connected = self._state == State.CONNECTED
        if isinstance(fault, FirstIsBack):
            self._brokers.returning()
            log.info("target %s: %s", self._settings.name, fault)
            self._turn(State.WAITING, "")
            return 0.0
        good = connected and lived_s >= GOOD_CONNECTION_S
        if good:
            self._back_off.reset()
            self._brokers.served()
        if lived_s >= TAKEN_PAUSE_S_MIN:
            self._taken_pause_s = TAKEN_PAUSE_S_MIN
        suspects = self._context.suspects
        now_s = asyncio.get_running_loop().time()
        end = End(fault, connected, lived_s, now_s, tuple(delivery.window), delivery.outcomes.culprit)
        quick = self._one_message(suspects.ended(end), lived_s)
        if isinstance(fault, TargetRefused) and fault.code == RETAIN_NOT_SUPPORTED and self._retain:
            self._retain = False
            quick = True
        parked = isinstance(fault, TargetRefused) or suspects.systemic
        if suspects.systemic:
            # All of it is kept, and tried again from the start.
            suspects.forget()
        if not connected and isinstance(fault, TargetRefused) and fault.code in CREDENTIALS and self._renewed():
            return self._told(fault, State.WAITING, self._settings.back_off_s_min)
        if quick:
            return self._told(fault, State.WAITING, self._settings.back_off_s_min * self._rng.uniform(0.5, 1.0))
        if not good:
            all_tried, parked = self._brokers.failed(parked)
            if not all_tried:
                return self._told(fault, State.WAITING, self._settings.back_off_s_min * self._rng.uniform(0.5, 1.0))
        if parked:
            return self._told(fault, State.PARKED, self._settings.parked_probe_s * self._rng.uniform(0.9, 1.1))
        return self._told(fault, State.WAITING, self._pause_s(fault))

    def _one_message(self, its: bool, lived_s: float) -> bool:
        """Whether to be back at once: it was one message's doing, and we did not come back so too often."""
        self._quick_returns = self._quick_returns + 1 if its and lived_s < GOOD_CONNECTION_S else 0
        return its and self._quick_returns <= QUICK_RETURNS_MAX

    def _renewed(self) -> bool:
        """Whether the password has changed where it is kept; then it is worth another try at once."""
        before = self._password
        self._password = before.renewed() if before is not None else None
        return self._password != before

    def _pause_s(self, fault: PublishError) -> float:
        if not isinstance(fault, SessionTaken):
            return self._back_off.pause_s()
        pause_s = min(self._taken_pause_s, self._settings.parked_probe_s)
        self._taken_pause_s = pause_s * TAKEN_FACTOR
        return pause_s * self._rng.uniform(0.5, 1.0)

    def _told(self, fault: PublishError, state: State, pause_s: float) -> float:
        why = str(fault)
        if why != self._why or self._state == State.CONNECTED:
            level = logging.ERROR if isinstance(fault, (SessionTaken, TargetRefused)) else logging.WARNING
            log.log(level, "target %s: %s; data is kept, next try in %.1f s", self._settings.name, why, pause_s)
        self._turn(state, why)
        return pause_s

    def _turn(self, state: State, why: str) -> None:
        self._turns += 1
        if state != self._state:
            self._state, self._since_us = state, self._clock.now_us()
        self._why = why

    def _backlog(self) -> int:
        """Frames that are owed and not acknowledged."""
        owed = 0
        for extent in self._buffer.extents():
            first = max(extent.first, self._buffer.since(self._settings.name, extent.epoch))
            cursor = self._buffer.cursor(self._settings.name, extent.epoch)
            owed += cursor.holes(first, extent.last).total
        return owed

    def _backlog_s(self, backlog: int) -> float:
        """How old the oldest of so many owed frames is; the buffer knows it for the slowest target."""
        oldest_us = self._buffer.status().oldest_us
        return max(0.0, (self._clock.now_us() - oldest_us) / 1e6) if backlog and oldest_us is not None else 0.0

    def _disk_days(self) -> float | None:
        """How many days of readings like those since the start fit the buffer; None when it is too early to tell."""
        status = self._buffer.status()
        look_s = (self._clock.mono_us() - self._first_look_us) / 1e6
        kept = sum(extent.last - extent.first + 1 for extent in self._buffer.extents())
        if look_s < DISK_LOOK_S_MIN or not status.frames or kept <= 0 or not status.bytes_used:
            return None
        bytes_s = status.bytes_used / kept * status.frames / look_s
        return status.quota_bytes / bytes_s / DAY_S

    def _said(self, online: bool) -> bytes:
        """The status message, or the will."""
        state = self._clock.trust
        if not online:
            return self._format.status(False, self._version, self.config, state)
        backlog_s = self._backlog_s(self._backlog())
        return self._format.status(
            True, self._version, self.config, state, backlog_s, self._disk_days(), self._devices()
        )
