"""Poller: turns the wheel over all buses, and knows when which group is due. It does not know how a machine is read.

wheel ──▶ bus (one a TCP address, serial line, server) ──▶ driver ──▶ sink
  ▲         └─ what could not be read ──▶ losses ──▶ tell
  └── next cycle ──┘
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random

from tidegate.acquire.bus import Bus
from tidegate.acquire.change import Change, alike
from tidegate.acquire.driver import Driver, Sink, give_folder
from tidegate.acquire.inspection import inspection
from tidegate.acquire.lock import Inspector
from tidegate.acquire.losses import Losses
from tidegate.acquire.turn import Turn
from tidegate.acquire.unit import BACKING_OFF, DOWN, UP, DeviceStatus, Unit
from tidegate.acquire.wheel import TICK_US, Wheel, phase_us
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.gap import Gap
from tidegate.model.progress import Progress
from tidegate.model.written import Written

# How often the poller looks for reads that overrun their deadline, and tells what is lost.
WATCH_US = 500_000
# The loop's timers and our clock may be apart by their rounding: what is due so soon is due.
EARLY_US = 200
# How long reads under way may take to end when the gateway stops: what is read then is still kept.
FINISH_S = 1.0
# The wheel turns at least each WATCH_US.
WHEEL_PATIENCE_S = 10.0


class Poller:
    """Polls the groups of all devices until cancelled.

    `drivers` by name; `sink` takes frames, `tell` takes gaps; `inspector` knows what devices can be asked who they are;
    `folder` is where drivers keep what they have to keep. Raises ConfigError at once when a driver refuses its
    devices; opens nothing before `run`.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        drivers: Mapping[str, type[Driver]],
        sink: Sink,
        tell: Callable[[Gap], None],
        clock: Clock,
        rng: Random,
        inspector: Inspector | None = None,
        folder: Path | None = None,
    ) -> None:
        self._clock = clock
        self._drivers = drivers
        self._sink = sink
        self._rng = rng
        self._inspector = inspector
        self._losses = Losses(tell)
        self._tell = tell
        self._folder = folder
        self._buses: list[Bus] = []
        self._units: list[Unit] = []
        self._bus_of: dict[str, Bus] = {}
        # How many groups of an interval were given a phase.
        self._sharing: dict[int, int] = {}
        self._running: dict[Bus, asyncio.Task[None]] = {}
        self._changed: asyncio.Future[None] | None = None
        self._adopt(self.plan(devices))
        self._wheel: Wheel[Turn[Unit]] = Wheel()
        # The timer of the next turn, and when it fires; None while the wheel turns, and before and after all turns.
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_us = 0
        self._stuck: asyncio.Future[None] | None = None
        self._watch_us = 0
        self._turned = 0

    async def run(self) -> None:
        """Poll until cancelled; then reads under way end, the drivers are closed, and what was lost is told.

        Raises what the sink or `tell` raise, other than about one frame: nothing runs on half.
        """
        self._begin(self._buses)
        wheel = asyncio.create_task(self._turn_wheel(), name="wheel")
        try:
            while not await self._one_ended(wheel):
                pass
        finally:
            wheel.cancel()
            await self._finish(self._running)
            for bus in self._buses:
                bus.count_passing(self._clock.mono_us())
            self._losses.tell_all(self._clock.now_us())

    def status(self) -> tuple[DeviceStatus, ...]:
        """One look at every device, in the order of the configuration."""
        counted = {name: words for bus in self._buses for name, words in bus.counted().items()}
        return tuple(unit.status(counted.get(unit.device.name, {})) for unit in self._units)

    def count(self) -> tuple[int, int]:
        """How many devices are up, and how many are out; those that were not tried yet are neither."""
        states = [unit.state for unit in self._units]
        return states.count(UP), states.count(DOWN) + states.count(BACKING_OFF)

    async def write(self, device: str, tag: int, value: bool | str | Decimal, within_s: float) -> Written:
        """Put a value into a tag, by its index in the device's table; see Bus.write. Raises KeyError for no device."""
        return await self._bus_of[device].write(device, tag, value, within_s)

    def plan(self, devices: Sequence[Device]) -> Change:
        """What another list of devices would change. Raises ConfigError when a driver refuses; changes nothing."""
        known = {unit.device.name: unit for unit in self._units}
        kept = {d.name: known[d.name] for d in devices if d.name in known and alike(known[d.name].device, d)}
        shared: dict[tuple[str, str], list[Device]] = {}
        for device in devices:
            shared.setdefault((device.driver, self._drivers[device.driver].bus(device)), []).append(device)
        change = Change(devices, kept)
        for (driver, _), sharing in shared.items():
            before = self._bus_of.get(sharing[0].name)
            if before is not None and before.serves(sharing) and all(device.name in kept for device in sharing):
                change.staying.append(before)
            else:
                bus = Bus(
                    self._drivers[driver], sharing, self._sink, self._schedule, self._losses, self._tell, self._clock,
                    self._rng, kept,
                )  # fmt: skip
                if self._folder is not None:
                    give_folder(bus.driver, self._folder)
                change.coming.append(bus)
        change.leaving = [bus for bus in self._buses if bus not in change.staying]
        return change

    async def retire(self, change: Change) -> None:
        """End the buses that a change replaces or drops. What is read meanwhile still goes to the sink."""
        leaving = {bus: self._running.pop(bus) for bus in change.leaving}
        await self._finish(leaving)
        for bus in leaving:
            bus.count_passing(self._clock.mono_us())
            self._wheel.remove({turn for unit in bus.units for turn in unit.turns})
            for unit in bus.units:
                for turn in unit.turns:
                    turn.parked, turn.resting = True, False
                if unit.device.name not in change.kept:
                    self._losses.close(unit.device.name, self._clock.now_us())

    def take_up(self, change: Change) -> None:
        """Go on with the buses of a change whose others were retired."""
        self._adopt(change)
        self._begin(change.coming)
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    def progress(self) -> tuple[Progress, ...]:
        """Whether the wheel and each bus move."""
        return (
            Progress("the polling wheel", self._turned, True, WHEEL_PATIENCE_S),
            *(bus.progress() for bus in self._buses),
        )

    def _adopt(self, change: Change) -> None:
        for bus in change.coming:
            for unit in bus.units:
                unit.inspection = inspection(self._inspector, bus.driver, unit.device, self._clock)
        self._buses = [*change.staying, *change.coming]
        units = {unit.device.name: unit for bus in self._buses for unit in bus.units}
        self._units = [units[device.name] for device in change.devices]
        self._bus_of = {unit.device.name: bus for bus in self._buses for unit in bus.units}

    def _begin(self, buses: Sequence[Bus]) -> None:
        """Run buses, and put their groups on the wheel; groups of one interval are spread over it.

        Parked turns keep their cycles: their bus offers them when it is open.
        """
        start_us = -(-self._clock.mono_us() // TICK_US) * TICK_US
        for bus in buses:
            for turn in [turn for unit in bus.units for turn in unit.turns if not turn.parked]:
                index = self._sharing.get(turn.interval_us, 0)
                self._sharing[turn.interval_us] = index + 1
                turn.due_us = start_us + phase_us(turn.interval_us, index)
                self._schedule(turn.due_us, turn)
            self._running[bus] = asyncio.create_task(bus.run(), name=f"bus {bus.name}")

    async def _one_ended(self, wheel: "asyncio.Task[None]") -> bool:
        """Wait for a task that should never end, and whose error is ours; False when what runs was changed."""
        self._changed = asyncio.get_running_loop().create_future()
        await asyncio.wait([wheel, self._changed, *self._running.values()], return_when=asyncio.FIRST_COMPLETED)
        ended = [task for task in (wheel, *self._running.values()) if task.done()]
        for task in ended:
            task.result()
        return bool(ended)

    def _schedule(self, at_us: int, turn: Turn[Unit]) -> None:
        """Put a turn on the wheel, and wake it earlier when that is earlier than what it waits for."""
        due_us = self._wheel.add(at_us, turn)
        if self._alarm is not None and due_us < self._alarm_us:
            self._alarm.cancel()
            self._wind(due_us)

    async def _turn_wheel(self) -> None:
        """Turn until cancelled, or an error. It is a timer that turns it, not this task: a hop less for each poll."""
        self._stuck = asyncio.get_running_loop().create_future()
        self._turn()
        try:
            await self._stuck
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None

    def _turn(self) -> None:
        self._alarm = None
        self._turned += 1
        try:
            now_us = self._clock.mono_us() + EARLY_US
            for turn in self._wheel.due(now_us):
                self._bus_of[turn.group.device].offer(turn)
            if now_us >= self._watch_us:
                self._watch_us = now_us + WATCH_US
                self._watch(now_us)
        except Exception as error:
            if self._stuck is not None and not self._stuck.done():
                self._stuck.set_exception(error)
            return
        self._wind(self._wheel.next_us(self._watch_us))

    def _wind(self, at_us: int) -> None:
        self._alarm_us = at_us
        delay_s = max(0, at_us - self._clock.mono_us()) / 1e6
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._turn)

    def _watch(self, now_us: int) -> None:
        for bus in self._buses:
            bus.cut_off(now_us)
            bus.count_passing(now_us)
            bus.refused.look()
        self._losses.tell_due(now_us / 1e6, self._clock.now_us())

    async def _finish(self, running: Mapping[Bus, "asyncio.Task[None]"]) -> None:
        for bus, task in running.items():
            if not bus.stop():
                task.cancel()
        if running:
            await asyncio.wait(running.values(), timeout=FINISH_S)
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)
