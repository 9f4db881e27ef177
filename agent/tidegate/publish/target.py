"""Target: one place that readings are published to, as one task that comes and goes with its broker, for ever.

    connecting ──▶ connected ──▶ waiting (the way or the broker is not well; growing pauses) ──▶ connecting
        └────────────▶ └────────▶ parked (somebody has to act; data is kept, a knock once in a while) ──▶ connecting

It knows no device, and of the buffer only what is owed. Targets don't know each other.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.errors import PublishError, TargetRefused, TidegateError
from tidegate.model.progress import Progress
from tidegate.publish.context import Context, Counts
from tidegate.publish.delivery import Delivery
from tidegate.publish.faults import (
    GOOD_CONNECTION_S,
    RETAIN_NOT_SUPPORTED,
    TAKEN_PAUSE_S_MIN,
    BackOff,
    SessionTaken,
    TooLarge,
)
from tidegate.publish.formats.tidegate_json import TidegateJson
from tidegate.publish.lanes import Tables
from tidegate.publish.session import Connector
from tidegate.publish.settings import TargetSettings

log = logging.getLogger(__name__)

# Messages get no smaller than this, whatever a broker dislikes.
MESSAGE_BYTES_MIN = 4_096
# An MQTT 3.1.1 broker ends the connection without a word when a packet is too large. So often in a row, so soon, each
# time with a message of some size in flight, and we take it for that; after a connection of some length we forget it.
SILENT_ENDS_MAX = 3
SILENT_END_S_MAX = 10.0
LEARNED_S_MAX = 600.0
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
    frames that could not be put in a message.
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
        self._config = config
        self._rng = rng or Random()
        self._back_off = BackOff(settings.back_off_s_min, settings.back_off_s_max, self._rng)
        self._counts = Counts()
        self._format = TidegateJson(gateway, settings.name, settings.prefix)
        self._context = Context(
            settings, settings.client_id_of(gateway), buffer, clock, self._format, Connector(), Tables(buffer),
            self._counts, self._said, (buffer.epoch, buffer.last),
        )  # fmt: skip
        self._delivery: Delivery | None = None
        self._state = State.WAITING
        self._why = ""
        self._since_us = clock.now_us()
        self._next_try_s: float | None = None
        self._message_bytes_max = settings.message_bytes_max
        self._retain = True
        self._silent_ends = 0
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
        counts = self._counts
        moved = self._turns + counts.messages + counts.acknowledged + counts.refused
        return Progress(f"target {self.name}", moved, owes, PATIENCE_S)

    async def run(self) -> None:
        """Serve the target until cancelled; then say goodbye to the broker."""
        if not self._permitted():
            await asyncio.Event().wait()
        loop = asyncio.get_running_loop()
        while True:
            self._turn(State.CONNECTING, self._why)
            delivery = Delivery(self._context, self._message_bytes_max, self._retain)
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
            url=self._settings.url,
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

    async def _deliver(self, delivery: Delivery) -> PublishError:
        """Connect and deliver until there is a fault."""
        self._delivery = delivery
        try:
            await delivery.connect()
            log.info("target %s: connected to %s", self._settings.name, self._settings.url)
            self._turn(State.CONNECTED, "")
            await delivery.run()
        except PublishError as fault:
            return fault
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
            delivery.close()
            self._delivery = None
        return PublishError("the delivery ended")

    def _after(self, fault: PublishError, delivery: Delivery, lived_s: float) -> float:
        """What a fault means for the next connection; how long to wait for it, in seconds."""
        why, connected = str(fault), self._state == State.CONNECTED
        if connected and lived_s >= GOOD_CONNECTION_S:
            self._back_off.reset()
        suspect_bytes = delivery.window.largest_bytes
        if lived_s >= LEARNED_S_MAX:
            self._message_bytes_max = self._settings.message_bytes_max
        if lived_s >= SILENT_END_S_MAX:
            self._silent_ends = 0
        elif connected and suspect_bytes > MESSAGE_BYTES_MIN:
            self._silent_ends += 1
        parked = isinstance(fault, TargetRefused)
        if isinstance(fault, TargetRefused) and fault.code == RETAIN_NOT_SUPPORTED and self._retain:
            self._retain = parked = False
        elif isinstance(fault, TooLarge) or self._silent_ends >= SILENT_ENDS_MAX:
            self._silent_ends = 0
            parked = self._message_bytes_max <= MESSAGE_BYTES_MIN and isinstance(fault, TooLarge)
            too_large = min(self._message_bytes_max, suspect_bytes or self._message_bytes_max)
            self._message_bytes_max = max(too_large // 2, MESSAGE_BYTES_MIN)
            log.warning("target %s: messages have at most %d bytes now", self._settings.name, self._message_bytes_max)
        if parked:
            pause_s = self._settings.parked_probe_s * self._rng.uniform(0.9, 1.1)
        else:
            pause_s = self._back_off.pause_s(TAKEN_PAUSE_S_MIN if isinstance(fault, SessionTaken) else 0.0)
        if why != self._why or connected:
            log.warning("target %s: %s; data is kept, next try in %.1f s", self._settings.name, why, pause_s)
        self._turn(State.PARKED if parked else State.WAITING, why)
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
        state = self._clock.state
        if not online:
            return self._format.status(False, self._version, self._config, state)
        backlog_s = self._backlog_s(self._backlog())
        return self._format.status(
            True, self._version, self._config, state, backlog_s, self._disk_days(), self._devices()
        )
