"""Pace: the silence that a unit wants between two requests, whichever of its groups they are for."""

import asyncio
from collections.abc import Callable


class Pace:
    """One unit's. `pause_s` 0 is none."""

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self._free_at = 0.0

    async def wait(self, time: Callable[[], float]) -> None:
        """Wait until the unit may be asked. Who waits at the same time comes after."""
        if not self.pause_s:
            return
        now = time()
        at = max(now, self._free_at)
        self._free_at = at + self.pause_s
        if at > now:
            await asyncio.sleep(at - now)

    def begin(self, now: float) -> None:
        """A request of it has ended: from now on it is left alone."""
        if self.pause_s:
            self._free_at = max(self._free_at, now + self.pause_s)
