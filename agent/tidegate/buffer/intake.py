"""Intake: what waits in memory for the next commit, and who waits for room in it. Bounded in every way."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tidegate.buffer.block import Encoded
from tidegate.buffer.ledger import weakest
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.writer import Batch
from tidegate.model.gap import Gap, Why

# Past so many rows that wait, what is told is joined to a row of its kind, whatever device it is of.
TOLD_MAX = 1000


@dataclass(slots=True)
class Load:
    """One commit's batch, and the futures of its frames."""

    batch: Batch = field(default_factory=Batch)
    futures: "list[asyncio.Future[int]]" = field(default_factory=list)
    readings: int = 0
    bytes: int = 0
    came: int = 0


@dataclass(slots=True)
class _Waiter:
    readings: int
    size: int
    admitted: "asyncio.Future[None]"


class Intake:
    """Frames in the order in which they were put. Counts those that a commit has taken until it is done."""

    def __init__(self, settings: BufferSettings) -> None:
        self._settings = settings
        # A commit takes no more than half a segment, so that a long queue does not become one huge segment.
        self._load_bytes_max = max(settings.commit_bytes, settings.segment_bytes // 2)
        self._frames: deque[tuple[Encoded, asyncio.Future[int]]] = deque()
        self._told: list[Gap] = []
        self._waiters: deque[_Waiter] = deque()
        self._in_vain = False
        self.readings = 0
        self.bytes = 0
        # Readings and bytes that no commit has taken yet.
        self.waiting_readings = 0
        self.waiting_bytes = 0
        # How many frames and rows ever came in: who waits for a flush waits for a count.
        self.came = 0
        self._told_came = 0

    @property
    def empty(self) -> bool:
        """Whether no frame and no row waits for a commit."""
        return not self._frames and not self._told

    @property
    def full(self) -> bool:
        """Whether a commit is due for its size."""
        settings = self._settings
        return self.waiting_readings >= settings.commit_readings or self.waiting_bytes >= settings.commit_bytes

    def fits(self, readings: int, size: int) -> bool:
        """Whether a frame may come in now. One that is bigger than everything may when nothing else is there."""
        settings = self._settings
        if not self.readings and not self.bytes:
            return True
        return self.readings + readings <= settings.queue_readings_max and self.bytes + size <= settings.queue_bytes_max

    async def room(self, readings: int, size: int) -> bool:
        """Reserve room for a frame, behind those that wait already; False when there was none in time.

        Once somebody waited in vain nobody else waits, until a commit succeeds: a disk that takes nothing must not slow
        the polls, of which one bus makes many.
        """
        if not self._waiters and self.fits(readings, size):
            self._reserve(readings, size)
            return True
        if self._in_vain:
            return False
        waiter = _Waiter(readings, size, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._settings.put_deadline_s):
                await waiter.admitted
        except BaseException as error:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._admit()
            elif not waiter.admitted.cancelled() and waiter.admitted.exception() is None:
                # Admitted in the moment of giving up: the room goes to the next.
                self.release(readings, size)
            if isinstance(error, (TimeoutError, _TurnedAway)):
                self._in_vain = isinstance(error, TimeoutError)
                return False
            raise
        return True

    def _reserve(self, readings: int, size: int) -> None:
        self.readings += readings
        self.bytes += size

    def release(self, readings: int, size: int) -> None:
        """Room that is free again, for those who wait."""
        self._in_vain = False
        self.readings -= readings
        self.bytes -= size
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self.fits(self._waiters[0].readings, self._waiters[0].size):
            waiter = self._waiters.popleft()
            if not waiter.admitted.done():
                self._reserve(waiter.readings, waiter.size)
                waiter.admitted.set_result(None)

    def turn_away(self) -> None:
        """Nobody comes in any more."""
        for waiter in self._waiters:
            if not waiter.admitted.done():
                waiter.admitted.set_exception(_TurnedAway())
        self._waiters.clear()

    def push(self, encoded: Encoded, future: "asyncio.Future[int]") -> None:
        """A frame that has its room."""
        self._frames.append((encoded, future))
        self.waiting_readings += encoded.frame.count
        self.waiting_bytes += len(encoded.data)
        self.came += 1

    def tell(self, gap: Gap) -> None:
        """A row for the ledger. Sheds of one device, and anything past TOLD_MAX, join a row that waits already."""
        self.came += 1
        self._told_came += 1
        for i, other in enumerate(self._told):
            if _alike(other, gap, crowded=len(self._told) >= TOLD_MAX):
                self._told[i] = _joined(other, gap)
                return
        self._told.append(gap)

    def take(self, tables: Mapping[bytes, bytes]) -> Load:
        """What the next commit takes: all rows, and frames up to its limit. `tables` are the documents by hash."""
        load = Load()
        load.batch.told, self._told = self._told, []
        load.came, self._told_came = self._told_came, 0
        while self._frames and (not load.bytes or load.bytes < self._load_bytes_max):
            encoded, future = self._frames.popleft()
            load.batch.frames.append(encoded)
            load.futures.append(future)
            load.readings += encoded.frame.count
            load.bytes += len(encoded.data)
            load.came += 1
            table = encoded.frame.table
            if table in tables:
                load.batch.tables[table] = tables[table]
        self.waiting_readings -= load.readings
        self.waiting_bytes -= load.bytes
        return load


class _TurnedAway(Exception):
    """The buffer closes."""


def _alike(one: Gap, other: Gap, crowded: bool) -> bool:
    if one.why != other.why or one.frames or other.frames or one.targets != other.targets:
        return False
    return crowded or (one.why is Why.SHED and one.device == other.device)


def _joined(one: Gap, other: Gap) -> Gap:
    same_device = one.device == other.device
    return replace(
        one,
        t0=min(one.t0, other.t0),
        t1=max(one.t1, other.t1),
        n=one.n + other.n,
        n_is=weakest(one.n_is, other.n_is),
        device=one.device if same_device else None,
        tags=one.tags if same_device and one.tags == other.tags else None,
    )
