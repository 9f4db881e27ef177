"""Buffer: keeps what was put until it is acknowledged and its room is needed, and numbers it. The loop's side of it.

It knows no broker and no driver. All that blocks happens in its writer and reader threads.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.identity import box
from tidegate.model.tag import TagTable
from tidegate.proof import Ranges


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit added: numbers first..last of `epoch`, one a frame, in order; gap frames are among them."""

    epoch: str
    first: int
    last: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """An answer to `read`: frames with their numbers, rising. Numbers up to `upto` that are not among them are gone."""

    frames: tuple[tuple[int, Frame], ...]
    upto: int


@dataclass(frozen=True, slots=True)
class Extent:
    """The numbers of one epoch that the buffer still answers for: first..last, none when last < first."""

    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class BufferStatus:
    """One look at the buffer. Times in µs UTC; `unacknowledged` are frames by target, over all epochs.

    `oldest_us` is the gateway time of the oldest frame that some target still waits for (None when none does), `fault`
    is why the last commit failed ("" when it did not).
    """

    epoch: str
    first: int
    last: int
    gaps: int
    bytes_used: int
    quota_bytes: int
    segments: int
    commits: int
    frames: int
    readings: int
    shed_readings: int
    queue_readings: int
    queue_readings_max: int
    unacknowledged: tuple[tuple[str, int], ...]
    oldest_us: int | None
    commit_ms: float
    commit_ms_max: float
    fault: str


class Buffer:
    """The buffer of one gateway. Made by `open`; everything else is called on the loop, after `start`."""

    @classmethod
    def open(
        cls, settings: BufferSettings, clock: Clock, targets: Sequence[str], identity: Callable[[], str] = box
    ) -> "Buffer":
        """Lock the folder, recover what a crash left, count a new boot (`clock.boot`). Blocks.

        Raises BufferLocked when another process holds the folder, BufferDamaged when it can't be used at all.
        A target that the buffer has never seen is owed what comes from now on (see `since`).
        """
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to commit; announces what the start found missing."""

    async def close(self) -> None:
        """Commit all that was put, store the cursors, seal, unlock. Safe to call twice."""

    def know(self, table: TagTable) -> None:
        """A table that frames may use; it is kept with the first block of a segment that uses it."""

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """See acquire.driver.Sink. Raises ValueError for a frame whose columns don't fit."""
        raise NotImplementedError

    async def flush(self) -> None:
        """Returns when everything put or told so far is committed."""

    def tell(self, gap: Gap) -> None:
        """Something is missing that never got a number: a ledger row, announced in the next block. Never blocks."""

    def listen(self, callback: Callable[[Committed], None]) -> Callable[[], None]:
        """Call back on the loop after each commit, in order. Returns what ends it."""
        raise NotImplementedError

    @property
    def epoch(self) -> str:
        """The id of the current numbering."""
        raise NotImplementedError

    @property
    def last(self) -> int:
        """The last committed number of the current epoch; 0 when there is none."""
        raise NotImplementedError

    @property
    def first(self) -> int:
        """The floor: the lowest number of the current epoch that may still be read."""
        raise NotImplementedError

    @property
    def gaps(self) -> int:
        """How many rows the ledger has had; their ids are 1..gaps."""
        raise NotImplementedError

    def extents(self) -> tuple[Extent, ...]:
        """What is kept of each epoch, older ones first, the current one last."""
        raise NotImplementedError

    async def read(self, epoch: str, first: int, last: int, bytes_max: int) -> Page:
        """Frames from `first` on, at most to `last`, at most about `bytes_max` encoded (one frame at least).

        A page ends early at the end of a segment: go on at `upto` + 1.
        """
        raise NotImplementedError

    async def table(self, hash: bytes) -> TagTable:
        """The tag table of this hash; raises KeyError when it was never used."""
        raise NotImplementedError

    def since(self, target: str, epoch: str) -> int:
        """The first number of the epoch that this target is owed: from there on every number comes or is in a gap."""
        raise NotImplementedError

    def cursor(self, target: str, epoch: str) -> Ranges:
        """A copy of what need not be sent: acknowledged (stored or not yet), never owed, or gone (in the ledger)."""
        raise NotImplementedError

    def acknowledge(
        self, target: str, epoch: str, acknowledged: Ranges | tuple[int, int], messages_max: int = 16
    ) -> None:
        """One message was acknowledged. The cursor is stored within a second, or at once past `messages_max`."""

    def unstored(self, target: str) -> int:
        """Messages acknowledged whose cursor is not on disk yet: these plus those in flight are a kill's duplicates."""
        raise NotImplementedError

    async def gone(self, epoch: str, numbers: Ranges) -> list[tuple[Ranges, Why]]:
        """Which of these numbers will not come any more, and why."""
        raise NotImplementedError

    async def renumber(self, reason: str) -> str:
        """Begin a new epoch, since the current numbers were seen elsewhere (formats §2 c); returns its id."""
        raise NotImplementedError

    def status(self) -> BufferStatus:
        """How the buffer is now."""
        raise NotImplementedError
