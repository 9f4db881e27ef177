"""Committer: when a commit is due, and what follows from one. The loop's half of the group commit; one at a time.

put ─▶ intake ─▶ due by time, readings or bytes ─▶ writer thread ─▶ numbers to the futures ─▶ listeners
                                                      └─ fault: the same batch again after RETRY_S
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

from tidegate.buffer.block import Encoded
from tidegate.buffer.intake import Intake, Load
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.state import State
from tidegate.buffer.writer import NO_TABLE, Done, Writer
from tidegate.errors import BufferFault, Shed
from tidegate.model.frame import FRAME_BYTES_MAX, Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.progress import Progress

log = logging.getLogger(__name__)

RETRY_S = 1.0
# A commit that takes longer hangs in the disk; one that fails is tried again, and a restart would not help it.
PATIENCE_S = 120.0
INT64_MAX = (1 << 63) - 1
RECENT_COMMITS = 4096


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit added: numbers first..last of `epoch`, one a frame, in order; gap frames are among them."""

    epoch: str
    first: int
    last: int
    frames: tuple[Frame, ...]


@dataclass(slots=True)
class Figures:
    """What has been counted since the start."""

    commits: int = 0
    frames: int = 0
    readings: int = 0
    shed_readings: int = 0
    commit_ms: float = 0.0
    commit_ms_max: float = 0.0
    fault: str = ""


