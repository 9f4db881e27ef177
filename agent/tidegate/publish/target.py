"""Target: one place that readings are published to, as one task that comes and goes with its broker, for ever.

    connecting ──▶ connected ──▶ waiting (the way or the broker is not well; growing pauses) ──▶ connecting
        └────────────▶ └────────▶ parked (somebody has to act; data is kept, a knock once in a while) ──▶ connecting

It knows no device, and of the buffer only what is owed. Targets don't know each other.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from random import Random

from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock
from tidegate.errors import BufferFault, NoSession, PublishError, TargetRefused, TidegateError
from tidegate.model.progress import Progress
from tidegate.publish.arrears import Arrears
from tidegate.publish.brokers import FirstIsBack
from tidegate.publish.connector import Connector
from tidegate.publish.context import Context, Counts
from tidegate.publish.credentials import fingerprint
from tidegate.publish.delivery import Delivery
from tidegate.publish.faults import CertificateTime, ClockUnset, SessionTaken, by_the_clock
from tidegate.publish.formats.tidegate_json import TidegateJson
from tidegate.publish.lanes import Tables
from tidegate.publish.orders import Orders, OrderStatus, ordered
from tidegate.publish.rate import Rate
from tidegate.publish.returning import Pause, Returning
from tidegate.publish.settings import TargetSettings
from tidegate.publish.standing import State, TargetStatus
from tidegate.publish.suspects import End, Suspects

log = logging.getLogger(__name__)

# Connecting and every acknowledgement have deadlines that are shorter.
PATIENCE_S = 90.0
# So soon a target that waits for the right time notices that it has come.
CLOCK_LOOK_S = 1.0


class Target:
    """One target of a gateway. `devices` tells how many are up and down, `config` is the fingerprint of the files.

    `runs` were begun by targets of its name before it, since the gateway started: their numbers are not used again.
    """

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
        runs: int = 0,
    ) -> None:
        self._settings = settings
        self._buffer = buffer
        self._clock = clock
        self._devices = devices
        self._version = version
        self.config = config
        self._rng = rng or Random()
        self._counts = Counts(runs)
        suspects = Suspects(settings.message_bytes_max)
        self._returning = Returning(settings, settings.client_id_of(gateway), suspects, self._rng)
        self._arrears = Arrears(settings.name, buffer, clock)
        self._format = TidegateJson(gateway, settings.name, settings.prefix)
        self._context = Context(
            settings, settings.client_id_of(gateway), buffer, clock, self._format, Connector(), Tables(buffer),
            suspects, Rate(settings.messages_s_max, settings.bytes_s_max), self._counts,
            Orders(), self._said, buffer.unasked(settings.name),
        )  # fmt: skip
        self._delivery: Delivery | None = None
        self._state = State.WAITING
        self._why = ""
        self._since_us = clock.now_us()
        self._next_try_s: float | None = None
        self._resubmitting: asyncio.Task[None] | None = None
        self._turns = 0

    @property
    def name(self) -> str:
        """As configured."""
        return self._settings.name

    @property
    def runs(self) -> int:
        """How many runs targets of its name have begun since the gateway started."""
        return self._counts.runs

    @property
    def connected(self) -> bool:
        """Whether the broker is there now."""
        return self._state == State.CONNECTED

    def outdated(self) -> bool:
        """Whether the files of its certificates hold something else than when it last connected. It reads them: not for
        the loop. Those that can't be read are no reason to leave a broker that is there.
        """
        shown = self._context.connector.shown
        try:
            return shown is not None and fingerprint(self._settings) != shown
        except OSError as error:
            log.warning("target %s goes on with the certificates that it has: %s", self._settings.name, error)
            return False

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

    async def replay(self, epoch: str = "", first: int = 1, last: int | None = None) -> OrderStatus:
        """Send kept numbers again, in the replay lane and by its rules; of the current epoch, up to its last number,
        where nothing else is said. Raises OrderRefused.
        """
        status = await ordered(self._context.orders, self._buffer, self.name, epoch or self._buffer.epoch, first, last)
        if self._delivery is not None:
            self._delivery.look()
        return status

    def replayed(self, id: str) -> OrderStatus:
        """How far such a replay is. Raises OrderRefused when it is not known."""
        return self._context.orders.status(id)

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
            context = replace(self._context, settings=self._returning.served())
            delivery = Delivery(context, self._returning.retain)
            begun_s = loop.time()
            fault = await self._deliver(delivery)
            now_s, connected = loop.time(), self._state == State.CONNECTED
            end = End(fault, connected, now_s - begun_s, now_s, tuple(delivery.window), delivery.outcomes.culprit)
            pause = self._returning.after(end)
            self._told(pause)
            self._next_try_s = loop.time() + pause.pause_s
            await self._stay_away(pause)

    async def _stay_away(self, pause: Pause) -> None:
        """Wait for the pause to end. One that is the clock's fault ends when the clock is set, or put right."""
        if not isinstance(pause.fault, (CertificateTime, ClockUnset)):
            await asyncio.sleep(pause.pause_s)
            return
        loop, clock = asyncio.get_running_loop(), self._clock
        end_s, before = loop.time() + pause.pause_s, (clock.trust, clock.steps)
        while (left_s := end_s - loop.time()) > 0 and (clock.trust, clock.steps) == before:  # noqa: ASYNC110 (a clock calls nobody)
            await asyncio.sleep(min(left_s, CLOCK_LOOK_S))

    def status(self) -> TargetStatus:
        """How the target is now."""
        delivery, counts = self._delivery, self._counts
        backlog = self._arrears.frames
        loop_s = asyncio.get_running_loop().time()
        connected = self._state in (State.CONNECTED, State.CONNECTING)
        return TargetStatus(
            name=self._settings.name,
            url=self._returning.brokers.url,
            state=self._state,
            why=self._why,
            since_us=self._since_us,
            next_try_s=None if connected or self._next_try_s is None else round(max(0, self._next_try_s - loop_s), 1),
            backlog=backlog,
            backlog_s=round(self._arrears.age_s(backlog), 3),
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

    async def _deliver(self, delivery: Delivery) -> PublishError:
        """Connect and deliver until there is a fault."""
        self._delivery = delivery
        looking: asyncio.Task[None] | None = None
        try:
            await delivery.connect()
            log.info("target %s: connected to %s", self._settings.name, self._returning.brokers.url)
            self._turn(State.CONNECTED, "")
            if not self._returning.brokers.first:
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
            await asyncio.sleep(self._returning.brokers.return_s * self._rng.uniform(0.9, 1.1))
            with contextlib.suppress(NoSession):
                await connector.reach(self._settings, self._settings.connect_deadline_s)
                delivery.end(FirstIsBack(f"{self._settings.url} can be reached again"))
                return

    def _told(self, pause: Pause) -> None:
        name, fault, why = self._settings.name, pause.fault, str(pause.fault)
        if isinstance(fault, FirstIsBack):
            log.info("target %s: %s", name, why)
            self._turn(pause.state, "")
            return
        if why != self._why or self._state == State.CONNECTED:
            level = logging.ERROR if isinstance(fault, (SessionTaken, TargetRefused)) else logging.WARNING
            log.log(level, "target %s: %s; data is kept, next try in %.1f s", name, why, pause.pause_s)
        self._turn(pause.state, why)

    def _turn(self, state: State, why: str) -> None:
        self._turns += 1
        if state != self._state:
            self._state, self._since_us = state, self._clock.now_us()
        self._why = why

    def _said(self, online: bool) -> bytes:
        """The status message, or the will."""
        state = self._clock.trust
        if not online:
            return self._format.status(False, self._version, self.config, state)
        arrears = self._arrears
        backlog_s = arrears.age_s(arrears.frames)
        return self._format.status(
            True, self._version, self.config, state, backlog_s, arrears.disk_days(), self._devices()
        )
