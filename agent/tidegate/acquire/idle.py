"""Idle: readers that have nothing to read, until somebody wakes them. It does not know what there is to do."""

import asyncio
from collections import deque


class Idle:
    """Those of one bus, in the order in which they fell idle."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def wait(self) -> None:
        """Until woken."""
        idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(idle)
        await idle

    def wake_one(self) -> None:
        """Whoever waits longest."""
        while self._waiting:
            idle = self._waiting.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    def wake_all(self) -> None:
        """All who wait."""
        while self._waiting:
            self.wake_one()
