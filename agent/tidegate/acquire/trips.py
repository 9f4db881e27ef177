"""Trips: how long the reads of one unit take, in a histogram of fixed size. It knows no unit and no clock."""

from array import array

# Eight steps for each doubling: what is told is at most a sixteenth off.
STEPS_BITS = 3
STEPS = 1 << STEPS_BITS
# Up to 2**27 µs, which is over two minutes.
OCTAVES = 27
# Then all counts are halved, so that the last some thousand reads are told, and not those of last year.
KEPT_MAX = 4096


class Trips:
    """Round trips in µs. Adding one makes no object that stays."""

    def __init__(self) -> None:
        self.last_us = 0
        self._counts = array("H", bytes(2 * STEPS * OCTAVES))
        self._kept = 0

    def add(self, trip_us: int) -> None:
        """One more read."""
        self.last_us = trip_us
        scale = max(trip_us.bit_length() - STEPS_BITS - 1, 0)
        index = scale * STEPS + (trip_us >> scale)
        self._counts[index if index < STEPS * OCTAVES else -1] += 1
        self._kept += 1
        if self._kept == KEPT_MAX:
            for at, count in enumerate(self._counts):
                self._counts[at] = count >> 1
            self._kept = sum(self._counts)

    def within_us(self, share: float) -> int:
        """The time within which this share of the reads was done, to a sixteenth; 0 before the first."""
        left = share * self._kept
        for index, count in enumerate(self._counts):
            left -= count
            if count and left <= 0:
                scale = max(index // STEPS - 1, 0)
                return ((index - scale * STEPS) << scale) + (1 << scale >> 1)
        return 0
