"""Any order, loss and repetition of messages, over any number of workers, against plain sets of numbers."""

import json
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tests.proof.messages import EPOCH, data, gap, head
from tidegate.proof import Proof, Ranges

LAST = 40
LATER_S = 100.0


@dataclass(frozen=True)
class Sent:
    """A message and what it stands for: numbers that it brings whole, the part that it brings, what it closes."""

    payload: bytes
    whole: frozenset[int]
    part: tuple[int, int] | None = None
    closes: frozenset[int] = frozenset()


def spans(most: int = 6) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(1, LAST), st.integers(0, most - 1)).map(lambda s: (s[0], min(LAST, s[0] + s[1])))


@st.composite
def frames(draw: st.DrawFn) -> Sent:
    first, to = draw(spans())
    lane = draw(st.sampled_from(["live", "backlog", "replay"]))
    return Sent(data(first, to, lane=lane, last=LAST), frozenset(range(first, to + 1)))


@st.composite
def parts(draw: st.DrawFn) -> Sent:
    number, part = draw(st.integers(1, LAST)), draw(st.integers(1, 2))
    return Sent(data(number, number, part=(part, 2), last=LAST), frozenset(), (number, part))


@st.composite
def gaps(draw: st.DrawFn) -> Sent:
    number, (first, last) = draw(st.integers(1, LAST)), draw(spans(4))
    told = gap(number, id=number, why="lost", frames=((first, last),))
    closed = frozenset(range(first, last + 1))
    return Sent(data(number, number, gaps=(told,), last=LAST), frozenset({number}), closes=closed)


messages = st.lists(st.one_of(frames(), parts(), gaps()), max_size=25)


def expected(sent: list[Sent]) -> tuple[set[int], set[int]]:
    """Numbers that came, and numbers that are settled."""
    came = {number for message in sent for number in message.whole}
    halves = {message.part for message in sent if message.part}
    came |= {number for number in range(1, LAST + 1) if {(number, 1), (number, 2)} <= halves}
    return came, came | {number for message in sent for number in message.closes}


def numbers(ranges: Ranges) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


@given(messages)
def test_one_subscriber_proves_exactly_what_came(sent: list[Sent]) -> None:
    proof = Proof()
    proof.take(head(LAST), 0.0)
    for message in sent:
        proof.take(message.payload, 0.0)
    came, settled = expected(sent)
    report = proof.report(LATER_S)

    assert len(came) == report.frames
    assert set(range(1, LAST + 1)) - settled == numbers(proof.holes(EPOCH))
    assert (len(settled) == LAST) == report.complete
    assert len(settled - came) == sum(count for _, count in report.closed)


@given(messages)
def test_what_is_new_is_told_once_for_every_number(sent: list[Sent]) -> None:
    proof, stored = Proof(), []
    for message in sent:
        new = numbers(proof.take(message.payload, 0.0).new)
        stored += [number for number in new if not message.part]

    assert len(stored) == len(set(stored))
    assert expected(sent)[0] >= set(stored)


@given(messages, st.data())
def test_a_saved_and_resumed_proof_goes_on_as_if_nothing_had_happened(sent: list[Sent], draw: st.DataObject) -> None:
    one, other = Proof(), Proof()
    cut = draw.draw(st.integers(0, len(sent)))
    for message in sent[:cut]:
        one.take(message.payload, 0.0)
        other.take(message.payload, 0.0)
    resumed = Proof.load(other.save())
    for message in sent[cut:]:
        one.take(message.payload, 0.0)
        resumed.take(message.payload, 0.0)

    assert json.loads(one.save()) == json.loads(resumed.save())


@given(messages, st.data())
def test_workers_together_prove_what_one_would_have(sent: list[Sent], draw: st.DataObject) -> None:
    workers = [Proof() for _ in range(3)]
    workers[0].take(head(LAST), 0.0)
    for message in sent:
        workers[draw.draw(st.integers(0, 2))].take(message.payload, 0.0)
    merged = Proof()
    for worker in workers:
        merged.merge(Proof.load(worker.save()))
    came, settled = expected(sent)

    assert len(came) == merged.report(LATER_S).frames
    assert set(range(1, LAST + 1)) - settled == numbers(merged.holes(EPOCH))


@given(messages)
def test_merging_a_proof_into_itself_makes_duplicates_only(sent: list[Sent]) -> None:
    proof = Proof()
    for message in sent:
        proof.take(message.payload, 0.0)
    before, twice = proof.report(LATER_S), Proof.load(proof.save())
    twice.merge(proof)
    after = twice.report(LATER_S)

    assert (before.frames, before.closed, before.gaps) == (after.frames, after.closed, after.gaps)
    assert 2 * before.duplicates + before.frames == after.duplicates
