"""Listening: what a bus does whose machines speak up by themselves. It does not know how they are asked to.

driver.subscribe ──frames──▶ sink      each is a sign of life of its device
                 ──gaps────▶ tell      only the driver knows what its machine had to say in an outage
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from tidegate.acquire.driver import Driver, Sink, SpeaksUp
from tidegate.acquire.unit import Unit
from tidegate.errors import DriverError, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap
from tidegate.model.tag import TagTable

# A bus whose machines spoke is opened again at once when it is lost, unless it had hardly been open.
WORKED_S_MIN = 10.0
# From the loss of a bus to the end of what delivered over it.
END_S_MAX = 2.0

log = logging.getLogger("tidegate.acquire")


def told_groups(driver: type[Driver], device: Device) -> frozenset[str]:
    """The groups of a device that its driver delivers unasked."""
    return driver.told(device) if issubclass(driver, SpeaksUp) else frozenset()


class Listening:
    """The delivery of one bus's driver, and the feed that it delivers to. `groups` are those that nobody polls."""

    def __init__(
        self,
        driver: Driver,
        units: Sequence[Unit],
        sink: Sink,
        tell: Callable[[Gap], None],
        recovered: Callable[[Unit], None],
    ) -> None:
        self.groups: tuple[Group, ...] = tuple(
            group for unit in units for group in unit.device.groups if group.name in unit.told
        )
        self._driver = driver
        self._units = {unit.device.name: unit for unit in units}
        self._sink = sink
        self._tell = tell
        self._recovered = recovered
        self._begun_s = 0.0
        self._spoke = False

    @property
    def worked(self) -> bool:
        """Whether machines spoke over it, and it lasted."""
        return self._spoke and asyncio.get_running_loop().time() - self._begun_s >= WORKED_S_MIN

    async def run(self) -> None:
        """Deliver until cancelled. Raises NotConnected, whatever ended it."""
        self._begun_s, self._spoke = asyncio.get_running_loop().time(), False
        try:
            await self._driver.subscribe(self.groups, self)
        except NotConnected:
            raise
        except DriverError as error:
            raise NotConnected(error.device, error.what) from error
        except Exception as error:
            log.exception("the driver failed to deliver")
            raise NotConnected("", f"the driver failed: {error!r}") from error
        raise NotConnected("", "the driver ended its delivery")

    @property
    def place(self) -> tuple[str, int]:
        """See acquire.driver.Feed."""
        return self._sink.place

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """See acquire.driver.Sink."""
        unit = self._units[frame.device]
        inspection = unit.inspection
        if inspection is not None and inspection.lock.engaged:
            frame = await inspection.passed(frame)
        committed = await self._sink.put(frame)
        self.heard(frame.device)
        return committed

    def tell(self, gap: Gap) -> None:
        """See acquire.driver.Feed."""
        self._tell(gap)

    def heard(self, device: str) -> None:
        """See acquire.driver.Feed."""
        self._spoke = True
        unit = self._units[device]
        if unit.heard():
            self._recovered(unit)

    def adopt(self, device: str, table: TagTable) -> None:
        """See acquire.driver.Sink."""
        self._sink.adopt(device, table)

    def committed(self, device: str, epoch: str, number: int) -> AsyncIterator[Frame]:
        """See acquire.driver.Sink."""
        return self._sink.committed(device, epoch, number)
