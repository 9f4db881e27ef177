"""Reader: one read at a time of a bus, with a deadline that it enforces. What ends a read becomes one of our errors."""

import asyncio
import logging
from typing import cast

from tidegate.acquire.driver import Driver
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.model.device import Group
from tidegate.model.frame import Frame

# The driver keeps the group's deadline itself; this much later the reader gives up on the driver.
DEADLINE_MARGIN_US = 1_000_000
NEVER_US = 1 << 62

log = logging.getLogger("tidegate.acquire")


class CutOff(NotConnected):
    """A driver did not keep its deadline. Nobody knows what state it is in, so that its bus is opened anew."""


class MisfitFrame(DriverError):
    """A driver brought a frame that is not what the device's tag table says."""


KINDS: tuple[tuple[type[DriverError], str], ...] = (
    (CutOff, "no answer"),
    (NotConnected, "not connected"),
    (NoAnswer, "no answer"),
    (InvalidReply, "invalid reply"),
    (Refused, "refused"),
)


def kind_of(error: DriverError) -> str:
    """The word under which a failure is counted; what is no fault of the device or its bus is the driver's."""
    return next((word for known, word in KINDS if isinstance(error, known)), "fault")


class Reader:
    """Reads with one driver, in `task`. No timer a read: whoever turns the wheel calls `cut_off` now and then."""

    def __init__(self, driver: Driver) -> None:
        self.task: asyncio.Task[None] | None = None
        self._driver = driver
        self._until_us = NEVER_US
        self._cuts = 0

    async def read(self, group: Group, until_us: int) -> Frame:
        """What the driver reads. Raises DriverError for all that can be wrong, CutOff when it takes past `until_us`."""
        self._until_us = until_us + DEADLINE_MARGIN_US
        try:
            return await self._driver.read(group)
        except DriverError:
            raise
        except asyncio.CancelledError:
            left, ours = self._cancellations()
            if left:
                raise
            if ours:
                late = f"the driver was not done within {group.deadline_s:g} s and a margin"
                raise CutOff(group.device, late) from None
            raise NotConnected(group.device, "the driver cancelled its own read") from None
        except Exception as error:
            raise DriverError(group.device, f"the driver failed: {error!r}") from error
        finally:
            self._until_us = NEVER_US

    def cut_off(self, now_us: int) -> None:
        """End the read under way if its driver does not keep its deadline."""
        if self._until_us < now_us and self.task is not None:
            self._cuts += 1
            self.task.cancel()

    def _cancellations(self) -> tuple[int, int]:
        """How often somebody else has cancelled our task, and how often we have; ours are taken back."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        ours, self._cuts = self._cuts, 0
        for _ in range(ours):
            task.uncancel()
        return task.cancelling(), ours
