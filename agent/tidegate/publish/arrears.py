"""Arrears: how much of the buffer one target has not acknowledged, and for how long the disk can bear it."""

from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock

# Before it, nothing can be said about how fast the disk fills.
DISK_LOOK_S_MIN = 60.0
DAY_S = 86_400.0


class Arrears:
    """What is owed to one target; the disk's rate is measured from when this was made."""

    def __init__(self, target: str, buffer: Buffer, clock: Clock) -> None:
        self._target = target
        self._buffer = buffer
        self._clock = clock
        self._first_look_us = clock.mono_us()

    @property
    def frames(self) -> int:
        """Frames that are owed and not acknowledged."""
        owed = 0
        for extent in self._buffer.extents():
            first = max(extent.first, self._buffer.since(self._target, extent.epoch))
            cursor = self._buffer.cursor(self._target, extent.epoch)
            owed += cursor.holes(first, extent.last).total
        return owed

    def age_s(self, frames: int) -> float:
        """How old the oldest of so many owed frames is; the buffer knows it for the slowest target."""
        oldest_us = self._buffer.status().oldest_us
        return max(0.0, (self._clock.now_us() - oldest_us) / 1e6) if frames and oldest_us is not None else 0.0

    def disk_days(self) -> float | None:
        """How many days of readings like those since the start fit the buffer; None when it is too early to tell."""
        status = self._buffer.status()
        look_s = (self._clock.mono_us() - self._first_look_us) / 1e6
        kept = sum(extent.last - extent.first + 1 for extent in self._buffer.extents())
        if look_s < DISK_LOOK_S_MIN or not status.frames or kept <= 0 or not status.bytes_used:
            return None
        bytes_s = status.bytes_used / kept * status.frames / look_s
        return status.quota_bytes / bytes_s / DAY_S
