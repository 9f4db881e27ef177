"""Delays: how long the units of a line take to answer, so that a spoiled reply is not waited for any longer.

A reply that another unit talked into never becomes whole. Waiting for it until the deadline would cost the line a
second, each time; its own time is some hundredths. It knows no bytes and counts what was spoiled, by device.
"""

from math import inf

# The longest delay of a unit is forgotten by so much with each of its replies.
KEPT = 0.99
# A unit may take so many times its longest delay.
TIMES = 2


class Delays:
    """Those of one line, in seconds without the time that bytes travel. It outlives connections."""

    def __init__(self) -> None:
        self.spoiled: dict[str, int] = {}
        self._longest: dict[int, float] = {}

    def answered(self, unit: int, delay_s: float) -> None:
        """A unit answered, after so long."""
        self._longest[unit] = max(delay_s, KEPT * self._longest.get(unit, 0.0))

    def within_s(self, unit: int) -> float:
        """After so long the reply has begun, if it comes: never, of a unit that is not known."""
        return TIMES * self._longest.get(unit, inf)

    def spoil(self, device: str) -> None:
        """What came was no reply of this device."""
        self.spoiled[device] = self.spoiled.get(device, 0) + 1
