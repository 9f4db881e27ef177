"""Modbus over TCP: one bus (host and port) with the units behind it. It knows polls and links, not their bytes."""

from collections.abc import Sequence
from typing import ClassVar

from tidegate.acquire.driver import DRIVER_CONTRACT, Sink
from tidegate.clock import Clock
from tidegate.errors import ConfigError, Problem
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate_drivers.modbus import config


class ModbusDriver:
    """The devices of one host and port, read over `connections` TCP connections, one question at a time on each."""

    contract: ClassVar[int] = DRIVER_CONTRACT
    name: ClassVar[str] = "modbus"

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        fatal = [problem for problem in config.check(devices) if problem.fatal]
        if fatal:
            raise ConfigError(fatal)
        self._clock = clock

    @classmethod
    def check(cls, devices: Sequence[Device]) -> list[Problem]:
        """All problems of these devices; see config.py."""
        return config.check(devices)

    @classmethod
    def bus(cls, device: Device) -> str:
        """Host and port, in one spelling. Raises ValueError when the address has none."""
        return config.bus_key(*config.parse_host(device.address))

    @classmethod
    def describe(cls, device: Device) -> list[str]:
        """`input 0x0000, 2 registers, float32 ABCD` for each tag; what is wrong with it where it can't be read."""
        lines = []
        for tag in device.table.tags:
            point, problems = config.parse_tag(tag)
            lines.append(str(point) if point else "; ".join(problem.what for problem in problems))
        return lines

    @property
    def connections(self) -> int:
        """How many reads may run at the same time."""
        return 1

    async def open(self) -> None:
        """Connect. Raises NotConnected."""
        raise NotImplementedError

    async def read(self, group: Group) -> Frame:
        """One reading of every tag of the group."""
        raise NotImplementedError

    async def subscribe(self, groups: Sequence[Group], sink: Sink) -> None:
        """Modbus devices never speak up by themselves."""
        raise NotImplementedError("modbus is polled")

    async def write(self, device: str, tag: int, value: object) -> None:
        """This driver only reads."""
        raise NotImplementedError("modbus writing is not there yet")

    async def close(self) -> None:
        """Close all connections."""
