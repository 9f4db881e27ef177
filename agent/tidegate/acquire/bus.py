"""Bus: the one owner of one driver object. It opens and reopens it, for ever, and reads the groups whose turn it is.

It does not know when a turn is due: that is the wheel's. A turn is in one place at a time:

    wheel ──due──▶ queue ──reader──▶ driver.read ──▶ wheel (or the queue again, when its next cycle is due already)
      └─ parked, while the bus or the device is gone ─┘
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from random import Random

from tidegate.acquire.backoff import Backoff
from tidegate.acquire.counted import counted
from tidegate.acquire.driver import Driver, Sink
from tidegate.acquire.idle import Idle
from tidegate.acquire.listening import END_S_MAX, Listening, told_groups
from tidegate.acquire.losses import Losses
from tidegate.acquire.opening import Opening
from tidegate.acquire.orders import Orders
from tidegate.acquire.permission import forbidden
from tidegate.acquire.queue import Queue
from tidegate.acquire.reader import CutOff, MisfitFrame, Reader, kind_of
from tidegate.acquire.refused import RefusedTags
from tidegate.acquire.toll import Toll
from tidegate.acquire.turn import Turn
from tidegate.acquire.unit import Unit
from tidegate.clock import Clock
from tidegate.errors import DriverError, InvalidReply, NotConnected, Refused, Shed
from tidegate.model.device import Device
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.progress import Progress
from tidegate.model.written import Result, Written

# How long readers may take to hand over what they have read, when their bus closes.
LEAVE_S = 10.0
# After so many reads that began late, the loop goes round: a driver that never waits must not keep it to itself.
LATE_IN_A_ROW_MAX = 16
# A bus that is found closed within so short a time was closed before: nothing was asked, and no answer is lost.
ASKED_US_MIN = 1_000
# Everything a bus does has a deadline, and the sum of those around one read is less, but for the read's own.
PATIENCE_S = 60.0

log = logging.getLogger("tidegate.acquire")


class Bus:
    """One bus and the units on it. `run` until cancelled; `schedule(at_us, turn)` puts a turn on the wheel.

    Units in `kept`, by device, come from a bus that this one replaces, with their history; their turns are parked.
    """

    def __init__(
        self,
        driver: type[Driver],
        devices: Sequence[Device],
        sink: Sink,
        schedule: Callable[[int, Turn[Unit]], None],
        losses: Losses,
        tell: Callable[[Gap], None],
        clock: Clock,
        rng: Random,
        kept: Mapping[str, Unit],
    ) -> None:
        self.name = driver.bus(devices[0])
        self.units = [kept.get(one.name) or Unit(one, clock, rng, told_groups(driver, one)) for one in devices]
        self._driver = self.driver = driver(devices, clock)
        self._opening = Opening(self.name, self._driver)
        self.refused = RefusedTags(self.name, self._driver, self.units)
        self._sink = sink
        self._schedule = schedule
        self._losses = losses
        self._clock = clock
        self._backoff = Backoff(rng)
        self._serving = False
        self._stopping = False
        self._worked = False
        # For whoever looks whether it still moves: what it got done, reads under way, and whether it may well wait.
        self._moved = self._busy = 0
        self._pausing = True
        self._queue: Queue[Unit] = Queue()
        self._orders = Orders()
        self._idle = Idle()
        self._listening = Listening(self._driver, self.units, sink, tell, self._spoke)
        self._readers: list[Reader] = []
        self._toll: Toll[Unit] = Toll(self._driver.connections, len(devices) == 1)
        self._late = 0

    def offer(self, turn: Turn[Unit]) -> None:
        """The time of a turn has come."""
        probe = turn.unit.probe
        rested, turn.resting = turn.resting, False
        if not self._serving or (probe is not None and probe is not turn):
            turn.parked = True
            self._toll.leave(turn)
            return
        if probe is turn or rested:
            now_us = self._clock.mono_us()
            if until_us := self._toll.wait_until_us(turn, probe is turn, now_us):
                self._rest(turn, until_us)
                return
        self._queue.put(turn)
        self._idle.wake_one()

    async def write(self, device: str, tag: int, value: bool | str | Decimal, within_s: float) -> Written:
        """Put a value into a tag, ahead of all reads, once, if it may have it; what became of it."""
        unit = next(unit for unit in self.units if unit.device.name == device)
        why = unit.barred() or forbidden(unit.device.table.tags[tag], value)
        if why:
            return Written(Result.FORBIDDEN, why)
        if not self._serving:
            return Written(Result.NOT_SENT, f"{self.name} is not connected")
        return await self._orders.give(
            device, tag, value, within_s, self._clock.mono_us, self._idle.wake_one, unit.barred
        )

    def cut_off(self, now_us: int) -> None:
        """End the reads whose driver does not keep its deadline."""
        for reader in self._readers:
            reader.cut_off(now_us)

    def count_passing(self, now_us: int) -> None:
        """Count the cycles of turns that are parked or rest, so that they can be told while it lasts."""
        for unit in self.units:
            for turn in unit.turns:
                if turn.parked or turn.resting:
                    self._pass_over(turn, now_us, Why.DEVICE_DOWN)

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """What its driver counted besides, by device."""
        return counted(self._driver, self.name)

    def progress(self) -> Progress:
        """Whether it gets done what it has to: opening, closing, reading what is offered."""
        longest_us = max((turn.deadline_us for unit in self.units for turn in unit.turns), default=0)
        owes = not self._stopping and not self._pausing and (not self._serving or self._busy > 0 or bool(self._queue))
        return Progress(f"bus {self.name}", self._moved, owes, PATIENCE_S + longest_us / 1e6)

    def serves(self, devices: Sequence[Device]) -> bool:
        """Whether these are its devices, in any order."""
        return {unit.device.name for unit in self.units} == {device.name for device in devices}

    def stop(self) -> bool:
        """Read nothing more; whether reads may be under way, so that it pays to wait for `run` to return."""
        self._stopping = True
        serving, self._serving = self._serving, False
        for turn in self._queue.clear():
            # Cycles that passed while it rested or was held up are still to be counted.
            turn.parked = True
        self._orders.end(f"{self.name} is closed")
        self._idle.wake_all()
        return serving

    async def run(self) -> None:
        """Keep the bus open and read what is offered, until `stop` or cancelled."""
        try:
            while not self._stopping:
                self._pausing = False
                self._moved += 1
                try:
                    await self._opening.open()
                except NotConnected as error:
                    why: str | None = error.what
                else:
                    why = await self._serve()
                if why is not None:
                    await self._lost(why)
        finally:
            self._serving = False
            await self._opening.close()

    async def _serve(self) -> str | None:
        """As many readers as the bus allows; when one finds it gone, all leave, and why is returned (None: stopped).

        No error is raised again or kept: with its frames, tasks and connection it would hold on to itself until the
        garbage collector stops everything to free it, and a bus that fails often would disturb all others.
        """
        self._serving, self._worked = True, False
        self._toll.reopened()
        self._resume()
        self._readers = [Reader(self._driver) for _ in range(self._driver.connections)]
        tasks = [asyncio.create_task(self._work(reader), name=f"reader of {self.name}") for reader in self._readers]
        for reader, task in zip(self._readers, tasks, strict=True):
            reader.task = task
        told = [asyncio.create_task(self._listening.run(), name=f"feed of {self.name}")] * bool(self._listening.groups)
        tasks += told
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # What another reader has read is handed over; what it still reads ends with the driver's close.
            self._serving = False
            self._worked = self._worked or self._listening.worked
            self._idle.wake_all()
            if told and told[0].cancel():
                await asyncio.wait(told, timeout=END_S_MAX)
            if not self._stopping:
                await self._opening.hang_up()
            await asyncio.wait(tasks, timeout=LEAVE_S)
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            for reader in self._readers:
                reader.task = None
            self._readers = []
        faults = [end for end in ends if isinstance(end, Exception)]
        for fault in faults:
            if not isinstance(fault, NotConnected):
                raise fault
        return next((fault.what for fault in faults if isinstance(fault, NotConnected)), None)

    def _resume(self) -> None:
        """Offer what was parked while the bus was gone. Of a device that is down only its probe."""
        now_us = self._clock.mono_us()
        for unit in self.units:
            unit.bus_back()
            for turn in unit.turns:
                if turn.parked and (unit.probe is None or unit.probe is turn):
                    self._unpark(turn, now_us)

    def _unpark(self, turn: Turn[Unit], now_us: int) -> None:
        """A parked turn is read again: now, when its cycle is due, which may be late."""
        self._pass_over(turn, now_us, Why.DEVICE_DOWN)
        turn.parked = False
        if turn.due_us > now_us:
            self._schedule(turn.due_us, turn)
        else:
            self.offer(turn)

    async def _lost(self, why: str) -> None:
        """The bus is gone. If it had worked it is opened again at once; else its units are out, and it waits."""
        for turn in self._queue.clear():
            turn.parked = True
        self._orders.end(why)
        await self._opening.hang_up()
        if self._worked:
            self._worked = False
            self._backoff.reset()
            return
        wait_s = self._backoff.next_s()
        for unit in self.units:
            if unit.bus_gone(why):
                await self._hand_over(unit.silence(None))
            unit.try_at(self._clock.now_us() + round(wait_s * 1e6))
        self._pausing = True
        await asyncio.sleep(wait_s)

    async def _work(self, reader: Reader) -> None:
        while self._serving:
            if self._orders or self._queue:
                self._busy += 1
                try:
                    order = self._orders.take(self._clock.mono_us())
                    if order is not None:
                        await reader.obey(order, self._clock.mono_us())
                    elif self._queue:
                        await self._take(self._queue.take(), reader)
                finally:
                    self._busy -= 1
                    self._moved += 1
            else:
                await self._idle.wait()

    async def _take(self, turn: Turn[Unit], reader: Reader) -> None:
        """Read one turn and bring it to where it belongs next. Raises NotConnected when the bus is gone."""
        unit = turn.unit
        if unit.probe is not None and unit.probe is not turn:
            turn.parked = True
            return
        begun_us = self._clock.mono_us()
        why = Why.DEVICE_DOWN if turn.failures else Why.POLL_OVERRUN
        if self._pass_over(turn, begun_us, why) and not turn.failures:
            self._toll.press(begun_us)
        try:
            frame = await reader.read(turn.group, begun_us + turn.deadline_us)
        except DriverError as error:
            if await self._failed(turn, error, begun_us):
                raise
            return
        except asyncio.CancelledError:
            self._lose(turn, Why.POLL_OVERRUN, 1, begun_us)
            turn.due_us += turn.interval_us
            raise
        trip_us = self._clock.mono_us() - begun_us
        try:
            if unit.inspection is not None and unit.inspection.lock.engaged:
                frame = await unit.inspection.passed(frame)
            await self._hand_over(frame)
        except (ValueError, LookupError) as error:
            misfit = MisfitFrame(unit.device.name, f"its frame is not what its tag table says: {error}")
            await self._failed(turn, misfit, begun_us)
            return
        except asyncio.CancelledError:
            self._lose(turn, Why.SHED, 1, begun_us)
            turn.due_us += turn.interval_us
            raise
        turn.due_us += turn.interval_us
        self._worked = True
        if unit.read(turn, trip_us) or unit.losing:
            self._recovered(turn, trip_us)
        await self._go_on(turn)

    async def _go_on(self, turn: Turn[Unit]) -> None:
        """To the wheel, or back into the queue when the next cycle is due already."""
        if turn.due_us > self._clock.mono_us():
            self._schedule(turn.due_us, turn)
        elif self._serving:
            self.offer(turn)
            self._late += 1
            if not self._late % LATE_IN_A_ROW_MAX:
                await asyncio.sleep(0)
        else:
            turn.parked = True

    def _recovered(self, turn: Turn[Unit], trip_us: int) -> None:
        """A read came after failures, or after missed cycles: what was lost has an end."""
        unit, name, now_us = turn.unit, turn.unit.device.name, self._clock.mono_us()
        unit.losing = False
        if unit.rests(turn):
            self._toll.tried(now_us, trip_us)
        self._losses.ended(name, self._clock.now_us())
        if not unit.recover(turn):
            return
        for other in unit.turns:
            if other.parked:
                self._unpark(other, now_us)
        self._losses.tell_now(name, now_us / 1e6)

    def _spoke(self, unit: Unit) -> None:
        """A device whose groups are delivered is well again: what else it has is read again too."""
        now_us = self._clock.mono_us()
        for turn in [turn for turn in unit.turns if turn.parked and unit.probe is None]:
            self._unpark(turn, now_us)

    async def _failed(self, turn: Turn[Unit], error: DriverError, begun_us: int) -> bool:
        """One cycle is lost. Its turn keeps its pace, or rests, or waits for the bus; returns whether that is gone."""
        unit, now_us = turn.unit, self._clock.mono_us()
        closed = isinstance(error, NotConnected) and not isinstance(error, CutOff)
        if closed and now_us - begun_us < ASKED_US_MIN:
            # Its cycle may still be read when the bus is back in time; if not, it will be counted then.
            turn.parked = True
            return True
        why = Why.INVALID_REPLY if isinstance(error, (InvalidReply, MisfitFrame)) else Why.DEVICE_DOWN
        self._lose(turn, why, 1, begun_us)
        turn.due_us += turn.interval_us
        if closed:
            unit.count(kind_of(error))
            turn.parked = True
            return True
        if error.__cause__ is not None and not turn.failures:
            log.error("%s, group %s", error, turn.group.name, exc_info=error.__cause__)
        if isinstance(error, Refused):
            unit.excepted(error.code)
        costly = self._toll.failed(turn, unit.rests(turn), now_us, now_us - begun_us)
        if unit.failed(turn, kind_of(error), error.what, costly):
            self._losses.tell_now(unit.device.name, now_us / 1e6)
            await self._hand_over(unit.silence(None if unit.probe is turn else turn))
        wait_s = unit.wait_s(turn)
        if unit.probe is not None and unit.probe is not turn:
            turn.parked = True
        elif wait_s:
            self._rest(turn, now_us + round(wait_s * 1e6))
        else:
            await self._go_on(turn)
        if isinstance(error, CutOff):
            # The bus itself is well: it is opened again at once, and the breaker spares it this device.
            self._worked = True
            return True
        return False

    def _rest(self, turn: Turn[Unit], until_us: int) -> None:
        """Try a turn again at a time that has nothing to do with its cycles."""
        turn.resting = True
        turn.unit.try_at(self._clock.now_us() + until_us - self._clock.mono_us())
        self._schedule(until_us, turn)

    async def _hand_over(self, frame: Frame) -> None:
        try:
            await self._sink.put(frame)
        except Shed as shed:
            # The buffer has told the gap already.
            log.warning("%s", shed)

    def _pass_over(self, turn: Turn[Unit], now_us: int, why: Why) -> int:
        """Count the cycles of a turn that passed unread, and say how many they were."""
        due_us = turn.due_us
        cycles = turn.skip(now_us)
        if cycles:
            self._lose(turn, why, cycles, due_us)
        return cycles

    def _lose(self, turn: Turn[Unit], why: Why, cycles: int, since_us: int) -> None:
        """Cycles of a turn did not come, between `since_us` (monotonic) and now."""
        unit, now_us, wall_us = turn.unit, self._clock.mono_us(), self._clock.now_us()
        unit.missed += cycles
        unit.losing = True
        readings, t0 = cycles * len(turn.group.tags), wall_us - (now_us - since_us)
        self._losses.add(unit.device.name, why, readings, t0, wall_us, now_us / 1e6, unit.tags(turn))
