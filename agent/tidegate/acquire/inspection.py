"""Inspection: asks a device who it is when that is due, before its next frame goes on.

It is not in the way of reading: what can't be asked, or takes too long, leaves everything as it was.
"""

import asyncio
import logging

from tidegate.acquire.driver import Asking, Driver
from tidegate.acquire.lock import FAILED_MAX, Inspector, Lock, doubted
from tidegate.clock import Clock
from tidegate.errors import DriverError
from tidegate.model.device import Device
from tidegate.model.frame import Frame

# All questions about one device together; its bus waits for them once, before its first frame goes on.
INSPECT_S_MAX = 5.0
# A locked device is asked again so often: one that answered nonsense while it started unlocks itself.
LOCKED_AGAIN_US = 15_000_000
# After questions that came to nothing.
FAILED_AGAIN_US = 600_000_000

log = logging.getLogger("tidegate.acquire")


class Inspection:
    """What the frames of one device pass: it is asked who it is when that is due."""

    def __init__(self, lock: Lock, inspector: Inspector, driver: Asking, device: Device, clock: Clock) -> None:
        self.lock = lock
        self._inspector = inspector
        self._driver = driver
        self._device = device
        self._clock = clock

    async def passed(self, frame: Frame) -> Frame:
        """The frame as it goes on: of a locked device it is uncertain. Never raises for what the device does."""
        lock = self.lock
        if self._clock.mono_us() >= lock.again_us:
            async with lock.asking:
                if lock.engaged and self._clock.mono_us() >= lock.again_us:
                    await self._inspect(self._device, lock)
        return doubted(frame) if lock.why else frame

    async def _inspect(self, device: Device, lock: Lock) -> None:
        before = lock.why

        async def ask(request: bytes) -> bytes:
            return await self._driver.ask(device.name, request)

        try:
            async with asyncio.timeout(INSPECT_S_MAX):
                await self._inspector.inspect(device, ask)
        except (DriverError, TimeoutError) as error:
            self._failed(device, lock, str(error) or f"not within {INSPECT_S_MAX:g} s")
        except Exception:
            log.exception("%s could not be asked who it is", device.name)
            self._failed(device, lock, "")
        else:
            lock.due, lock.failed, lock.again_us = False, 0, self._clock.mono_us() + LOCKED_AGAIN_US
        if lock.why and lock.why != before:
            _tell(device, lock)
        elif before and not lock.why:
            log.info("%s is unlocked: it is %s again", device.name, lock.said)

    def _failed(self, device: Device, lock: Lock, why: str) -> None:
        """Reading goes on, and the lock is as it was."""
        lock.failed += 1
        lock.due = lock.failed < FAILED_MAX
        lock.again_us = self._clock.mono_us() + FAILED_AGAIN_US
        if why and lock.failed == 1:
            log.warning("%s did not say who it is, its readings go on: %s", device.name, why)


def inspection(inspector: Inspector | None, driver: Driver, device: Device, clock: Clock) -> Inspection | None:
    """What a device's frames pass on their bus; None where nobody can ask it, or has anything to ask."""
    lock = inspector.lock(device) if inspector is not None and isinstance(driver, Asking) else None
    if inspector is None or not isinstance(driver, Asking) or lock is None:
        return None
    if lock.why:
        _tell(device, lock)
    return Inspection(lock, inspector, driver, device, clock)


def _tell(device: Device, lock: Lock) -> None:
    what = "%s is LOCKED: %s. Its readings are uncertain, and nothing is written to it. %s"
    log.error(what, device.name, lock.why, lock.offer)
