"""What a driver counts beside its reads, asked for when somebody looks. It counts nothing itself."""

import logging
from collections.abc import Mapping

from tidegate.acquire.driver import Counting, Driver

log = logging.getLogger("tidegate.acquire")


def counted(driver: Driver, bus: str) -> Mapping[str, Mapping[str, int]]:
    """By device and word; nothing where the driver counts nothing, or can't."""
    if not isinstance(driver, Counting):
        return {}
    try:
        return driver.counted()
    except Exception:  # A driver is foreign code: what only tells must not stop what looks.
        log.exception("the driver of %s can't say what it counted", bus)
        return {}
