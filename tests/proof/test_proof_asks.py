"""What a subscriber asks for, and when it asks again."""

from tests.proof.messages import EPOCH, data, head, proof_of
from tidegate.proof import Ranges
from tidegate.proof.stream import ASK_AGAIN_S_MIN, GRACE_S, MARK_INTERVAL_S

# Past the grace of everything that was learned at 0 s.
LATER_S = GRACE_S + MARK_INTERVAL_S


def test_holes_past_their_grace_are_wanted_and_once_asked_for_not_wanted_again_at_once() -> None:
    proof = proof_of(head(9), data(4, 6))
    first = proof.wants(LATER_S)
    proof.asked(*first[0], LATER_S)

    assert [(EPOCH, [[1, 3], [7, 9]])] == [(epoch, ranges.pairs) for epoch, ranges in first]
    assert [] == proof.wants(LATER_S + ASK_AGAIN_S_MIN - 0.1)
    assert first == proof.wants(LATER_S + ASK_AGAIN_S_MIN)
    assert 6 == proof.report(LATER_S).asked


def test_who_must_be_asked_again_is_asked_more_rarely() -> None:
    proof, now_s, asked_at_s = proof_of(head(9)), 0.0, []
    while now_s < 400:
        for epoch, ranges in proof.wants(now_s):
            proof.asked(epoch, ranges, now_s)
            asked_at_s.append(now_s)
        now_s += 0.5

    assert [5.0, 10.0, 20.0, 40.0, 80.0, 140.0, 200.0, 260.0, 320.0, 380.0] == asked_at_s


def test_what_comes_by_replay_gives_the_rest_of_it_time() -> None:
    proof = proof_of(head(9))
    proof.asked(EPOCH, Ranges([(1, 9)]), LATER_S)
    proof.take(data(1, 3, lane="replay", last=9), LATER_S + 4)

    assert [] == proof.wants(LATER_S + 6)
    assert [(EPOCH, Ranges([(4, 9)]))] == proof.wants(LATER_S + 9)


def test_no_more_is_wanted_at_a_time_than_the_bounds_allow() -> None:
    proof = proof_of(head(9_000))
    wanted = proof.wants(LATER_S)[0][1]
    proof.asked(EPOCH, wanted, LATER_S)

    assert [[1, 2000]] == wanted.pairs
    assert [] == proof.wants(LATER_S)
