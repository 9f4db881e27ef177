"""The clock: wall time that knows whether it may be trusted, and monotonic time for every timer.

It knows no NTP client. A Raspberry Pi has no clock battery: until the wall clock stands past the newest time that we
know has been (the build, or the last time kept on disk) it is `UNSET`, and frames say so.
"""

import time
from collections.abc import Callable
from enum import IntEnum

# No reading can have been taken before this version existed: 2026-11-01T00:00:00Z.
BUILT_US = 1_793_491_200_000_000


class ClockState(IntEnum):
    """How far a frame's wall times may be trusted (formats §1)."""

    SET = 0
    UNSET = 1
    CORRECTED = 2


def wall_us() -> int:
    """Microseconds since 1970 UTC by the system's clock, right or wrong."""
    return time.time_ns() // 1000


def monotonic_us() -> int:
    """Microseconds since this machine started; never steps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


class Clock:
    """Wall and monotonic time of this gateway, and the number of this boot.

    `floor_us` is the newest wall time that is known to have passed; `boot` counts the starts of the gateway with
    this buffer, from 1 (0 until the buffer has been opened).
    """

    def __init__(
        self,
        wall: Callable[[], int] = wall_us,
        monotonic: Callable[[], int] = monotonic_us,
        floor_us: int = BUILT_US,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._floor_us = floor_us
        self.boot = 0

    def now_us(self) -> int:
        """Wall time in µs UTC; ask `state` before believing it."""
        return self._wall()

    def mono_us(self) -> int:
        """Monotonic µs; only differences mean something, and only within one boot."""
        return self._monotonic()

    def raise_floor(self, us: int) -> None:
        """Tell the clock of a wall time that has certainly passed."""
        self._floor_us = max(self._floor_us, us)

    @property
    def state(self) -> ClockState:
        """SET when the wall clock stands past everything that is known to have been, else UNSET."""
        return ClockState.SET if self._wall() >= self._floor_us else ClockState.UNSET
