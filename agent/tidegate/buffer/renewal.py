"""Renewal: a new numbering, when the current one turns out to have been used elsewhere (formats §2 c).

What this run committed before it heard of that has numbers that name other frames by now: it is numbered again.

    new epoch begins, and the old numbers are cut off ─▶ a page: read, put, committed ─▶ how far it is ─▶ the next page
    one transaction of control.db                                                         one transaction

A kill before the first leaves all as it was. After it nothing is delivered under the old numbers any more; the next
start goes on with the page that was cut off, and finds in the new epoch which frames of it have their numbers already.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from tidegate.buffer.catalog import Renewal
from tidegate.buffer.state import State, faults
from tidegate.errors import BufferFault, Shed
from tidegate.model.frame import Frame, Kind
from tidegate.proof import Ranges

log = logging.getLogger(__name__)

RETRY_S = 1.0


class Kept(Protocol):
    """A page of what is kept."""

    @property
    def frames(self) -> tuple[tuple[int, Frame], ...]:
        """Frames with their numbers."""

    @property
    def upto(self) -> int:
        """The last number that the page answers for."""


class Source(Protocol):
    """What of the buffer it takes to number frames again."""

    async def kept(self, epoch: str, first: int, last: int, bytes_max: int) -> Kept:
        """A page of frames, delivered or not."""

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """Take a frame."""

    async def flush(self) -> None:
        """Everything put so far is committed."""


def cut(state: State, first: int | None, into: str) -> Renewal | None:
    """Within the transaction that begins the epoch `into`: the current one's numbers from `first` on end here.

    Gaps among them are announced anew. None where there is nothing to number again.
    """
    if first is None or state.last < first:
        return None
    renewal = Renewal(state.epoch, first, state.last, first - 1, into, 0)
    state.control.store_renewal(renewal)
    state.ledger.lose_carriers(state.epoch, Ranges([(first, state.last)]))
    return renewal


def adopt(state: State, renewal: Renewal) -> None:
    """It is committed: nobody is told of these numbers, or gets what is under them."""
    state.renewals[renewal.epoch] = renewal
    numbering = state.catalog.numbering(renewal.epoch)
    if numbering is not None:
        state.catalog.number(replace(numbering, last=min(numbering.last, renewal.first - 1)))


class Renewer:
    """Gives frames new numbers, those of an earlier run first, for as long as there are any."""

    def __init__(
        self, state: State, writing: Executor, source: Source, learn: Callable[[bytes], Awaitable[None]]
    ) -> None:
        self._state = state
        self._writing = writing
        self._source = source
        self._learn = learn
        self._task: asyncio.Task[None] | None = None

    def start(self) -> "asyncio.Task[None]":
        """See to it that it is done; the task that ends when it is."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return self._task

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while (renewal := self._next()) is not None:
            try:
                await self._page(renewal)
            except (BufferFault, Shed, KeyError) as error:
                log.error("frames of epoch %s wait for new numbers: %s", renewal.epoch, error)
                await asyncio.sleep(RETRY_S)

    def _next(self) -> Renewal | None:
        return next((r for r in list(self._state.renewals.values()) if r.moved < r.last), None)

    async def _page(self, renewal: Renewal) -> None:
        """Frames keep their content and their order."""
        bytes_max = self._state.settings.renewal_bytes
        page = await self._source.kept(renewal.epoch, renewal.moved + 1, renewal.last, bytes_max)
        there = await self._there(renewal)
        futures = []
        for _, frame in page.frames:
            if frame.kind == Kind.GAP:
                continue
            if there[frame]:
                there[frame] -= 1
                continue
            await self._learn(frame.table)
            futures.append(await self._source.put(frame))
        await self._source.flush()
        for future in futures:
            await future
        moved = replace(renewal, moved=max(renewal.moved + 1, page.upto))
        await asyncio.get_running_loop().run_in_executor(self._writing, _store, self._state, moved)

    async def _there(self, renewal: Renewal) -> Counter[Frame]:
        """Frames that have a number in the new epoch since the last page was done: a run that was killed put them."""
        found: Counter[Frame] = Counter()
        numbering = self._state.catalog.numbering(renewal.into)
        at, last = renewal.after + 1, 0 if numbering is None else numbering.last
        while at <= last:
            page = await self._source.kept(renewal.into, at, last, self._state.settings.renewal_bytes)
            found.update(frame for _, frame in page.frames)
            at = max(at, page.upto) + 1
        return found


def _store(state: State, moved: Renewal) -> None:
    """Write down how far it is. Nobody is owed these numbers under the old epoch."""
    before = state.renewals[moved.epoch]
    for target in state.cursors.targets:
        state.cursors.add(target, moved.epoch, ((before.moved + 1, moved.moved),), moved.moved)
    done = replace(moved, into=state.epoch, after=state.last)
    with faults("new epoch"), state.transaction():
        state.control.store_renewal(done)
    state.renewals[moved.epoch] = done
