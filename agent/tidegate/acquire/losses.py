"""Losses: polls that gave no reading, gathered into few gaps. It does not know why a poll failed, only what it is told.

A loss is told soon after it began, so that little is forgotten in a crash, and then ever less often while it lasts:
a device that is down for a day is some 1,500 rows of the ledger, not a million.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tidegate.model.gap import Gap, Why

TELL_S_MIN = 1.0
TELL_S_MAX = 60.0


@dataclass(slots=True)
class _Episode:
    """One device, one reason: what was lost since it was last told, and when to tell next (monotonic s)."""

    t0: int
    t1: int
    n: int
    wait_s: float
    tell_at_s: float


class Losses:
    """Gathers losses by device and reason. `tell` takes each gap; times of gaps are µs UTC, of the rest monotonic s."""

    def __init__(self, tell: Callable[[Gap], None]) -> None:
        self._tell = tell
        self._episodes: dict[tuple[str, Why], _Episode] = {}

    def add(self, device: str, why: Why, readings: int, t0: int, t1: int, now_s: float) -> None:
        """`readings` of a device did not come between t0 and t1 µs."""
        episode = self._episodes.get((device, why))
        if episode is None:
            self._episodes[device, why] = _Episode(t0, t1, readings, TELL_S_MIN, now_s + TELL_S_MIN)
            return
        if episode.n == 0:
            episode.t0 = min(t0, episode.t1)
        episode.t1 = max(t1, episode.t1)
        episode.n += readings

    def tell_due(self, now_s: float) -> None:
        """Tell what has waited long enough. An episode that lost nothing since it was last told is over."""
        for (device, why), episode in list(self._episodes.items()):
            if now_s < episode.tell_at_s:
                continue
            if episode.n == 0:
                del self._episodes[device, why]
                continue
            self._tell_one(device, why, episode)
            episode.wait_s = min(2 * episode.wait_s, TELL_S_MAX)
            episode.tell_at_s = now_s + episode.wait_s

    def tell_all(self, device: str | None = None) -> None:
        """Tell at once what is pending of a device that is well again, or of all of them."""
        for name, why in list(self._episodes):
            if device is None or device == name:
                episode = self._episodes.pop((name, why))
                if episode.n:
                    self._tell_one(name, why, episode)

    def _tell_one(self, device: str, why: Why, episode: _Episode) -> None:
        self._tell(Gap(why, episode.t0, episode.t1, episode.n, "exact", device))
        episode.n = 0
