"""Renewal: a new numbering, when the current one turns out to have been used elsewhere (formats §2 c).

What this run committed before it heard of that has numbers that name other frames by now: it is numbered again. A kill
in the middle of that leaves some of it under both numbers.
"""

import asyncio
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, Protocol

from tidegate.buffer.state import State, faults
from tidegate.model.frame import Frame, Kind
from tidegate.proof import Ranges

PAGE_BYTES = 1 << 20


class Renewed(Protocol):
    """What of the buffer it takes to number frames again."""

    async def read(self, epoch: str, first: int, last: int, bytes_max: int) -> Any:
        """A page of frames."""

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """Take a frame."""

    async def flush(self) -> None:
        """Everything put so far is committed."""


async def number_again(buffer: Renewed, state: State, writing: Executor, epoch: str, first: int | None) -> None:
    """Give the frames of an epoch from `first` on new numbers in the current one, and take them from what is owed.

    Frames keep their content and their order; gaps are announced anew, and so are not moved. None: nothing is.
    """
    numbering = state.catalog.numbering(epoch)
    last = 0 if numbering is None else numbering.last
    if first is None or last < first:
        return
    at = first
    while at <= last:
        page = await buffer.read(epoch, at, last, PAGE_BYTES)
        for _, frame in page.frames:
            if frame.kind != Kind.GAP:
                await buffer.put(frame)
        at = max(at, page.upto) + 1
    await buffer.flush()
    for target in state.cursors.targets:
        state.cursors.add(target, epoch, ((first, last),), last)
    await asyncio.get_running_loop().run_in_executor(writing, _abandon, state, epoch, Ranges([(first, last)]))
    await buffer.flush()


def _abandon(state: State, epoch: str, numbers: Ranges) -> None:
    with faults("new epoch"), state.transaction():
        state.ledger.lose_carriers(epoch, numbers)
    numbering = state.catalog.numbering(epoch)
    if numbering is not None:
        # Nobody is to be told of them as numbers of this epoch, or to get them as such.
        state.catalog.number(replace(numbering, last=numbers.pairs[0][0] - 1))
