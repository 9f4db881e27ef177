"""BusPlan: what a bus is asked for in each cycle, and how long that takes it, as its driver foresees it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlannedRequest:
    """One request: what it asks for in the driver's words, how many pieces (`unit`s) that is, how many are no tag's."""

    what: str
    size: int
    wasted: int
    unit: str
    tags: tuple[str, ...]
    time_s: float


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """The requests of one group of one device. `time_s` is that of a whole read: some may be under way together."""

    device: str
    group: str
    interval_s: float
    deadline_s: float
    requests: tuple[PlannedRequest, ...]
    time_s: float

    @property
    def load(self) -> float:
        """The share of its time that it takes of a bus which reads one group at a time."""
        return self.time_s / self.interval_s


@dataclass(frozen=True, slots=True)
class BusPlan:
    """A bus, in words what it is (`kind`: line, or connection) and is taken to be, and all that is read over it.

    `lanes` groups are read at a time. `remedies`: what the driver would change where that is too much, each a sentence.
    """

    bus: str
    kind: str
    words: str
    lanes: int
    groups: tuple[PlannedGroup, ...]
    remedies: tuple[str, ...] = ()

    @property
    def load(self) -> float:
        """The share of its time that it has to work; above 1 it can't."""
        return sum(group.load for group in self.groups) / self.lanes
