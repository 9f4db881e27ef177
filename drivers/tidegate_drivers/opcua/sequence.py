"""Sequence numbers of notifications: 1 to 2^32 - 1, and then 1 again (OPC 10000-4 §7.25)."""

from collections.abc import Iterable

LAST = 0xFFFFFFFF
HALF = 1 << 31


def after(number: int) -> int:
    """The number that follows; of 0, which is before all, it is 1."""
    return 1 if number == LAST else number + 1


def ahead(number: int, of: int) -> int:
    """How many steps `number` lies ahead of `of`; negative where it lies behind."""
    if of == 0:
        return number
    steps = (number - of) % LAST
    return steps if steps < HALF else steps - LAST


def newer(numbers: Iterable[int], than: int) -> list[int]:
    """Those ahead of a number, in their order."""
    return sorted((number for number in numbers if ahead(number, than) > 0), key=lambda number: ahead(number, than))
