"""Stream: the numbers of one epoch, covered, closed by gaps, missing, asked for."""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from tidegate.proof.message import Piece, pairs, whole
from tidegate.proof.ranges import Ranges

# What is missing may still be under way; only after this time is it called a hole and asked for.
GRACE_S = 5.0
MARK_INTERVAL_S = 0.5
ASK_AGAIN_S_MIN = 5.0
ASK_AGAIN_S_MAX = 60.0
PARTIAL_FRAMES_MAX = 1_000
# Why a number will not come that the gateway does not keep any more, as long as no gap gives a better reason.
REMOVED = "removed"

# A frame that came in parts: number, lane and run, since parts of two runs do not make one frame.
Cut = tuple[int, str, int]


class Stream:
    """What is known of one epoch.

    `covered` came or was withheld; `closed` will never come, by why; `settled` is both. `since` is what the target is
    owed from, None as long as no head said so; `unwanted` is the last number that this subscriber does not care for.
    """

    def __init__(self) -> None:
        self.since: int | None = None
        self.last = 0
        self.unwanted = 0
        self.covered = Ranges()
        self.closed: dict[str, Ranges] = {}
        self.settled = Ranges()
        self.gaps = Ranges()
        self.asked = Ranges()
        self._parts: dict[Cut, tuple[int, dict[int, int]]] = {}
        # When which `last` was known: a number is owed from the first mark that reaches it.
        self._marks: deque[tuple[float, int]] = deque()
        self._ripe_last = 0
        self._under_way: list[tuple[float, Ranges]] = []
        self._pause_s = ASK_AGAIN_S_MIN

    @property
    def start(self) -> int:
        """The first number that counts: what is owed, or what came first where nobody said."""
        since = self.since
        if since is None:
            since = next(iter(self.covered), (self.last + 1, 0))[0]
        return max(since, self.unwanted + 1, 1)

    @property
    def certain(self) -> bool:
        """Whether it is known since when numbers are owed (or none was ever heard of)."""
        return self.since is not None or not self.last

    def begin_at(self, kept: int) -> None:
        """The gateway keeps numbers from `kept` on, and none before."""
        if kept > 1:
            self.close(REMOVED, Ranges([(1, kept - 1)]))

    def learn(self, last: int, now_s: float) -> None:
        """The gateway has committed numbers up to `last`."""
        if last <= self.last:
            return
        self.last = last
        # Rounded up, so that nothing counts as a hole too early, and so that few marks do.
        at_s = math.ceil(now_s / MARK_INTERVAL_S) * MARK_INTERVAL_S
        if self._marks and self._marks[-1][0] == at_s:
            self._marks.pop()
        self._marks.append((at_s, last))

    def cover(self, ranges: Ranges) -> None:
        """These came, or were withheld."""
        self.covered.update(ranges)
        self.settled.update(ranges)
        for cut in [cut for cut in self._parts if cut[0] in ranges]:
            del self._parts[cut]

    def close(self, why: str, ranges: Ranges) -> None:
        """These will never come."""
        if why == REMOVED:
            ranges = ranges.without(self.settled)
        else:
            for first, last in ranges:
                self.closed.get(REMOVED, Ranges()).remove(first, last)
        if ranges:
            self.closed.setdefault(why, Ranges()).update(ranges)
            self.settled.update(ranges)

    def join(self, piece: Piece, lane: str, run: int) -> int | None:
        """Put in a part of a frame: the frame's readings when that made it whole, else None."""
        cut = (piece.number, lane, run)
        of, parts = self._parts.get(cut, (0, {}))
        if of != piece.of:
            parts = {}
            self._parts[cut] = (piece.of, parts)
            if len(self._parts) > PARTIAL_FRAMES_MAX:
                del self._parts[next(iter(self._parts))]
        parts[piece.part] = piece.readings
        return sum(parts.values()) if len(parts) == piece.of else None

    def has(self, piece: Piece, lane: str, run: int) -> bool:
        """Whether this very piece is here already."""
        of, parts = self._parts.get((piece.number, lane, run), (0, {}))
        return piece.number in self.covered or (of == piece.of and piece.part in parts)

    def holes(self) -> Ranges:
        """What is owed and neither there nor closed, however short that is so."""
        return self.settled.holes(self.start, self.last)

    def ripe(self, now_s: float) -> Ranges:
        """The holes past their grace time."""
        if (self._marks[-1][1] if self._marks else self._ripe_last) < self.last:
            # Known from a saved state or another worker: it has its grace from now on.
            self._marks.append((now_s, self.last))
        while self._marks and self._marks[0][0] + GRACE_S <= now_s:
            self._ripe_last = self._marks.popleft()[1]
        return self.settled.holes(self.start, self._ripe_last)

    def under_way(self, now_s: float) -> Ranges:
        """The holes that were asked for, and should not be again yet."""
        waiting, self._under_way = Ranges(), [entry for entry in self._under_way if entry[0] > now_s]
        for _, ranges in self._under_way:
            waiting.update(ranges)
        return waiting.without(self.settled)

    def ask(self, ranges: Ranges, now_s: float) -> None:
        """These were asked for. Whoever must be asked again is asked ever more rarely."""
        again = ranges.without(self.asked) != ranges
        self._pause_s = min(self._pause_s * 2, ASK_AGAIN_S_MAX) if again else ASK_AGAIN_S_MIN
        self._under_way.append((now_s + self._pause_s, ranges.copy()))
        self.asked.update(ranges)

    def put_off(self, now_s: float) -> None:
        """Something that was asked for came: the rest of it is given time."""
        self._under_way = [(max(due_s, now_s + self._pause_s), ranges) for due_s, ranges in self._under_way]

    def merge(self, other: "Stream") -> tuple[int, int]:
        """Take over what another subscriber has; how many numbers both had, and readings of frames made whole."""
        sinces = [since for since in (self.since, other.since) if since is not None]
        self.since = min(sinces, default=None)
        self.last, self.unwanted = max(self.last, other.last), min(self.unwanted, other.unwanted)
        readings = 0
        for (number, lane, run), (of, parts) in other._parts.items():
            for part, count in parts.items():
                piece = Piece(number, count, part, of)
                if not self.has(piece, lane, run) and (whole_now := self.join(piece, lane, run)) is not None:
                    readings += whole_now
                    self.cover(Ranges([(number, number)]))
        overlap = other.covered.total - other.covered.without(self.covered).total
        self.cover(other.covered)
        for why, ranges in other.closed.items():
            self.close(why, ranges)
        self.gaps.update(other.gaps)
        self.asked.update(other.asked)
        return overlap, readings

    def save(self) -> dict[str, Any]:
        """The state as JSON has it."""
        return {
            "since": self.since,
            "last": self.last,
            "unwanted": self.unwanted,
            "covered": self.covered.pairs,
            "closed": {why: ranges.pairs for why, ranges in self.closed.items()},
            "gaps": self.gaps.pairs,
            "asked": self.asked.pairs,
            "parts": [[*cut, of, sorted(parts.items())] for cut, (of, parts) in self._parts.items()],
        }

    @classmethod
    def load(cls, state: Mapping[str, Any]) -> "Stream":
        """The stream of a saved state. Raises what reading a wrong one raises."""
        stream = cls()
        stream.since = None if state["since"] is None else whole(state["since"])
        stream.last, stream.unwanted = whole(state["last"]), whole(state["unwanted"])
        stream.cover(pairs(state["covered"]))
        for why, ranges in state["closed"].items():
            stream.close(why, pairs(ranges))
        stream.gaps, stream.asked = pairs(state["gaps"]), pairs(state["asked"])
        for number, lane, run, of, parts in state["parts"]:
            for part, count in parts:
                stream.join(Piece(whole(number), whole(count), whole(part), whole(of)), lane, run)
        return stream
