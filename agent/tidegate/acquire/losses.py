"""Losses: polls that gave no reading, gathered into few gaps. It does not know why a poll failed, only what it is told.

A loss is told soon after it began, so that a crash forgets little, and then ever less often while it lasts: a device
that is down for a day is some 1,500 rows of the ledger, not a million. It is told at once when it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.model.gap import Gap, Why

TELL_S_MIN = 1.0
TELL_S_MAX = 60.0


@dataclass(slots=True)
class _Episode:
    """One device, one reason: what was lost since it was last told, and when to tell next (monotonic s).

    While it is open no reading has come since: its time runs on, so that a reply that is dropped late lies within.
    """

    t0: int
    t1: int
    n: int
    wait_s: float
    tell_at_s: float
    open: bool = True
    groups: set[tuple[str, ...] | None] = field(default_factory=set)


class Losses:
    """Gathers losses by device and reason. `tell` takes each gap; times of gaps are µs UTC, of the rest monotonic s."""

    def __init__(self, tell: Callable[[Gap], None]) -> None:
        self._tell = tell
        self._episodes: dict[str, dict[Why, _Episode]] = {}

    def add(
        self, device: str, why: Why, readings: int, t0: int, t1: int, now_s: float, tags: tuple[str, ...] | None = None
    ) -> None:
        """`readings` of a device, of these tags (None = all), did not come between t0 and t1 µs."""
        episodes = self._episodes.setdefault(device, {})
        episode = episodes.get(why)
        if episode is None:
            episode = episodes[why] = _Episode(t0, t1, 0, TELL_S_MIN, now_s + TELL_S_MIN)
        elif episode.n == 0:
            # What was told reached up to t1; while it is open the next gap begins where that one ended.
            episode.t0 = min(t0, episode.t1) if episode.open else t0
        else:
            episode.t0 = min(t0, episode.t0)
        episode.t1 = max(t1, episode.t1)
        episode.n += readings
        episode.open = True
        episode.groups.add(tags)

    def ended(self, device: str, t1: int) -> None:
        """A reading of the device has come."""
        for episode in self._episodes.get(device, {}).values():
            if episode.open:
                episode.open = False
                episode.t1 = max(t1, episode.t1)

    def tell_due(self, now_s: float, now_us: int) -> None:
        """Tell what has waited long enough. An episode that ended, and was told, is forgotten."""
        for device, episodes in list(self._episodes.items()):
            for why, episode in list(episodes.items()):
                if now_s < episode.tell_at_s:
                    continue
                if episode.open:
                    episode.t1 = max(now_us, episode.t1)
                if episode.n:
                    self._tell_one(device, why, episode, now_s)
                elif not episode.open:
                    del episodes[why]
            if not episodes:
                del self._episodes[device]

    def tell_now(self, device: str, now_s: float) -> None:
        """Tell what is pending of a device that went down, or is well again."""
        for why, episode in self._episodes.get(device, {}).items():
            if episode.n:
                self._tell_one(device, why, episode, now_s)

    def close(self, device: str, now_us: int) -> None:
        """Tell what is pending of a device that is polled no more, and forget it."""
        for why, episode in self._episodes.pop(device, {}).items():
            if episode.open:
                episode.t1 = max(now_us, episode.t1)
            if episode.n:
                self._tell_one(device, why, episode, 0.0)

    def tell_all(self, now_us: int) -> None:
        """Tell what is pending of all devices: it is the end."""
        for device, episodes in self._episodes.items():
            for why, episode in episodes.items():
                if episode.open:
                    episode.t1 = max(now_us, episode.t1)
                if episode.n:
                    self._tell_one(device, why, episode, 0.0)
        self._episodes.clear()

    def _tell_one(self, device: str, why: Why, episode: _Episode, now_s: float) -> None:
        # One group's tags are named; more than one is the device.
        tags = next(iter(episode.groups)) if len(episode.groups) == 1 else None
        self._tell(Gap(why, episode.t0, episode.t1, episode.n, "exact", device, tags))
        episode.n = 0
        episode.groups.clear()
        episode.tell_at_s = now_s + episode.wait_s
        episode.wait_s = min(2 * episode.wait_s, TELL_S_MAX)
