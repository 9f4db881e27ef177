"""The timer wheel: what is due when, in ticks, and the phases that spread groups over it. It waits for nothing itself.

Waking up costs more than reading, so that everything due within one tick shares a wake-up.
"""

import heapq
from collections.abc import Collection
from typing import Generic, TypeVar

Item = TypeVar("Item")

TICK_US = 5_000
# Groups of one interval begin in at most so many slots of it: enough to share out the load, few enough to share
# wake-ups.
SLOTS_MAX = 10
SLOT_US_MIN = 10_000
# A slow group begins within this time too, so that nobody waits an hour for the first reading of an hourly tag.
SPREAD_US_MAX = 5_000_000


class Wheel(Generic[Item]):
    """Items by the tick at which they are due. Times are monotonic µs."""

    def __init__(self) -> None:
        self._slots: dict[int, list[Item]] = {}
        self._ticks: list[int] = []

    def add(self, at_us: int, item: Item) -> int:
        """Put an item in; the time at which it will be due: the first tick that is not before `at_us`."""
        tick = -(-at_us // TICK_US)
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [item]
            heapq.heappush(self._ticks, tick)
        else:
            slot.append(item)
        return tick * TICK_US

    def remove(self, items: Collection[Item]) -> None:
        """Take these out, wherever they are. Costs a look at everything: for a changed configuration."""
        for tick, slot in self._slots.items():
            self._slots[tick] = [item for item in slot if item not in items]

    def next_us(self, otherwise_us: int) -> int:
        """When the next item is due, but at the latest `otherwise_us`."""
        return min(self._ticks[0] * TICK_US, otherwise_us) if self._ticks else otherwise_us

    def due(self, now_us: int) -> list[Item]:
        """Take out everything that is due, in the order of its ticks, and of adding within a tick."""
        found: list[Item] = []
        while self._ticks and self._ticks[0] * TICK_US <= now_us:
            found += self._slots.pop(heapq.heappop(self._ticks))
        return found


def phase_us(interval_us: int, index: int) -> int:
    """How long after the start the `index`th group of an interval is due first: whole ticks, spread over slots."""
    window_us = min(interval_us, SPREAD_US_MAX)
    slots = max(1, min(SLOTS_MAX, window_us // SLOT_US_MIN))
    return index % slots * window_us // slots // TICK_US * TICK_US