class Committer:
    """Takes frames and rows, and has them committed by the writer thread (`executor`).

    `documents` are the tag tables' documents by hash: a frame of another table is refused.
    """

    def __init__(self, state: State, writer: Writer, executor: Executor, documents: Mapping[bytes, bytes]) -> None:
        self._settings: BufferSettings = state.settings
        self._state = state
        self._writer = writer
        self._executor = executor
        self._documents = documents
        self._intake = Intake(state.settings)
        self._listeners: list[Callable[[Committed], None]] = []
        self._recent: deque[tuple[str, int, int]] = deque(maxlen=RECENT_COMMITS)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._load: Load | None = None
        self._began_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._age_timer: asyncio.TimerHandle | None = None
        self._aging = ("", 0)
        self._flushes: list[tuple[int, asyncio.Future[None]]] = []
        self._done = self._attempts = 0
        self._closed = self._stopped = False
        self.figures = Figures()
        self.epoch, self.last = state.epoch, state.last

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to commit."""
        self._loop = loop
        self.announce()
        self._arm()

    @property
    def queue_readings(self) -> int:
        """Readings in memory that are not committed."""
        return self._intake.readings

    def progress(self) -> Progress:
        """Whether what waits is being committed."""
        owes = self._load is not None or not self._intake.empty
        return Progress("commits", self._attempts, owes, PATIENCE_S + self._settings.commit_interval_s)

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """Wait for room; a future of the frame's number, done when it is committed, or Shed."""
        data = frame.encode()
        if frame.table != NO_TABLE and frame.table not in self._documents:
            raise ValueError(f"{frame.device}: no tag table {frame.table.hex()} is known here")
        if len(data) > FRAME_BYTES_MAX:
            raise ValueError(f"{frame.device}: a frame of {len(data)} bytes; at most {FRAME_BYTES_MAX} are taken")
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if self._closed or not await self._intake.room(frame.count, len(data)):
            self._shed(frame, future)
            return future
        self._intake.push(Encoded(frame, data), future)
        self._arm()
        return future

    def _shed(self, frame: Frame, future: "asyncio.Future[int]") -> None:
        self.figures.shed_readings += frame.count
        why = "the buffer is closing" if self._closed else f"no room within {self._settings.put_deadline_s:g} s"
        future.set_exception(Shed(f"{frame.device}: {frame.count} readings were dropped: {why}"))
        # Whoever needs no commit may forget the future: that must not be reported as an error nobody saw.
        future.exception()
        at = frame.gateway_us
        self.tell(Gap(Why.SHED, at, at, frame.count, "exact", device=frame.device))

    def tell(self, gap: Gap) -> None:
        """A row for the ledger, announced in the next block. Raises ValueError for one that no row can hold."""
        # Checked here, where it came from: in the writer's thread it would stand in the way of every commit.
        gap.encode()
        if max(abs(gap.t0), abs(gap.t1), abs(gap.n)) > INT64_MAX:
            raise ValueError(f"a gap's times and count must fit 64 bits: {gap}")
        self._intake.tell(gap)
        self._arm()

    def listen(self, callback: Callable[[Committed], None]) -> Callable[[], None]:
        """Call back after each commit, until what is returned is called."""
        self._listeners.append(callback)

        def end() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return end

    async def flush(self) -> None:
        """Returns when everything that came in so far is committed."""
        if self._done >= self._intake.came and not self._state.ledger.waits:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._flushes.append((self._intake.came, waiting))
        self._arm()
        try:
            await waiting
        finally:
            self._flushes = [entry for entry in self._flushes if entry[1] is not waiting]

    def announce(self) -> None:
        """There may be ledger rows that no gap frame has announced."""
        if self._state.ledger.waits:
            self._arm(announcing=True)

    def renumbered(self, epoch: str) -> None:
        """A new epoch has begun."""
        if self.epoch != epoch:
            self.epoch, self.last = epoch, 0

    def close(self) -> None:
        """Nobody comes in any more. What waits is committed all the same: `flush` after this."""
        self._closed = True
        self._loop = self._loop or asyncio.get_running_loop()
        self._intake.turn_away()
        if self._age_timer is not None:
            self._age_timer.cancel()

    def stop(self) -> None:
        """The writer is gone: what is not committed now never will be."""
        self._stopped = True

    def taken_us(self, epoch: str, number: int) -> int | None:
        """Earliest gateway time of a recent commit that holds a number; None when it is not that recent."""
        found = None
        for of, last, t0 in reversed(self._recent):
            if of != epoch or last < number:
                break
            found = t0
        return found

    def _arm(self, announcing: bool = False) -> None:
        """See to it that a commit happens when it is due."""
        if self._loop is None or self._load is not None:
            return
        if self._intake.full or self._flushes:
            self._begin()
        elif self._timer is None and (announcing or not self._intake.empty):
            self._timer = self._loop.call_later(self._settings.commit_interval_s, self._begin)

    def _begin(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._load is None:
            self._load = self._intake.take(self._documents)
            self._submit()

    def _submit(self) -> None:
        assert self._loop is not None
        assert self._load is not None
        self._began_s = self._loop.time()
        future = self._loop.run_in_executor(self._executor, self._writer.commit, self._load.batch)
        future.add_done_callback(self._ended)

    def _ended(self, future: "asyncio.Future[Done]") -> None:
        assert self._loop is not None
        if future.cancelled():
            return
        self._attempts += 1
        error = future.exception()
        if error is not None:
            self._failed(error)
            return
        load, self._load = self._load, None
        assert load is not None
        self._count(load, future.result())
        self._intake.release(load.readings, load.bytes)
        self._confirm(load, future.result())
        waited = [waiting for came, waiting in self._flushes if came <= self._done and not self._state.ledger.waits]
        for waiting in waited:
            if not waiting.done():
                waiting.set_result(None)
        self._flushes = [entry for entry in self._flushes if entry[1] not in waited]
        self._arm(announcing=self._state.ledger.waits)

    def _failed(self, error: BaseException) -> None:
        assert self._loop is not None
        if str(error) != self.figures.fault:
            unforeseen = not isinstance(error, BufferFault)
            log.error("%s; tried again every %g s", error, RETRY_S, exc_info=error if unforeseen else None)
        self.figures.fault = str(error) or repr(error)
        if self._stopped:
            return
        self._loop.call_later(RETRY_S, self._again)

    def _again(self) -> None:
        if not self._stopped:
            self._submit()

    def _count(self, load: Load, done: Done) -> None:
        assert self._loop is not None
        figures = self.figures
        if figures.fault:
            log.warning("commits work again (it was: %s)", figures.fault)
        figures.fault = ""
        self._done += load.came
        if not done.frames:
            return
        figures.commits += 1
        figures.frames += len(done.frames)
        figures.readings += load.readings
        figures.commit_ms = (self._loop.time() - self._began_s) * 1000
        figures.commit_ms_max = max(figures.commit_ms_max, figures.commit_ms)
        self._recent.append((done.epoch, done.last, min(frame.gateway_us for frame in done.frames)))

    def _confirm(self, load: Load, done: Done) -> None:
        """Numbers to the futures, frames to the listeners."""
        self._age(done)
        self.epoch, self.last = done.epoch, done.last
        if not done.frames:
            return
        first = done.last - len(load.futures) + 1
        for number, future in enumerate(load.futures, first):
            if not future.done():
                future.set_result(number)
        committed = Committed(done.epoch, done.first, done.last, done.frames)
        for callback in tuple(self._listeners):
            try:
                callback(committed)
            except Exception:
                log.exception("a listener failed; the commit stands")

    def _age(self, done: Done) -> None:
        """A segment that takes commits is sealed in time, also when nothing comes any more."""
        assert self._loop is not None
        if (done.epoch, done.active) == self._aging:
            return
        self._aging = (done.epoch, done.active)
        if self._age_timer is not None:
            self._age_timer.cancel()
            self._age_timer = None
        if done.active and not self._closed:
            self._age_timer = self._loop.call_later(self._settings.segment_age_s, self._seal_aged)

    def _seal_aged(self) -> None:
        assert self._loop is not None
        future = self._loop.run_in_executor(self._executor, self._writer.seal_aged, *self._aging)
        future.add_done_callback(self._sealed)

    def _sealed(self, future: "asyncio.Future[None]") -> None:
        if not future.cancelled() and future.exception() is not None:
            # The next commit proves the segment and seals it first.
            log.error("%s", future.exception())
        self.announce()
