"""Cursors: what each target has acknowledged, in memory. The loop adds, the writer thread stores; a lock lies between.

It knows no window and no disk. A cursor also covers what its target was never owed and what is gone for good.
"""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tidegate.proof import Ranges

RANGES_STORED_MAX = 4096


@dataclass(frozen=True, slots=True)
class Mark:
    """A cursor as it is stored: everything up to `upto`, and the ranges `above`. `messages` went into it since."""

    target: str
    epoch: str
    since: int
    upto: int
    above: tuple[tuple[int, int], ...]
    messages: int = 0


@dataclass(slots=True)
class _Cursor:
    since: int
    covered: Ranges = field(default_factory=Ranges)
    messages: int = 0
    dirty: bool = False


class Cursors:
    """The cursors of all targets that the buffer ever had; `targets` are those that are configured now."""

    def __init__(self, targets: Sequence[str], marks: Iterable[Mark]) -> None:
        self.targets = tuple(targets)
        self._lock = threading.Lock()
        self._cursors: dict[tuple[str, str], _Cursor] = {}
        for mark in marks:
            covered = Ranges(mark.above)
            if mark.upto > 0:
                covered.add(1, mark.upto)
            self._cursors[mark.target, mark.epoch] = _Cursor(mark.since, covered)

    def begin(self, target: str, epoch: str, since: int) -> None:
        """A target is owed the numbers of an epoch from `since` on."""
        with self._lock:
            covered = Ranges([(1, since - 1)]) if since > 1 else Ranges()
            self._cursors[target, epoch] = _Cursor(since, covered, dirty=True)

    def has(self, target: str, epoch: str) -> bool:
        """Whether the target has a cursor in this epoch."""
        with self._lock:
            return (target, epoch) in self._cursors

    def since(self, target: str, epoch: str) -> int | None:
        """The first number owed; None when nothing of this epoch is."""
        with self._lock:
            cursor = self._cursors.get((target, epoch))
            return None if cursor is None else cursor.since

    def covered(self, target: str, epoch: str) -> Ranges | None:
        """A copy of what need not be sent; None when nothing of this epoch is owed."""
        with self._lock:
            cursor = self._cursors.get((target, epoch))
            return None if cursor is None else cursor.covered.copy()

    def add(self, target: str, epoch: str, pairs: Iterable[Sequence[int]], last: int) -> int:
        """A message was acknowledged, of numbers up to `last`. Returns how many messages are not stored yet."""
        with self._lock:
            cursor = self._cursors.get((target, epoch))
            if cursor is None:
                return 0
            for first, end in pairs:
                if first <= min(end, last):
                    cursor.covered.add(max(1, first), min(end, last))
            cursor.messages += 1
            cursor.dirty = True
            return self._unstored(target)

    def uncover(self, target: str, epoch: str, pairs: Iterable[Sequence[int]]) -> None:
        """A target is owed these numbers after all."""
        with self._lock:
            cursor = self._cursors.get((target, epoch))
            if cursor is not None:
                for first, last in pairs:
                    cursor.covered.remove(first, last)
                cursor.dirty = True

    def unstored(self, target: str) -> int:
        """Messages of a target that are acknowledged and not stored."""
        with self._lock:
            return self._unstored(target)

    def _unstored(self, target: str) -> int:
        return sum(c.messages for (name, _), c in self._cursors.items() if name == target)

    def marks(self, floors: Iterable[tuple[str, int]] = (), everything: bool = False) -> list[Mark]:
        """What is to be stored: cursors that changed, as they are with these floors (epoch, floor)."""
        raised = dict(floors)
        with self._lock:
            changed = [
                (key, cursor) for key, cursor in self._cursors.items() if everything or cursor.dirty or key[1] in raised
            ]
            return [self._mark(target, epoch, c, raised.get(epoch, 1)) for (target, epoch), c in changed]

    def _mark(self, target: str, epoch: str, cursor: _Cursor, floor: int) -> Mark:
        covered = cursor.covered
        if floor > 1:
            covered = covered.copy()
            covered.add(1, floor - 1)
        upto = covered.reach(1)
        # Past the limit the highest ranges are left out: their numbers are sent again, never lost.
        above = [pair for pair in covered if pair[0] > upto][:RANGES_STORED_MAX]
        return Mark(target, epoch, self._since(target, cursor, floor), upto, tuple(above), cursor.messages)

    def _since(self, target: str, cursor: _Cursor, floor: int) -> int:
        """A target that is not configured is owed nothing that goes meanwhile."""
        return cursor.since if target in self.targets else max(cursor.since, floor)

    def stored(self, marks: Iterable[Mark]) -> None:
        """These marks are on disk."""
        with self._lock:
            for mark in marks:
                cursor = self._cursors.get((mark.target, mark.epoch))
                if cursor is not None:
                    cursor.messages -= mark.messages
                    cursor.dirty = cursor.messages > 0

    def raise_to(self, epoch: str, floor: int) -> None:
        """Numbers below the floor are gone; the ledger says so where somebody waited for them."""
        with self._lock:
            for (target, of), cursor in self._cursors.items():
                if of == epoch and floor > 1:
                    cursor.covered.add(1, floor - 1)
                    cursor.since = self._since(target, cursor, floor)

    def forget(self, epoch: str) -> None:
        """Nothing is left of this epoch."""
        with self._lock:
            for key in [key for key in self._cursors if key[1] == epoch]:
                del self._cursors[key]

    def waiting(self, target: str, epoch: str, first: int, last: int) -> Ranges:
        """Numbers of first..last that a target is owed and has not acknowledged."""
        with self._lock:
            cursor = self._cursors.get((target, epoch))
            return cursor.covered.holes(first, last) if cursor is not None else Ranges()

    def highest(self, epoch: str) -> int:
        """The highest number that anybody acknowledged or need not get; 0 for none."""
        with self._lock:
            covered = [c.covered for (_, of), c in self._cursors.items() if of == epoch]
        return max((last for ranges in covered for _, last in ranges), default=0)

    def lowest(self, epoch: str) -> int | None:
        """Up to which number every configured target has everything of an epoch; None when nobody is owed any."""
        with self._lock:
            reached = [c.covered.reach(1) for (t, of), c in self._cursors.items() if of == epoch and t in self.targets]
            return min(reached, default=None)
