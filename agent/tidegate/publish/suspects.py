"""Suspects: data that the broker may never take. Finds the one frame that it refuses, and lets all else flow.

    refused by name (PUBACK) ─▶ split ─▶ one number ─▶ condemned ─▶ the broker took others ────────────▶ dead letter
    closed without a word ─▶ one in flight ─▶ closed again ─▶ split ─▶ one number                            ▲
                                 ─▶ held back ─▶ the broker took others ─▶ tried ─▶ closed once more ────────┘
                              nothing else is taken either: it is not the data, the target is parked

Messages go one at a time while something is suspected, and what was acknowledged is out of it: five closed connections
find one frame in 4,096. It decides and remembers, over a target's connections; it sends nothing and writes nothing.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tidegate.errors import PublishError, TargetRefused
from tidegate.proof import Ranges
from tidegate.publish.brokers import FirstIsBack
from tidegate.publish.faults import SessionTaken, TooLarge
from tidegate.publish.formats.tidegate_json import Lane
from tidegate.publish.window import Sent

Span = tuple[str, int, int]
Single = tuple[str, int]

# Messages get no smaller than this, whatever a broker dislikes.
MESSAGE_BYTES_MIN = 4_096
# A connection that ends so soon after a message was handed over may have ended because of it. Then one message is in
# flight at a time until all those are acknowledged, so that the next end names its culprit.
SILENT_END_S_MAX = 10.0
# Where nothing in flight is sent again (notices, replays), it takes so many such ends in a row.
SILENT_ENDS_MAX = 3
# A number that ended a connection alone is tried once more after the broker took so many messages in one connection, or
# some for so long: one that dies of itself now and then hardly gets as far and then dies at just that one.
OTHERS_TAKEN = 16
OTHERS_TAKEN_S = 2.0
# A refused message goes again in so many pieces: 4,096 frames are down to one after two refusals.
PIECES = 64
# Where all pieces of a message are taken that was not, it was too large: the next ones are so many times smaller, or
# as large as what was taken before.
SHRINK = 4
# Refused one after the other, with nothing taken in between, it is not the data that is wrong.
CONDEMNED_MAX = 3
RANGES_MAX = 2_048
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from a message that was taken: numbers that are proven to be poison, and those to be tried now."""

    poison: list[Single] = field(default_factory=list)
    again: list[Span] = field(default_factory=list)


@dataclass(slots=True)
class _Blamed:
    """The message that was blamed last, which of its numbers were not taken since, and the largest message that was."""

    epoch: str
    left: Ranges
    size: int
    taken_bytes_max: int = 0


