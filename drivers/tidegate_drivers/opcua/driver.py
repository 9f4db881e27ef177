"""OPC UA: one session with one server, and the devices that are read over it. It imports no OPC UA library itself.

What does the work is `session.py`, imported when a session is first opened: a gateway that reads no OPC UA stays small.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tidegate.acquire.driver import DRIVER_CONTRACT, Feed
from tidegate.clock import Clock
from tidegate.errors import ConfigError, NotConnected, Problem
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.refused import RefusedTag
from tidegate.model.written import Written
from tidegate_drivers.opcua import config
from tidegate_drivers.opcua.items import RELATIVE, parse_tag
from tidegate_drivers.opcua.settings import parse_device, parse_url

if TYPE_CHECKING:
    from tidegate_drivers.opcua.session import Session


class OpcuaDriver:
    """The devices of one session."""

    contract: ClassVar[int] = DRIVER_CONTRACT
    name: ClassVar[str] = "opcua"

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        fatal = [problem for problem in config.check(devices) if problem.fatal]
        if fatal:
            raise ConfigError(fatal)
        self._devices = tuple(devices)
        self._clock = clock
        self._folder: Path | None = None
        self._session: Session | None = None

    @classmethod
    def check(cls, devices: Sequence[Device]) -> list[Problem]:
        """All problems of these devices; see config.py."""
        return config.check(devices)

    @classmethod
    def bus(cls, device: Device) -> str:
        """The server's address, in one spelling, and as whom it is read. Raises ValueError where there is none."""
        parse_url(device.address)
        settings, _ = parse_device(device)
        return settings.bus if settings is not None else device.address.strip()

    @classmethod
    def describe(cls, device: Device) -> list[str]:
        """The node of each tag; what is wrong with it where it can't be read."""
        settings, _ = parse_device(device)
        lines = []
        for tag in device.table.tags:
            place, _, problems = parse_tag(tag, settings.namespace if settings else "")
            wrong = "; ".join(problem.what for problem in problems)
            relative = place is not None and place.kind == RELATIVE
            where = f"{tag.address} of its object" if relative else str(place)
            lines.append(where if place else wrong or f"all that is at {tag.address}")
        return lines

    @classmethod
    def told(cls, device: Device) -> frozenset[str]:
        """All its groups: where its server is to be read in cycles, delivery does that too."""
        return frozenset(group.name for group in device.groups)

    @property
    def connections(self) -> int:
        """One read at a time."""
        return 1

    def keep(self, folder: Path) -> None:
        """Where certificates lie, and how far subscriptions were committed."""
        self._folder = folder

    async def open(self) -> None:
        """Open a session. What is known of subscriptions stays. Raises NotConnected."""
        if self._session is None:
            self._session = import_module("tidegate_drivers.opcua.session").Session(
                self._devices, self._clock, self._folder
            )
        await self._session.open()

    async def read(self, group: Group) -> Frame:
        """One frame with a reading of every tag of the group; see Driver.read."""
        return await self._opened(group.device).read(group)

    async def ask(self, device: str, request: bytes) -> bytes:
        """Who a device's machine says it is; see Asking.ask and machine.py."""
        return await self._opened(device).ask(device, request)

    async def subscribe(self, groups: Sequence[Group], sink: Feed) -> None:
        """Deliver what the server tells of these groups; see delivery.py."""
        await self._opened("").deliver(groups, sink)

    async def write(self, device: str, tag: int, value: object, within_s: float) -> Written:
        """Not yet."""
        raise NotImplementedError("opcua is only read")

    def refused(self) -> Mapping[str, tuple[RefusedTag, ...]]:
        """By device the tags that the server won't give."""
        return self._session.refused() if self._session is not None else {}

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """By device what its delivery met."""
        return self._session.counted() if self._session is not None else {}

    async def close(self) -> None:
        """End the session. Subscriptions stay with the server when a next process may take them over."""
        if self._session is not None:
            await self._session.close()

    def _opened(self, device: str) -> "Session":
        if self._session is None or not self._session.open_now:
            raise NotConnected(device, f"{self.bus(self._devices[0])} is not open")
        return self._session
