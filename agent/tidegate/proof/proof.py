"""Proof: what one subscriber holds of one target of one gateway, over all epochs.

    messages ──▶ take ──▶ numbers covered, by epoch ──▶ wants: what to ask for ──▶ report: what is proven

It knows no broker, no disk and no clock: `now_s` is monotonic time in seconds that the caller gives.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tidegate.proof.message import VERSION, Answer, Data, Head, ProofError, parse, read, whole
from tidegate.proof.ranges import Ranges
from tidegate.proof.stream import Stream

# What may be under way at a time: who asks for all at once, gets all at once.
ASKED_NUMBERS_MAX = 2_000
ASKED_RANGES_MAX = 500
EPOCHS_MAX = 1_000
LIVE, REPLAY = "live", "replay"
COUNTED = ("readings", "duplicates", "withheld_frames", "withheld_readings", "unfounded", "refused")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one message proved.

    `new` are the numbers that it brought, in whole or in part, or withheld, and that were not covered before: the rest
    of it needs no storing. `whole` are those of them that are covered now: all but frames of which parts are still to
    come. `gaps` are ids of gaps not heard of before.
    """

    epoch: str = ""
    new: Ranges = field(default_factory=Ranges)
    whole: Ranges = field(default_factory=Ranges)
    gaps: Ranges = field(default_factory=Ranges)
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Of one epoch, since..last is owed. `missing` are holes past the grace time, `waiting` counts younger numbers.

    `certain`: a head has said since when numbers are owed; else they are reckoned from the first one that came.
    """

    epoch: str
    since: int
    last: int
    certain: bool
    missing: Ranges
    waiting: int


@dataclass(frozen=True, slots=True)
class Report:
    """What is proven now. `frames` numbers came, `withheld_frames` may not be had, `closed` never come: (why, numbers);
    "removed" are numbers that the gateway no longer keeps and no gap names: the broker had acknowledged them.

    `gaps` counts what was told of the missing; `told` is (why, gaps, readings that never got a number). `unfounded`
    numbers were claimed by a message that did not hold them: they stay holes. `refused` messages were not as the format
    says. `delay_us` is the age of the oldest reading in the newest live message. `complete`: it is known what is owed,
    and nothing of it is `missing` (some may be `waiting`).
    """

    frames: int
    readings: int
    missing: int
    waiting: int
    asked: int
    duplicates: int
    gaps: int
    closed: tuple[tuple[str, int], ...]
    told: tuple[tuple[str, int, int], ...]
    withheld_frames: int
    withheld_readings: int
    unfounded: int
    refused: int
    delay_us: int | None
    epochs: tuple[EpochReport, ...]
    complete: bool


class Proof:
    """What one subscriber holds of one target of one gateway: sets of ranges that can be saved, resumed and merged.

    Store what a message brought and what `save` gives in one transaction; when that fails, go on from the last state.
    """

    def __init__(self) -> None:
        self.gateway = ""
        self.target = ""
        self._streams: dict[str, Stream] = {}
        self._counts = dict.fromkeys(COUNTED, 0)
        self._told: dict[str, tuple[int, int]] = {}
        self._delay_us: int | None = None

    def take(self, message: bytes | Mapping[str, Any], now_s: float, wall_us: int | None = None) -> Taken:
        """Take in the payload of any topic of the target, or what it parses to. `wall_us` (µs UTC) is for the delay.

        Raises UnknownVersion, or ProofError when it is not as the format says or of another target; then nothing but
        the count of refused messages has changed.
        """
        try:
            said = read(parse(message) if isinstance(message, bytes) else message)
            if isinstance(said, Data):
                return self._take_data(said, now_s, wall_us)
            if isinstance(said, Head):
                return self._take_head(said, now_s)
            return self._take_answer(said) if isinstance(said, Answer) else Taken()
        except ProofError:
            self._counts["refused"] += 1
            raise

    def _take_data(self, data: Data, now_s: float, wall_us: int | None) -> Taken:
        stream = self._stream(data.gateway, data.target, data.epoch)
        gaps = self._take_gaps(stream, data)
        came, partial, duplicates = Ranges(), Ranges(), 0
        for piece in data.pieces:
            if piece.number in came or stream.has(piece, data.lane, data.run):
                duplicates += 1
                continue
            readings = piece.readings if piece.of == 1 else stream.join(piece, data.lane, data.run)
            (partial if readings is None else came).add(piece.number, piece.number)
            self._counts["readings"] += readings or 0
        self._counts["duplicates"] += duplicates
        came.update(self._withheld(stream, data, came, partial))
        stream.cover(came)
        stream.learn(max(data.last, data.to), now_s)
        new = came.copy()
        new.update(partial)
        if data.lane == REPLAY and new:
            stream.put_off(now_s)
        if data.lane == LIVE and data.oldest_us is not None and wall_us is not None:
            self._delay_us = wall_us - data.oldest_us
        return Taken(data.epoch, new, came, gaps, duplicates)

    def _take_gaps(self, stream: Stream, data: Data) -> Ranges:
        """Close what the message's gaps close; the ids of those that are new."""
        new = Ranges()
        for gap, closed_in in [(gap, self._stream(data.gateway, data.target, gap.epoch)) for gap in data.gaps]:
            closed_in.close(gap.why, gap.closes)
            if stream.gaps.add(gap.id, gap.id):
                new.add(gap.id, gap.id)
                self._tell(gap.why, 1, gap.readings)
        return new

    def _withheld(self, stream: Stream, data: Data, came: Ranges, partial: Ranges) -> Ranges:
        """What the message covers and does not hold: proven only as far as it says that it withholds it."""
        silent = stream.settled.holes(data.first, data.to).without(came).without(partial)
        if silent.total > data.withheld_frames:
            self._counts["unfounded"] += silent.total
            return Ranges()
        if silent:
            self._counts["withheld_frames"] += silent.total
            self._counts["withheld_readings"] += data.withheld_readings
        return silent

    def _take_head(self, head: Head, now_s: float) -> Taken:
        stream = self._stream(head.gateway, head.target, head.epoch)
        stream.since = head.since
        stream.begin_at(head.first)
        stream.learn(head.last, now_s)
        for epoch, first, last in head.older:
            stream = self._stream(head.gateway, head.target, epoch)
            stream.since = first if stream.since is None else stream.since
            stream.begin_at(first)
            stream.learn(last, now_s)
        for stream in self._streams.values():
            if stream.since is None:
                # An epoch that no head will name any more: what came first of it is all that can be known.
                stream.since = stream.start
        return Taken(head.epoch)

    def _take_answer(self, answer: Answer) -> Taken:
        """What an answer says will not come, whoever asked."""
        new, stream = Ranges(), self._streams.get(answer.epoch)
        if stream is not None:
            for why, ranges in answer.gone:
                stream.close(why, ranges)
            for first, last in answer.withheld:
                new.update(stream.settled.holes(first, last))
            self._counts["withheld_frames"] += new.total
            stream.cover(new)
        return Taken(answer.epoch, new, new)

    def _stream(self, gateway: str, target: str, epoch: str) -> Stream:
        if not self.gateway:
            self.gateway, self.target = gateway, target
        if (gateway, target) != (self.gateway, self.target):
            raise ProofError(f"a message of {gateway}/{target}; this is the proof of {self.gateway}/{self.target}")
        if epoch not in self._streams:
            if len(self._streams) >= EPOCHS_MAX:
                raise ProofError(f"more than {EPOCHS_MAX} epochs: is this one gateway?")
            self._streams[epoch] = Stream()
        return self._streams[epoch]

    def _tell(self, why: str, gaps: int, readings: int) -> None:
        before = self._told.get(why, (0, 0))
        self._told[why] = (before[0] + gaps, before[1] + readings)

    def begin_now(self) -> None:
        """What is known to be committed is not wanted: prove what comes from here on. Meant for the first head."""
        for stream in self._streams.values():
            stream.unwanted = stream.last

    def wants(self, now_s: float) -> list[tuple[str, Ranges]]:
        """What to ask for, by epoch: holes past the grace time that were not asked for lately, bounded."""
        room = ASKED_NUMBERS_MAX - sum(stream.under_way(now_s).total for stream in self._streams.values())
        wanted = []
        for epoch, stream in self._streams.items():
            ranges = stream.ripe(now_s).without(stream.under_way(now_s)).head(room, ASKED_RANGES_MAX)
            room -= ranges.total
            if ranges:
                wanted.append((epoch, ranges))
        return wanted

    def asked(self, epoch: str, ranges: Ranges, now_s: float) -> None:
        """These were asked for; `wants` leaves them out until it is time to ask again. Raises KeyError."""
        self._streams[epoch].ask(ranges, now_s)

    @property
    def lasts(self) -> dict[str, int]:
        """The last committed number that was heard of, by epoch."""
        return {epoch: stream.last for epoch, stream in self._streams.items()}

    def holes(self, epoch: str) -> Ranges:
        """What is owed of an epoch and neither there nor closed, however short that is so. Raises KeyError."""
        return self._streams[epoch].holes()

    def report(self, now_s: float) -> Report:
        """What is proven now."""
        epochs = tuple(_epoch_report(epoch, stream, now_s) for epoch, stream in self._streams.items())
        streams = self._streams.values()
        closed: dict[str, int] = {}
        for stream in streams:
            for why, ranges in stream.closed.items():
                never = ranges.within(stream.start, stream.last).without(stream.covered)
                closed[why] = closed.get(why, 0) + never.total
        missing = sum(epoch.missing.total for epoch in epochs)
        return Report(
            frames=sum(stream.covered.total for stream in streams) - self._counts["withheld_frames"],
            missing=missing,
            waiting=sum(epoch.waiting for epoch in epochs),
            asked=sum(stream.asked.total for stream in streams),
            gaps=sum(stream.gaps.total for stream in streams),
            closed=tuple(sorted((why, count) for why, count in closed.items() if count)),
            told=tuple((why, gaps, readings) for why, (gaps, readings) in sorted(self._told.items())),
            delay_us=self._delay_us,
            epochs=epochs,
            complete=bool(epochs) and missing == 0 and all(epoch.certain for epoch in epochs),
            **self._counts,
        )

    def merge(self, other: "Proof") -> None:
        """Take over what another worker of the same target has: numbers that both have are duplicates now.

        Counts add up, so merge what was proven since the last merge. Raises ProofError for another target's proof.
        """
        for epoch, theirs in other._streams.items():
            overlap, readings = self._stream(other.gateway, other.target, epoch).merge(theirs)
            self._counts["duplicates"] += overlap
            self._counts["readings"] += readings
        for name in COUNTED:
            self._counts[name] += other._counts[name]
        for why, (gaps, readings) in other._told.items():
            self._tell(why, gaps, readings)

    def save(self) -> str:
        """The state as JSON text, for `load`."""
        state = {
            "v": VERSION,
            "gw": self.gateway,
            "target": self.target,
            "counts": self._counts,
            "told": self._told,
            "epochs": {epoch: stream.save() for epoch, stream in self._streams.items()},
        }
        return json.dumps(state, separators=(",", ":"))

    @classmethod
    def load(cls, text: str) -> Self:
        """The proof that `save` wrote. Raises ProofError when it is none of this version."""
        state = parse(text.encode())
        if state.get("v") != VERSION:
            raise ProofError(f"a state of version {state.get('v')!r}; this reader knows version {VERSION}")
        proof = cls()
        try:
            proof.gateway, proof.target = str(state["gw"]), str(state["target"])
            proof._counts = {name: whole(state["counts"][name]) for name in COUNTED}
            proof._told = {why: (whole(gaps), whole(n)) for why, (gaps, n) in state["told"].items()}
            proof._streams = {epoch: Stream.load(saved) for epoch, saved in state["epochs"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProofError(f"a damaged state: {error!r}") from None
        return proof


def _epoch_report(epoch: str, stream: Stream, now_s: float) -> EpochReport:
    missing = stream.ripe(now_s)
    waiting = stream.holes().total - missing.total
    return EpochReport(epoch, stream.start, stream.last, stream.certain, missing, waiting)
