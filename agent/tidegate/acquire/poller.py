"""Poller: one timer wheel that knows when each group is due, over all buses. It does not know how a machine is read.

Groups keep their pace without drift: each due time is the one before plus the interval. What passed meanwhile is
counted as missed, never caught up in a burst.
"""

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tidegate.acquire.bus import Bus, Turn
from tidegate.acquire.driver import Driver, Sink
from tidegate.acquire.losses import Losses
from tidegate.acquire.unit import DeviceStatus
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.gap import Gap

# Groups due within this time are served in one wake-up: waking costs more than reading.
WHEEL_TICK_S = 0.002
WHEEL_SLEEP_S_MAX = 1.0
# Phases spread by the golden ratio: however many groups there are, they lie far apart.
PHASE_STEP = 0.6180339887498949


class Poller:
    """Polls the groups of all devices until cancelled.

    `drivers` by name; `sink` takes frames, `tell` takes gaps. Raises ConfigError at once when a driver refuses its
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
    ) -> None:
        self._losses = Losses(tell)
        shared: dict[tuple[str, str], list[Device]] = {}
        for device in devices:
            shared.setdefault((device.driver, drivers[device.driver].bus(device)), []).append(device)
        self._buses = [
            Bus(drivers[name], sharing, sink, self._losses, clock, rng) for (name, _), sharing in shared.items()
        ]
        self._units = {name: unit for bus in self._buses for name, unit in bus.units.items()}
        self._order = [device.name for device in devices]

    async def run(self) -> None:
        """Poll until cancelled; then the drivers are closed and what was lost is told."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for bus in self._buses:
                    tasks.create_task(bus.run(), name=f"bus {bus.name}")
                tasks.create_task(self._turn_wheel(), name="wheel")
        finally:
            self._losses.tell_all()

    def status(self) -> tuple[DeviceStatus, ...]:
        """One look at every device, in the order of the configuration."""
        return tuple(self._units[name].status() for name in self._order)

    def count(self) -> tuple[int, int]:
        """How many devices are up, and how many are down."""
        states = [unit.state for unit in self._units.values()]
        return states.count("up"), states.count("down")

    async def _turn_wheel(self) -> None:
        loop = asyncio.get_running_loop()
        wheel = self._wheel(loop.time())
        while True:
            now_s = loop.time()
            self._losses.tell_due(now_s)
            while wheel and wheel[0][0] <= now_s + WHEEL_TICK_S:
                _, place, turn = wheel[0]
                late_s = max(0.0, now_s - turn.due_s)
                skipped = int(late_s / turn.group.interval_s)
                turn.bus.offer(turn, skipped, late_s)
                turn.due_s += (1 + skipped) * turn.group.interval_s
                heapq.heapreplace(wheel, (turn.due_s, place, turn))
            sleep_s = min(wheel[0][0] - loop.time(), WHEEL_SLEEP_S_MAX) if wheel else WHEEL_SLEEP_S_MAX
            await asyncio.sleep(max(0.0, sleep_s))

    def _wheel(self, start_s: float) -> list[tuple[float, int, Turn]]:
        wheel: list[tuple[float, int, Turn]] = []
        for bus in self._buses:
            for unit in bus.units.values():
                for group in unit.device.groups:
                    phase = len(wheel) * PHASE_STEP % 1.0
                    due_s = start_s + phase * group.interval_s
                    wheel.append((due_s, len(wheel), Turn(group, unit, bus, due_s)))
        heapq.heapify(wheel)
        return wheel
