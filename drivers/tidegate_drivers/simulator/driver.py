"""A driver without a machine: signals and faults on demand. Made to be copied: each method says what it owes.

It knows no protocol. Where a real driver talks to its machine, this one waits for `delay` and works a value out.
"""

import asyncio
from collections.abc import Sequence
from struct import Struct
from typing import ClassVar

from tidegate.acquire.driver import DRIVER_CONTRACT, Feed
from tidegate.clock import Clock
from tidegate.errors import ConfigError, NoAnswer, NotConnected, Problem, Refused
from tidegate.model.device import Device, Group
from tidegate.model.frame import I64, Frame, pack_value
from tidegate.model.status import BAD_SENSOR_FAILURE, GOOD
from tidegate.model.written import Written
from tidegate_drivers.simulator import config

EMPTY_SLOT = bytes(8)
REFUSAL_CODE = 6


class SimulatorDriver:
    """The simulated devices of one `sim://name`."""

    contract: ClassVar[int] = DRIVER_CONTRACT
    name: ClassVar[str] = "simulator"

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        # Constructing checks and never connects.
        fatal = [problem for problem in config.check(devices) if problem.fatal]
        if fatal:
            raise ConfigError(fatal)
        self._clock = clock
        self._devices = {device.name: device for device in devices}
        self._settings = {device.name: config.parse_device(device)[0] for device in devices}
        self._signals = {device.name: [config.parse_tag(tag)[0] for tag in device.table.tags] for device in devices}
        self._reads = dict.fromkeys(self._devices, 0)
        self._counts = {device.name: [0] * len(device.table.tags) for device in devices}
        self._open = False

    @classmethod
    def check(cls, devices: Sequence[Device]) -> list[Problem]:
        """All problems at once, each with its row, its column and what to do; never only the first."""
        return config.check(devices)

    @classmethod
    def bus(cls, device: Device) -> str:
        """Devices of equal keys share one driver object. Raises ValueError when the address is none."""
        return config.parse_bus(device.address)

    @classmethod
    def describe(cls, device: Device) -> list[str]:
        """What is asked for each tag, for people."""
        return [_described(config.parse_tag(tag)[0]) for tag in device.table.tags]

    @property
    def connections(self) -> int:
        """One read at a time."""
        return 1

    async def open(self) -> None:
        """Connect; a real driver raises NotConnected when it can't, and does not try again by itself."""
        self._open = True

    async def read(self, group: Group) -> Frame:
        """One reading of every tag of the group, in ascending order of tags, raw and unscaled.

        What is wrong with one tag is its status, with a slot of zeros; what is wrong with the device is raised.
        """
        if not self._open:
            raise NotConnected(group.device, "the simulated bus is not open")
        settings = self._settings[group.device]
        await asyncio.sleep(settings.delay_s)
        await self._fail(group, settings)
        # Times are those of the moment when the last byte was in; a step of the clock can't come between them.
        now = self._clock.moment()
        values, status, side = bytearray(), [], bytearray()
        counts = self._counts[group.device]
        for tag in group.tags:
            signal, count = self._signals[group.device][tag], counts[tag]
            counts[tag] = count + 1
            good = not _due(signal.bad_every, count + 1)
            values += pack_value(signal.kind, signal.at(now.mono_us / 1e6, count), side) if good else EMPTY_SLOT
            status.append(GOOD if good else BAD_SENSOR_FAILURE)
        column = Struct(f"<{len(group.tags)}I")
        return Frame(
            group.device, self._devices[group.device].table.hash, len(group.tags), self._clock.boot, now.mono_us,
            now.wall_us, column.pack(*group.tags), I64.pack(now.wall_us), column.pack(*status), bytes(values),
            bytes(side), clock=now.state,
        )  # fmt: skip

    async def subscribe(self, groups: Sequence[Group], sink: Feed) -> None:
        """Only for machines that speak up by themselves."""
        raise NotImplementedError("the simulator is polled")

    async def write(self, device: str, tag: int, value: object, within_s: float) -> Written:
        """Only for drivers that can write."""
        raise NotImplementedError("the simulator is only read")

    async def close(self) -> None:
        """Let go of everything; safe in any state, more than once."""
        self._open = False

    async def _fail(self, group: Group, settings: config.Settings) -> None:
        """Raise what is due at this read: each fault as the machine of a real driver would show it."""
        self._reads[group.device] += 1
        reads = self._reads[group.device]
        if _due(settings.disconnect_every, reads):
            self._open = False
            raise NotConnected(group.device, f"simulated disconnect at read {reads}")
        if _due(settings.silent_every, reads):
            await asyncio.sleep(group.deadline_s)
            raise NoAnswer(group.device, f"simulated silence at read {reads}")
        if _due(settings.refuse_every, reads):
            raise Refused(group.device, f"simulated refusal at read {reads}", REFUSAL_CODE)


def _due(every: int, number: int) -> bool:
    """Whether a fault that comes every so many reads (0 = never) comes at this one, counted from 1."""
    return every > 0 and number % every == 0


def _described(signal: config.Signal) -> str:
    if signal.shape == config.Shape.CONSTANT:
        return f"constant {signal.text if signal.text else signal.low}, {signal.kind.word}"
    every = "" if signal.shape == config.Shape.COUNTER else f" every {signal.period_s:g} s"
    return f"{signal.shape} {signal.low} to {signal.high}{every}, {signal.kind.word}"
