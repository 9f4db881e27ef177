"""Ranges: the set of numbers that a proof, a cursor and a request reckon with. Standard library only."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence


class Ranges:
    """A set of integers as sorted, disjoint, non-adjacent, inclusive ranges: [[1, 90], [95, 100]] (formats §3).

    Costs memory by the number of ranges, not of numbers.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, pairs: Iterable[Sequence[int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in pairs:
            self.add(first, last)

    def add(self, first: int, last: int) -> int:
        """Put in every number of first..last; how many of them were new. Raises ValueError when last < first."""
        if last < first:
            raise ValueError(f"a range must not end before it begins: [{first}, {last}]")
        low = bisect_left(self._lasts, first - 1)
        high = bisect_right(self._firsts, last + 1)
        known = 0
        new_first, new_last = first, last
        for i in range(low, high):
            known += max(0, min(last, self._lasts[i]) - max(first, self._firsts[i]) + 1)
            new_first, new_last = min(new_first, self._firsts[i]), max(new_last, self._lasts[i])
        self._firsts[low:high] = [new_first]
        self._lasts[low:high] = [new_last]
        return last - first + 1 - known

    def remove(self, first: int, last: int) -> None:
        """Take out every number of first..last; nothing when last < first."""
        if last < first:
            return
        low = bisect_left(self._lasts, first)
        high = bisect_right(self._firsts, last)
        left = [(a, b) for i in range(low, high) for a, b in self._outside(i, first, last)]
        self._firsts[low:high] = [a for a, _ in left]
        self._lasts[low:high] = [b for _, b in left]

    def _outside(self, i: int, first: int, last: int) -> Iterator[tuple[int, int]]:
        if self._firsts[i] < first:
            yield self._firsts[i], first - 1
        if self._lasts[i] > last:
            yield last + 1, self._lasts[i]

    def update(self, other: "Ranges") -> None:
        """Put in every number of another set."""
        for first, last in other:
            self.add(first, last)

    def holes(self, first: int, last: int) -> "Ranges":
        """The numbers of first..last that are not in the set; empty when last < first."""
        holes = Ranges()
        at = first
        for i in range(bisect_left(self._lasts, first), bisect_right(self._firsts, last)):
            if self._firsts[i] > at:
                holes.add(at, self._firsts[i] - 1)
            at = self._lasts[i] + 1
        if at <= last:
            holes.add(at, last)
        return holes

    def within(self, first: int, last: int) -> "Ranges":
        """The numbers of the set that lie in first..last."""
        return self.holes(first, last).holes(first, last) if last >= first else Ranges()

    def without(self, other: "Ranges") -> "Ranges":
        """The numbers of the set that are not in the other."""
        left = Ranges()
        for first, last in self:
            left.update(other.holes(first, last))
        return left

    def reach(self, first: int) -> int:
        """The last number of the unbroken stretch that begins at `first`; first - 1 when it is not in the set."""
        i = bisect_left(self._lasts, first)
        return self._lasts[i] if i < len(self._firsts) and self._firsts[i] <= first else first - 1

    def head(self, numbers_max: int, ranges_max: int) -> "Ranges":
        """The lowest numbers of the set, so many at most in so many ranges at most."""
        lowest = Ranges()
        for first, last in list(self)[:ranges_max]:
            if numbers_max <= 0:
                break
            lowest.add(first, min(last, first + numbers_max - 1))
            numbers_max -= last - first + 1
        return lowest

    @property
    def total(self) -> int:
        """How many numbers are in the set."""
        return sum(b - a + 1 for a, b in self)

    @property
    def pairs(self) -> list[list[int]]:
        """The shape that goes into messages and files."""
        return [[a, b] for a, b in self]

    def copy(self) -> "Ranges":
        """An independent copy."""
        copied = Ranges()
        copied._firsts, copied._lasts = self._firsts.copy(), self._lasts.copy()
        return copied

    def __contains__(self, number: int) -> bool:
        return self.reach(number) >= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __len__(self) -> int:
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._firsts == other._firsts and self._lasts == other._lasts

    def __str__(self) -> str:
        """`1..4, 7..7`, for people; `none` when it is empty."""
        return ", ".join(f"{first}..{last}" for first, last in self) or "none"

    def __repr__(self) -> str:
        return f"Ranges({self.pairs})"
