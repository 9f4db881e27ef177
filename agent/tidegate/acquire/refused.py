"""RefusedTags: asks a driver now and then which tags its machines refuse, and tells the units. It reads nothing."""

import logging
from collections.abc import Sequence

from tidegate.acquire.driver import Driver, Refuses
from tidegate.acquire.unit import Unit

log = logging.getLogger("tidegate.acquire")


class RefusedTags:
    """Those of one bus; nothing where its driver can't tell."""

    def __init__(self, bus: str, driver: Driver, units: Sequence[Unit]) -> None:
        self._bus = bus
        self._driver: Refuses | None = driver if isinstance(driver, Refuses) else None
        self._units = units

    def look(self) -> None:
        """Ask, and tell."""
        if self._driver is None:
            return
        try:
            found = self._driver.refused()
        except Exception:  # A driver is foreign code: what only tells must not stop what reads.
            log.exception("the driver of %s can't say what is refused, and is not asked again", self._bus)
            self._driver = None
            return
        for unit in self._units:
            unit.refuse(found.get(unit.device.name, ()))
