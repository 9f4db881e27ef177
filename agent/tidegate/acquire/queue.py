"""Queue: the turns of one bus whose time has come. Fast groups go ahead of slow ones, which are never passed for ever.

It does not know what a read is, nor what time it is: it counts turns.
"""

from collections import deque
from typing import Generic, TypeVar

from tidegate.acquire.turn import Turn

Owner = TypeVar("Owner")

# Of so many turns taken, one is the turn that waits longest, whatever its interval. So a turn with n others ahead of it
# in the order of coming is taken within (n + 1) * LONGEST_EVERY takings, and fast groups keep 7/8 of a full bus.
LONGEST_EVERY = 8


class Queue(Generic[Owner]):
    """Turns by interval, shortest first, and within one interval as they came. A turn is in it at most once."""

    def __init__(self) -> None:
        # By interval, ascending: few, and they stay, since a bus has the same groups for ever.
        self._lanes: dict[int, deque[Turn[Owner]]] = {}
        self._came = 0
        self._taken = 0
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def put(self, turn: Turn[Owner]) -> None:
        """A turn waits from now on."""
        lane = self._lanes.get(turn.interval_us)
        if lane is None:
            lane = self._lanes[turn.interval_us] = deque()
            self._lanes = dict(sorted(self._lanes.items()))
        self._came += 1
        turn.came = self._came
        lane.append(turn)
        self._waiting += 1

    def take(self) -> Turn[Owner]:
        """Whose turn it is. Raises IndexError when nobody waits."""
        if not self._waiting:
            raise IndexError("nobody waits")
        lanes = [lane for lane in self._lanes.values() if lane]
        self._taken += 1
        lane = lanes[0]
        if self._taken % LONGEST_EVERY == 0:
            for other in lanes:
                if other[0].came < lane[0].came:
                    lane = other
        self._waiting -= 1
        return lane.popleft()

    def clear(self) -> list[Turn[Owner]]:
        """Take all out, in no order that matters."""
        turns = [turn for lane in self._lanes.values() for turn in lane]
        for lane in self._lanes.values():
            lane.clear()
        self._waiting = 0
        return turns
