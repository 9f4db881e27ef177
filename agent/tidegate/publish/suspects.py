"""Suspects: data that the broker may never take. Finds the one frame that it refuses, and lets all else flow.

    refused by name (PUBACK) ─────────────────────────────────▶ split ─▶ … ─▶ one number ─▶ condemned ─▶ dead letter
    closed without a word, again and again ─▶ one in flight ─▶ smaller ─┘                       │ (once the broker took
                                                                                                │  something else)
                                                nothing else is taken either: it is not the data, the target is parked

It decides and remembers, over a target's connections; it sends nothing and writes nothing.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from tidegate.errors import PublishError, TargetRefused
from tidegate.proof import Ranges
from tidegate.publish.brokers import FirstIsBack
from tidegate.publish.faults import SessionTaken, TooLarge
from tidegate.publish.formats.tidegate_json import Lane
from tidegate.publish.window import Sent

Span = tuple[str, int, int]

# Messages get no smaller than this, whatever a broker dislikes.
MESSAGE_BYTES_MIN = 4_096
# So often in a row, so soon after it was handed over, a connection ends with a message in flight before that is
# blamed: then one message is in flight at a time, so that the next end names its culprit.
SILENT_ENDS_MAX = 3
SILENT_END_S_MAX = 10.0
# How often one number alone must end a connection before it is taken for poison; any other cause may do it once.
ALONE_ENDS_MAX = 2
# A refused message goes again in so many pieces: 4,096 frames are down to one after three refusals.
PIECES = 16
# Refused one after the other, with nothing taken in between, it is not the data that is wrong.
CONDEMNED_MAX = 3
RANGES_MAX = 512
DEAD_LETTERS_MAX = 100
DEAD_LETTERS_S = 3600.0
# What was learned about sizes is forgotten after a connection of such length.
LEARNED_S_MAX = 600.0


@dataclass(frozen=True, slots=True)
class End:
    """How a connection ended: the fault, what was in flight, and the message that the broker named, if it did."""

    fault: PublishError
    connected: bool
    lived_s: float
    at_s: float
    in_flight: tuple[Sent, ...]
    culprit: Sent | None


class Suspects:
    """What one target suspects. `careful`: one message in flight at a time."""

    def __init__(self, message_bytes_max: int) -> None:
        self._usual_bytes_max = message_bytes_max
        self.message_bytes_max = message_bytes_max
        self.careful = False
        self._careful_s = self._split_s = 0.0
        # Numbers that must not share a message with others than those of their own range.
        self._ranges: list[Span] = []
        self._condemned: list[tuple[str, int]] = []
        self._silent_ends = 0
        self._alone: tuple[str, int] = ("", 0)
        self._alone_ends = 0
        self._buried_s: deque[float] = deque()

    @property
    def systemic(self) -> bool:
        """Whether so much is refused that it can't be the data: somebody has to look."""
        return (
            len(self._condemned) >= CONDEMNED_MAX
            or len(self._ranges) > RANGES_MAX
            or len(self._buried_s) > DEAD_LETTERS_MAX
        )

    def condemned(self, epoch: str) -> Ranges:
        """Numbers that are not sent: they wait for the broker to take anything else."""
        return Ranges((number, number) for of, number in self._condemned if of == epoch)

    def bound(self, epoch: str, number: int) -> int | None:
        """The last number that may share a message with this one; None where all may."""
        ahead = [(first, last) for of, first, last in self._ranges if of == epoch and last >= number]
        ends = [last if first <= number else first - 1 for first, last in ahead]
        return min(ends, default=None)

    def refused(self, sent: Sent, now_s: float) -> list[Span]:
        """The broker refused this very message: what is to be sent again, in smaller pieces."""
        if sent.lane is None or sent.lane is Lane.REPLAY:
            return []
        if sent.first == sent.last:
            self._condemn(sent.epoch, sent.first)
            return []
        return self._split(sent.epoch, sent.first, sent.last, now_s)

    def accepted(self, sent: Sent, now_s: float) -> list[tuple[str, int]]:
        """The broker took this message. The numbers that are proven to be poison by that: they are dead letters."""
        if sent.lane is None:
            return []
        if self._ranges:
            # What was removed from the buffer meanwhile will never be taken: nothing is suspected for ever.
            old = now_s - self._split_s > LEARNED_S_MAX
            self._ranges = [] if old else [r for r in self._ranges if not _inside(r, sent.epoch, sent.first, sent.last)]
        proven, self._condemned = self._condemned, []
        if self.careful and not self._ranges and (proven or now_s - self._careful_s >= SILENT_END_S_MAX):
            self.careful = False
        self._buried_s.extend([now_s] * len(proven))
        while self._buried_s and now_s - self._buried_s[0] > DEAD_LETTERS_S:
            self._buried_s.popleft()
        return proven

    def ended(self, end: End) -> bool:
        """Learn from the end of a connection; whether it was one message's doing, so that we may be back at once."""
        if end.lived_s >= LEARNED_S_MAX:
            self.message_bytes_max = self._usual_bytes_max
        if end.lived_s >= SILENT_END_S_MAX:
            self._silent_ends = 0
        if not end.connected or isinstance(end.fault, (TargetRefused, SessionTaken, FirstIsBack)):
            return False
        if end.culprit is not None:
            return self._blame(end.culprit, end.at_s)
        recent = [sent for sent in end.in_flight if end.at_s - sent.at_s <= SILENT_END_S_MAX]
        if not recent:
            return False
        largest = max(recent, key=lambda sent: sent.size)
        if isinstance(end.fault, TooLarge) and largest.size > MESSAGE_BYTES_MIN:
            return self._blame(largest, end.at_s)
        if self.careful and len(recent) == 1:
            return self._blame(recent[0], end.at_s)
        self._silent_ends += 1
        if self._silent_ends >= SILENT_ENDS_MAX or isinstance(end.fault, TooLarge):
            self._silent_ends = 0
            self.careful, self._careful_s = True, end.at_s
        return False

    def forget(self) -> None:
        """It was not the data: everything is tried again."""
        self._ranges.clear()
        self._condemned.clear()
        self._buried_s.clear()
        self.careful = False

    def _blame(self, sent: Sent, now_s: float) -> bool:
        """Make the message smaller, then fewer numbers, then condemn the one that is left."""
        if sent.size > MESSAGE_BYTES_MIN and self.message_bytes_max > MESSAGE_BYTES_MIN:
            self.message_bytes_max = max(min(self.message_bytes_max, sent.size) // 2, MESSAGE_BYTES_MIN)
            return True
        if sent.lane is None or sent.lane is Lane.REPLAY:
            return False
        if sent.first < sent.last:
            self._split(sent.epoch, sent.first, sent.last, now_s)
            return True
        alone = (sent.epoch, sent.first)
        self._alone_ends = self._alone_ends + 1 if alone == self._alone else 1
        self._alone = alone
        if self._alone_ends >= ALONE_ENDS_MAX:
            self._condemn(*alone)
        return True

    def _split(self, epoch: str, first: int, last: int, now_s: float) -> list[Span]:
        self._split_s = now_s
        count = last - first + 1
        pieces = min(PIECES, count)
        cuts = [first + count * i // pieces for i in range(pieces + 1)]
        made = [(epoch, a, b - 1) for a, b in pairwise(cuts)]
        self._ranges = [r for r in self._ranges if r[0] != epoch or r[2] < first or last < r[1]] + made
        return made

    def _condemn(self, epoch: str, number: int) -> None:
        """Its message was the only thing wrong: what was learned while looking for it is forgotten."""
        self._ranges = [r for r in self._ranges if r != (epoch, number, number)]
        if (epoch, number) not in self._condemned:
            self._condemned.append((epoch, number))
        self._alone, self._alone_ends = ("", 0), 0
        self.message_bytes_max = self._usual_bytes_max


def _inside(span: Span, epoch: str, first: int, last: int) -> bool:
    return span[0] == epoch and first <= span[1] and span[2] <= last
