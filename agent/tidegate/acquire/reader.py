"""Reader: one read at a time of a bus, with a deadline that it enforces. What ends a read becomes one of our errors."""

import asyncio
import logging
from typing import cast

from tidegate.acquire.driver import Driver
from tidegate.acquire.orders import Order
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.model.device import Group
from tidegate.model.frame import Frame
from tidegate.model.written import Result, Written

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

    async def obey(self, order: Order, now_us: int) -> None:
        """Write what was ordered, and tell what became of it. Raises NotConnected when the bus is gone."""
        within_s = (order.until_us - now_us) / 1e6
        try:
            async with asyncio.timeout(within_s + DEADLINE_MARGIN_US / 1e6):
                order.tell(await self._driver.write(order.device, order.tag, order.value, within_s))
        except NotConnected as error:
            order.tell(Written(Result.NOT_SENT, error.what))
            raise
        except NotImplementedError as error:
            order.tell(Written(Result.FORBIDDEN, f"its driver can't write: {error}"))
        except TimeoutError:
            late = f"the driver was not done within {within_s:g} s and a margin"
            order.tell(Written(Result.UNKNOWN, late))
            raise CutOff(order.device, late) from None
        except asyncio.CancelledError:
            order.tell(Written(Result.UNKNOWN, "the bus was closed while it was under way"))
            raise
        except Exception as error:
            log.exception("the driver failed to write to %s", order.device)
            order.tell(Written(Result.UNKNOWN, f"the driver failed: {error!r}"))

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
