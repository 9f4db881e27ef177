"""Watchdog: feeds the service manager's while every part of every stage moves, or has nothing to do.

It runs on the loop, so that a loop that is held up starves it too. It mends nothing: a restart is the manager's.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tidegate.model.progress import Progress
from tidegate.notify import Notifier

# Looks without a manager that wants to be fed, and the longest time between two.
LOOK_S_MAX = 5.0
# Looks in the manager's interval: one may come late without harm.
LOOKS = 4

log = logging.getLogger("tidegate.watchdog")


@dataclass(slots=True)
class _Seen:
    """A part as it was last seen to move (loop time)."""

    moved: int
    at_s: float
    told: bool = False


class Watchdog:
    """`parts` are asked at each look; `words` is the line that the manager shows."""

    def __init__(self, notifier: Notifier, parts: Callable[[], Iterable[Progress]], words: Callable[[], str]) -> None:
        self._notifier = notifier
        self._parts = parts
        self._words = words
        self._seen: dict[str, _Seen] = {}
        self._said = ""

    async def run(self) -> None:
        """Look, feed, say how it is; until cancelled."""
        wanted_s = self._notifier.watchdog_s
        pause_s = min(LOOK_S_MAX, wanted_s / LOOKS) if wanted_s is not None else LOOK_S_MAX
        loop = asyncio.get_running_loop()
        while True:
            still = self.look(loop.time())
            if not still:
                self._notifier.feed()
            words = f"{', '.join(still)} stands still" if still else self._words()
            if words != self._said:
                self._said = words
                self._notifier.status(words)
            await asyncio.sleep(pause_s)

    def look(self, now_s: float) -> list[str]:
        """The parts that stand still though they have something to do; each is told in the log once."""
        still, before = [], self._seen
        self._seen = {}
        for part in self._parts():
            seen = before.get(part.part)
            if seen is None or seen.moved != part.moved or not part.owes:
                seen = _Seen(part.moved, now_s)
            self._seen[part.part] = seen
            if now_s - seen.at_s <= part.patience_s:
                continue
            still.append(part.part)
            if not seen.told:
                seen.told = True
                log.critical(
                    "%s has work and got nothing done for %.0f s: the watchdog is not fed until it moves",
                    part.part, now_s - seen.at_s,
                )  # fmt: skip
        return still
