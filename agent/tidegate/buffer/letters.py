"""Dead letters: frames that one target's broker never takes. They stay in the buffer, and can be sent once more.

A row of the ledger closes the number for that target, in the transaction that moves its cursor past it (formats §2).
Sending it again opens both: the row names no number any more, and the target is owed it as it was before.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import Protocol

from tidegate.buffer.state import State, faults
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why

Span = tuple[str, int, int]


class FrameSource(Protocol):
    """What Buffer.read answers with, as far as it matters here."""

    @property
    def frames(self) -> tuple[tuple[int, Frame], ...]:
        """Frames with their numbers."""


class Letters:
    """Those of one buffer. `read` is Buffer.read, `executor` the writer's thread, `announce` the committer's."""

    def __init__(
        self,
        state: State,
        executor: Executor,
        read: Callable[[str, int, int, int], Awaitable[FrameSource]],
        announce: Callable[[], None],
    ) -> None:
        self._state = state
        self._executor = executor
        self._read = read
        self._announce = announce

    def kept(self, target: str = "") -> tuple[Gap, ...]:
        """Rows of dead letters whose frame the buffer still has: of one target, or of all. May be asked on the loop."""
        floors = {numbering.epoch: numbering.floor for numbering in self._state.catalog.numberings}
        return tuple(
            gap
            for gap in self._state.ledger.letters
            if gap.epoch in floors and gap.frames[0][0] >= floors[gap.epoch] and target in ("", *gap.targets)
        )

    async def bury(self, target: str, epoch: str, number: int) -> None:
        """This target never gets this number; nothing happens where it has gone already. Raises BufferFault."""
        page = await self._read(epoch, number, number, 1)
        for found, frame in page.frames:
            if found == number:
                at = frame.gateway_us
                gap = Gap(
                    Why.DEAD_LETTER, at, at, frame.count, "exact", device=frame.device or None,
                    frames=((number, number),), epoch=epoch, targets=(target,),
                )  # fmt: skip
                await asyncio.get_running_loop().run_in_executor(self._executor, self._write, gap, target, number)
        self._announce()

    async def resubmit(self, target: str) -> list[Span]:
        """A target is owed its dead letters again; which numbers those are. Raises BufferFault."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._open, target)

    def _write(self, gap: Gap, target: str, number: int) -> None:
        state, numbers = self._state, [(number, number)]
        state.cursors.add(target, gap.epoch, numbers, number)
        try:
            with faults("dead letter"), state.transaction():
                state.ledger.write([gap])
        except BaseException:
            state.cursors.uncover(target, gap.epoch, numbers)
            raise
        state.ledger.read_letters()

    def _open(self, target: str) -> list[Span]:
        state, letters = self._state, self.kept(target)
        for gap in letters:
            state.cursors.uncover(target, gap.epoch, gap.frames)
        try:
            with faults("dead letters"), state.transaction():
                state.ledger.open_letters(gap.id for gap in letters)
        except BaseException:
            for gap in letters:
                state.cursors.add(target, gap.epoch, gap.frames, gap.frames[-1][1])
            raise
        state.ledger.read_letters()
        return [(gap.epoch, first, last) for gap in letters for first, last in gap.frames]
