"""Turn: one group's place in time. Its cycles lie on a grid that never drifts; missed ones are counted, not made up."""

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from tidegate.model.device import Group

Owner = TypeVar("Owner")


@dataclass(slots=True, eq=False)
class Turn(Generic[Owner]):
    """The cycles of one group, whose device is `unit`. Times are monotonic µs.

    `due_us` is the cycle to be read next. The cycles of a parked turn pass: it is on no wheel and in no queue, since
    its bus or its device is gone. So do those of a resting turn, that failed and waits on the wheel to be tried again.
    `failures` are those in a row. `lost_us` of the bus's time were lost by failures lately, counted at `lost_at_us`.
    `came` is its number in the order of those that came into its queue.
    """

    unit: Owner
    group: Group
    due_us: int = 0
    parked: bool = False
    resting: bool = False
    failures: int = 0
    lost_us: int = 0
    lost_at_us: int = 0
    came: int = 0
    interval_us: int = field(init=False)
    deadline_us: int = field(init=False)

    def __post_init__(self) -> None:
        self.interval_us = round(self.group.interval_s * 1e6)
        self.deadline_us = round(self.group.deadline_s * 1e6)

    def skip(self, now_us: int) -> int:
        """Pass over the cycles that can't be read in time any more, and say how many they were.

        A cycle may be read late, until the next one is due.
        """
        passed = (now_us - self.due_us) // self.interval_us
        if passed <= 0:
            return 0
        self.due_us += passed * self.interval_us
        return passed
