"""Opening: a bus is opened and closed within deadlines, whatever its driver raises. It does not know why or when."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from tidegate.acquire.driver import Driver, Listens
from tidegate.errors import DriverError, NotConnected

OPEN_DEADLINE_S = 15.0
CLOSE_DEADLINE_S = 3.0

log = logging.getLogger("tidegate.acquire")


class Opening:
    """That of one driver object; `name` is its bus's."""

    def __init__(self, name: str, driver: Driver) -> None:
        self._name = name
        self._driver = driver

    async def open(self) -> None:
        """Open the bus. Raises NotConnected, and nothing else."""
        try:
            async with asyncio.timeout(OPEN_DEADLINE_S):
                await self._driver.open()
        except NotConnected:
            raise
        except TimeoutError:
            raise NotConnected("", f"{self._name} did not open within {OPEN_DEADLINE_S:g} s") from None
        except DriverError as error:
            raise NotConnected("", error.what) from error
        except Exception as error:
            log.exception("the driver failed to open %s", self._name)
            raise NotConnected("", f"the driver failed to open {self._name}: {error!r}") from error

    async def hang_up(self) -> None:
        """Close it until the next opening. Machines that dial in must find somebody there in between."""
        driver = self._driver
        await self._close(driver.hang_up if isinstance(driver, Listens) else driver.close)

    async def close(self) -> None:
        """Close it for good."""
        await self._close(self._driver.close)

    async def _close(self, close: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(CLOSE_DEADLINE_S):
                await close()
        except (TimeoutError, DriverError) as error:
            log.warning("%s did not close: %r", self._name, error)
        except Exception:
            log.exception("the driver failed to close %s", self._name)