class Suspects:
    """What one target suspects. `careful`: one message in flight at a time."""

    def __init__(self, message_bytes_max: int) -> None:
        self._usual_bytes_max = message_bytes_max
        self.message_bytes_max = message_bytes_max
        self.careful = False
        self._careful_s = self._split_s = 0.0
        # Numbers that must not share a message with others than those of their own range.
        self._ranges: list[Span] = []
        # One number each: refused by name; ended a connection alone, and waits as the first do for others to be taken;
        # is sent for the last time; did it again; and is being made a dead letter in this connection.
        self._condemned: list[Single] = []
        self._held: list[Single] = []
        self._tried: list[Single] = []
        self._guilty: list[Single] = []
        self._burying: list[Single] = []
        # What was in flight when a connection ended, and has not been taken since.
        self._unproven: dict[str, Ranges] = {}
        self._blamed: _Blamed | None = None
        # In this connection: data messages that were taken, and when the first of them was.
        self._taken, self._taken_s = 0, 0.0
        self._taken_bytes_max = 0
        self._silent_ends = 0
        self._buried_s: deque[float] = deque()

    @property
    def systemic(self) -> bool:
        """Whether so much is refused that it can't be the data: somebody has to look."""
        return (
            len(self._condemned) + len(self._held) >= CONDEMNED_MAX
            or len(self._ranges) > RANGES_MAX
            or len(self._buried_s) > DEAD_LETTERS_MAX
        )

    def condemned(self, epoch: str) -> Ranges:
        """Numbers that are not sent: they wait for the broker to take others, or are about to be dead letters."""
        found = (*self._condemned, *self._held, *self._guilty, *self._burying)
        return Ranges((number, number) for of, number in found if of == epoch)

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
            self._condemn(sent.epoch, sent.first, self._condemned)
            return []
        return self._split(sent.epoch, sent.first, sent.last, now_s)

    def accepted(self, sent: Sent, now_s: float) -> Verdict:
        """The broker took this message, data or not: what is decided by that."""
        proven, self._guilty = self._guilty, []
        if sent.lane is None:
            return self._proven(proven, now_s, self.trying(now_s))
        self._taken, self._taken_s = self._taken + 1, self._taken_s if self._taken else now_s
        self._cleared(sent, now_s)
        proven += self._condemned
        self._condemned = []
        trying = self.trying(now_s)
        settled = proven or not self._unproven or now_s - self._careful_s >= SILENT_END_S_MAX
        if self.careful and settled and not (self._ranges or self._tried or self._held):
            self.careful = False
            self._unproven.clear()
        return self._proven(proven, now_s, trying)

    def trying(self, now_s: float) -> list[Span]:
        """Numbers that were held back and may be sent once more now; to be asked now and then."""
        if self._taken < OTHERS_TAKEN and (not self._taken or now_s - self._taken_s < OTHERS_TAKEN_S):
            return []
        trying, self._held = self._held, []
        self._tried += trying
        return [(epoch, number, number) for epoch, number in trying]

    def _proven(self, poison: list[Single], now_s: float, again: Sequence[Span] = ()) -> Verdict:
        self._burying += poison
        self._buried_s.extend([now_s] * len(poison))
        while self._buried_s and now_s - self._buried_s[0] > DEAD_LETTERS_S:
            self._buried_s.popleft()
        return Verdict(poison, list(again))

    def ended(self, end: End) -> bool:
        """Learn from the end of a connection; whether it was one message's doing, so that we may be back at once."""
        # Those that were not sent, or whose end was another's doing, wait for their turn again.
        tried, self._tried = self._tried, []
        self._burying.clear()
        self._taken = 0
        self._held += [one for one in tried if one not in self._held]
        if end.lived_s >= LEARNED_S_MAX:
            self.message_bytes_max = self._usual_bytes_max
        if end.lived_s >= SILENT_END_S_MAX:
            self._silent_ends = 0
        if not end.connected or isinstance(end.fault, (TargetRefused, SessionTaken, FirstIsBack)):
            return False
        if end.culprit is not None:
            return self._blame(end.culprit, end.at_s, tried)
        recent = [sent for sent in end.in_flight if end.at_s - sent.at_s <= SILENT_END_S_MAX]
        if not recent:
            return False
        if isinstance(end.fault, TooLarge):
            self._halve(max(sent.size for sent in recent))
        if self.careful and len(recent) == 1:
            return self._blame(recent[0], end.at_s, tried)
        again = [sent for sent in recent if sent.lane not in (None, Lane.REPLAY)]
        for sent in again:
            self._unproven.setdefault(sent.epoch, Ranges()).add(sent.first, sent.last)
        self._silent_ends += 1
        if again or self._silent_ends >= SILENT_ENDS_MAX or isinstance(end.fault, TooLarge):
            self._silent_ends = 0
            self.careful, self._careful_s = True, end.at_s
        return False

    def forget(self) -> None:
        """It was not the data: everything is tried again."""
        self._ranges.clear()
        self._condemned.clear()
        self._held.clear()
        self._tried.clear()
        self._guilty.clear()
        self._unproven.clear()
        self._buried_s.clear()
        self._blamed = None
        self.careful = False

    def _cleared(self, sent: Sent, now_s: float) -> None:
        """Nothing in a message that was taken is suspected any more."""
        if self._ranges:
            # What was removed from the buffer meanwhile will never be taken: nothing is suspected for ever.
            old = now_s - self._split_s > LEARNED_S_MAX
            self._ranges = [] if old else [r for r in self._ranges if not _inside(r, sent.epoch, sent.first, sent.last)]
        whole = sent.part is None or sent.part[0] == sent.part[1]
        if whole:
            self._tried = [(of, n) for of, n in self._tried if of != sent.epoch or not sent.first <= n <= sent.last]
            unproven = self._unproven.get(sent.epoch, Ranges())
            unproven.remove(sent.first, sent.last)
            if not unproven:
                self._unproven.pop(sent.epoch, None)
        self._taken_bytes_max = max(self._taken_bytes_max, sent.size)
        blamed = self._blamed
        if blamed is None:
            return
        blamed.taken_bytes_max = max(blamed.taken_bytes_max, sent.size)
        if blamed.epoch == sent.epoch and whole:
            blamed.left.remove(sent.first, sent.last)
        if not blamed.left:
            self._acquitted(blamed)

    def _acquitted(self, blamed: _Blamed) -> None:
        """All of a message was taken that was not taken in one: it was too large, or something else ended that
        connection. Where as large ones were taken before, it takes another one to believe that this has changed.
        """
        self._blamed = None
        if blamed.size > self._taken_bytes_max:
            self._shrink(max(blamed.size // SHRINK, blamed.taken_bytes_max))
        self._taken_bytes_max = blamed.taken_bytes_max

    def _blame(self, sent: Sent, now_s: float, tried: list[Single]) -> bool:
        """Its numbers go again in pieces; one that is alone is held back, or was tried and is condemned."""
        if sent.lane is None:
            # Such a message is left out once it is larger than what we send.
            return self._halve(sent.size)
        if sent.lane is Lane.REPLAY:
            return False
        self._blamed = _Blamed(sent.epoch, Ranges([(sent.first, sent.last)]), sent.size)
        if sent.first < sent.last:
            self._split(sent.epoch, sent.first, sent.last, now_s)
            return True
        alone = (sent.epoch, sent.first)
        self._held = [one for one in self._held if one != alone]
        if alone in tried:
            self._condemn(*alone, self._guilty)
            return True
        self._split(*alone, sent.last, now_s)
        if sent.size > MESSAGE_BYTES_MIN and self.message_bytes_max > MESSAGE_BYTES_MIN:
            # Where its size is the matter, it is taken in parts.
            self._shrink(MESSAGE_BYTES_MIN)
        else:
            self._held.append(alone)
        return True

    def _halve(self, size: int) -> bool:
        """Messages are half as large as this one at most; whether they get smaller by that."""
        before = self.message_bytes_max
        self._shrink(min(size, before) // 2)
        return self.message_bytes_max < before

    def _shrink(self, bytes_max: int) -> None:
        """Messages are at most so large from the next connection on."""
        self.message_bytes_max = max(min(self.message_bytes_max, bytes_max), MESSAGE_BYTES_MIN)

    def _split(self, epoch: str, first: int, last: int, now_s: float) -> list[Span]:
        self._split_s = now_s
        count = last - first + 1
        pieces = min(PIECES, count)
        cuts = [first + count * i // pieces for i in range(pieces + 1)]
        made = [(epoch, a, b - 1) for a, b in pairwise(cuts)]
        self._ranges = [r for r in self._ranges if r[0] != epoch or r[2] < first or last < r[1]] + made
        return made

    def _condemn(self, epoch: str, number: int, among: list[Single]) -> None:
        """Its message was the only thing wrong: what was learned while looking for it is forgotten."""
        self._ranges = [r for r in self._ranges if r != (epoch, number, number)]
        if (epoch, number) not in among:
            among.append((epoch, number))
        self._unproven.get(epoch, Ranges()).remove(number, number)
        self._blamed = None
        self.message_bytes_max = self._usual_bytes_max


def _inside(span: Span, epoch: str, first: int, last: int) -> bool:
    return span[0] == epoch and first <= span[1] and span[2] <= last
