"""Sorting: what numbers come to that somebody wants again: kept, gone for a reason, or still on their way."""

from dataclasses import dataclass, field

from tidegate.buffer.buffer import Buffer
from tidegate.proof import Ranges


@dataclass(slots=True)
class Sorted:
    """Numbers of one epoch, for one target. `gone` will not come any more, with why; `pending` was not acknowledged
    yet and is sent anyway; `kept` can be sent again.
    """

    gone: list[tuple[Ranges, str]] = field(default_factory=list)
    pending: Ranges = field(default_factory=Ranges)
    kept: Ranges = field(default_factory=Ranges)


async def sort(buffer: Buffer, target: str, epoch: str, want: Ranges) -> Sorted:
    """Sort what is wanted; nothing of it is known when the epoch is not, nor what lies past its last number."""
    extent = next((extent for extent in buffer.extents() if extent.epoch == epoch), None)
    if extent is None:
        return Sorted()
    want = want.within(1, extent.last)
    gone = [(ranges, why.value) for ranges, why in await buffer.gone(target, epoch, want)]
    left = want.within(extent.first, extent.last)
    for ranges, _ in gone:
        left = left.without(ranges)
    pending = left.without(buffer.cursor(target, epoch))
    return Sorted(gone, pending, left.without(pending))
