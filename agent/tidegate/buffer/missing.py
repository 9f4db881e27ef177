"""Missing: what of the numbers will not come, and why; and the ledger rows for what turns out unreadable."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tidegate.buffer.ledger import Ledger
from tidegate.buffer.segment import Damage
from tidegate.buffer.state import State
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

log = logging.getLogger(__name__)


def note(state: State, epoch: str, damaged: Sequence[Damage]) -> None:
    """Put numbers that can't be read into the ledger, each once. Raises sqlite3.Error."""
    numbering = state.catalog.numbering(epoch)
    if not damaged or numbering is None:
        return
    closed = state.ledger.closed(epoch)
    gaps = []
    for damage in damaged:
        holes = closed.holes(max(damage.first, numbering.floor), damage.last)
        if holes:
            # The row's own count of readings is no better proven than its data.
            times, n = (damage.t0, damage.t1), damage.readings
            gaps.append(Gap(damage.why, *times, n, "unknown", frames=tuple(holes), epoch=epoch))
            log.error("epoch %s: numbers %s are %s (%s)", epoch, holes.pairs, damage.why, damage.what)
    if gaps:
        with state.transaction():
            state.ledger.write(gaps)


def unnamed(gaps: Iterable[Gap], ledger: Ledger) -> list[Gap]:
    """These rows without the numbers that the ledger closes already; not at all where none is left."""
    left = []
    for gap in gaps:
        frames = Ranges(gap.frames).without(ledger.closed(gap.epoch))
        if frames == Ranges(gap.frames):
            left.append(gap)
        elif frames:
            left.append(replace(gap, frames=tuple(frames), n_is="unknown"))
    return left


def news(state: State, epoch: str, damaged: Sequence[Damage]) -> bool:
    """Whether any of these numbers is one that the ledger does not close. Raises sqlite3.Error."""
    closed = state.ledger.closed(epoch)
    return any(closed.holes(d.first, d.last) for d in damaged)


def gone(state: State, target: str, epoch: str, numbers: Ranges) -> list[tuple[Ranges, Why]]:
    """Which of these numbers a target will not get, by reason. Raises sqlite3.Error.

    What the ledger does not name and lies below the floor was acknowledged by every target before it went.
    """
    numbering = state.catalog.numbering(epoch)
    closed = [(gap.frames, gap.why) for gap in state.ledger.closing(epoch, target)]
    if numbering is None:
        closed.append((tuple(numbers), Why.EVICTED))
    elif numbering.floor > 1:
        closed.append((((1, numbering.floor - 1),), Why.EVICTED))
    left = numbers.copy()
    found: dict[Why, Ranges] = {}
    for frames, why in closed:
        for first, last in frames:
            for a, b in left.within(first, last):
                found.setdefault(why, Ranges()).add(a, b)
                left.remove(a, b)
    return [(ranges, why) for why, ranges in found.items()]
