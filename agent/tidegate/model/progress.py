"""Progress: what a part of a stage says of itself, so that somebody can see whether it still moves."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One look at one part of a stage.

    `moved` is a number that changes with everything the part gets done, failed attempts too. `owes` says whether it
    has something to do now; while it does, it has to move within `patience_s`, which is longer than all its deadlines.
    """

    part: str
    moved: int
    owes: bool
    patience_s: float
