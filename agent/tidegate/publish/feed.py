"""Feed: numbered frames in, data messages out. Makes the messages of one lane of one connection, run by run.

It knows what fits a message and what may stand together in one; it knows neither who is first nor the broker.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tidegate.clock import Known
from tidegate.model.frame import Frame, Kind
from tidegate.model.tag import TagTable
from tidegate.publish.formats.tidegate_json import Lane, Piece, TidegateJson
from tidegate.publish.restamp import restamp

# So many readings make an envelope's and a packet's cost vanish; more would only make the loop's steps longer.
MESSAGE_READINGS_MAX = 20_000
# What a frame costs in memory beside its columns.
FRAME_BYTES_EXTRA = 256


@dataclass(frozen=True, slots=True)
class Batch:
    """One data message to be: an unbroken stretch of numbers of one epoch, in one run of one lane."""

    lane: Lane
    run: int
    epoch: str
    pieces: tuple[Piece, ...]
    since_s: float

    @property
    def first(self) -> int:
        """The first number that it covers."""
        return self.pieces[0].number

    @property
    def last(self) -> int:
        """The last number that it covers."""
        return self.pieces[-1].number

    @property
    def readings(self) -> int:
        """Readings in it."""
        return sum(piece.readings for piece in self.pieces)

    @property
    def tables(self) -> list[bytes]:
        """Hashes of the tables that a subscriber needs for it, in the order of their first use."""
        return list(dict.fromkeys(piece.table for piece in self.pieces if piece.table is not None))

    @property
    def part(self) -> tuple[int, int] | None:
        """Which part of its only frame it is; None when its frames are whole."""
        return self.pieces[0].part


@dataclass(frozen=True, slots=True)
class _Waiting:
    epoch: str
    number: int
    frame: Frame
    since_s: float
    size: int


class Feed:
    """The frames that wait in one lane. `tables` must hold the table of a frame before `take` comes to it.

    A frame longer than `piece_bytes_max` is cut into parts: it would not fit any message of this connection.
    `new_run` gives the number of a new run; one begins wherever a number is not the last one + 1. `spoiled` is told of
    a frame that can't be put in a message (its table is lost, or it is not what its table says), with the reason.
    `time_known` gives a moment of a boot at which the time was known: what was taken before it gets its right time.
    `bound` gives the last number that may share a message with a number, None where all may.
    """

    def __init__(
        self,
        lane: Lane,
        format: TidegateJson,
        tables: Mapping[bytes, TagTable],
        new_run: Callable[[], int],
        spoiled: Callable[[str, int, str], None],
        piece_bytes_max: int,
        time_known: Callable[[int], Known | None] = lambda boot: None,
        bound: Callable[[str, int], int | None] = lambda epoch, number: None,
    ) -> None:
        self._lane = lane
        self._format = format
        self._tables = tables
        self._new_run = new_run
        self._spoiled = spoiled
        self._piece_bytes_max = piece_bytes_max
        self._time_known = time_known
        self._bound = bound
        self._waiting: deque[_Waiting] = deque()
        # Made of the waiting frame that was taken last, and not yet in a message; with its epoch and time.
        self._pieces: deque[Piece] = deque()
        self._epoch = ""
        self._since_s = 0.0
        self._next: tuple[str, int] | None = None
        # The run that the last message was of; 0 when it has ended, or none has begun.
        self.run = 0
        self.bytes_waiting = 0

    def put(self, epoch: str, number: int, frame: Frame, since_s: float) -> None:
        """One more frame; numbers of an epoch rise. `since_s`: when it was committed, in loop time."""
        size = len(frame.values) + len(frame.tags) + len(frame.source_us) + len(frame.side) + FRAME_BYTES_EXTRA
        self._waiting.append(_Waiting(epoch, number, frame, since_s, size))
        self.bytes_waiting += size

    def __len__(self) -> int:
        return len(self._waiting) + len(self._pieces)

    @property
    def oldest_s(self) -> float | None:
        """When the frame that waits longest was committed; None when none waits."""
        if self._pieces:
            return self._since_s
        return self._waiting[0].since_s if self._waiting else None

    def end_run(self) -> None:
        """Forget what waits; what is put next begins a new run."""
        self._waiting.clear()
        self._pieces.clear()
        self.bytes_waiting = 0
        self._next = None
        self.run = 0

    def take(self, bytes_max: int) -> Batch | None:
        """The next message, of at most `bytes_max` without its envelope (or one piece); None when nothing waits."""
        pieces: list[Piece] = []
        size = readings = 0
        epoch, since_s = "", 0.0
        bound: int | None = None
        while self._ready():
            piece = self._pieces[0]
            if pieces:
                if bound is not None and piece.number > bound:
                    break
                follows = self._epoch == epoch and piece.number == pieces[-1].number + 1 and piece.part is None
                fits = size + len(piece.data) < bytes_max and readings + piece.readings <= MESSAGE_READINGS_MAX
                if not follows or not fits:
                    break
            else:
                epoch, since_s = self._epoch, self._since_s
                bound = self._bound(epoch, piece.number)
            pieces.append(self._pieces.popleft())
            size += len(piece.data) + 1
            readings += piece.readings
            if piece.part is not None:
                break
        if not pieces:
            return None
        first = (epoch, pieces[0].number)
        part = pieces[0].part
        if first != self._next and (part is None or part[0] == 1):
            self.run = self._new_run()
        self._next = (epoch, pieces[-1].number + 1)
        return Batch(self._lane, self.run, epoch, tuple(pieces), since_s)

    def _ready(self) -> bool:
        """Whether there is a piece; the next waiting frame is cut up when the one before is used up."""
        while not self._pieces:
            if not self._waiting:
                return False
            waiting = self._waiting.popleft()
            self.bytes_waiting -= waiting.size
            table = self._tables.get(waiting.frame.table)
            if table is None and waiting.frame.kind != Kind.GAP:
                self._spoiled(waiting.epoch, waiting.number, f"tag table {waiting.frame.table.hex()} is lost")
                continue
            try:
                frame = restamp(waiting.frame, self._time_known)
                made = self._format.pieces(waiting.number, waiting.epoch, frame, table, self._piece_bytes_max)
            except ValueError as error:
                self._spoiled(waiting.epoch, waiting.number, str(error))
                continue
            self._pieces.extend(made)
            self._epoch, self._since_s = waiting.epoch, waiting.since_s
        return True
