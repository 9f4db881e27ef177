"""What a subscriber can prove of the messages that it received, and what it can't."""

import json

from tests.proof.messages import EPOCH, OLDER, T0_US, answer, data, gap, head, proof_of
from tidegate.proof import Proof
from tidegate.proof.stream import GRACE_S, MARK_INTERVAL_S

# Past the grace of everything that was learned at 0 s.
LATER_S = GRACE_S + MARK_INTERVAL_S


def missing(proof: Proof, epoch: str = EPOCH) -> list[list[int]]:
    return next(e.missing.pairs for e in proof.report(LATER_S).epochs if e.epoch == epoch)


def test_all_that_is_owed_and_came_is_proven_complete() -> None:
    report = proof_of(head(0), data(1, 4), data(5, 9)).report(LATER_S)

    assert (True, 0, 9, 18) == (report.complete, report.missing, report.frames, report.readings)


def test_nothing_is_complete_before_anything_was_heard() -> None:
    assert not Proof().report(LATER_S).complete


def test_nothing_is_complete_before_a_head_said_what_is_owed() -> None:
    proof = proof_of(data(5, 9))

    assert (False, 0) == (proof.report(LATER_S).complete, proof.report(LATER_S).missing)


def test_what_came_before_the_head_counts_from_where_the_head_says() -> None:
    assert [[3, 4]] == missing(proof_of(data(5, 9), head(9, since=3)))


def test_an_empty_stream_is_complete_once_its_head_says_so() -> None:
    assert proof_of(head(0)).report(LATER_S).complete


def test_a_missing_tail_shows_by_the_head() -> None:
    assert [[10, 12]] == missing(proof_of(data(1, 9), head(12)))


def test_a_missing_tail_shows_by_any_later_message() -> None:
    assert [[10, 20]] == missing(proof_of(head(0), data(1, 9, last=20)))


def test_a_hole_is_called_one_only_after_the_grace_time() -> None:
    proof = proof_of(head(3))
    proof.take(data(8, 9), 3.0)

    assert [(0, 7), (3, 4), (7, 0)] == [
        (report.missing, report.waiting) for report in map(proof.report, (4.9, 5.0, 8.0))
    ]


def test_no_hole_is_called_one_before_its_whole_grace_is_over() -> None:
    proof = Proof()
    proof.take(head(3), 0.4)

    assert [0, 3] == [proof.report(now_s).missing for now_s in (5.39, 5.9)]


def test_a_resumed_proof_gives_what_it_misses_its_grace_again() -> None:
    resumed = Proof.load(proof_of(head(3)).save())

    assert [0, 0, 3] == [resumed.report(now_s).missing for now_s in (1_000.0, 1_004.9, 1_005.0)]


def test_the_grace_of_a_number_begins_when_it_was_first_heard_of() -> None:
    proof = proof_of(head(0))
    for second in range(40):
        proof.take(head(second + 1), float(second))

    assert [[1, 35]] == next(e.missing.pairs for e in proof.report(39.0).epochs)


def test_order_across_lanes_does_not_matter() -> None:
    proof = proof_of(data(8, 9), data(1, 3, lane="backlog"), head(9), data(4, 7, lane="replay"))

    assert proof.report(LATER_S).complete


def test_the_same_number_again_is_a_duplicate_and_no_new_reading() -> None:
    proof = proof_of(head(4), data(1, 4))
    taken = proof.take(data(3, 5, lane="backlog"), 0.0)

    assert (2, [[5, 5]]) == (taken.duplicates, taken.new.pairs)
    assert (2, 5, 10) == (proof.report(0).duplicates, proof.report(0).frames, proof.report(0).readings)


def test_a_number_twice_in_one_message_is_a_duplicate() -> None:
    message = json.loads(data(1, 2))
    message["frames"].append(message["frames"][1])
    proof = proof_of(head(2), json.dumps(message).encode())

    assert (1, 2, 4) == (proof.report(0).duplicates, proof.report(0).frames, proof.report(0).readings)


def test_a_message_proves_no_number_that_it_neither_holds_nor_withholds() -> None:
    proof = proof_of(head(9), data(1, 9, without=(4, 5), withheld=(1, 10)))

    assert ([[4, 5]], 2) == (missing(proof), proof.report(LATER_S).unfounded)


def test_what_is_withheld_is_covered_and_counted() -> None:
    proof = proof_of(head(9), data(1, 9, without=(4, 5), withheld=(2, 10)))
    report = proof.report(LATER_S)

    assert (True, 7, 2, 10) == (report.complete, report.frames, report.withheld_frames, report.withheld_readings)


def test_a_wholly_withheld_tail_is_covered() -> None:
    assert proof_of(head(3), data(1, 3, without=(1, 2, 3), withheld=(3, 6))).report(LATER_S).complete


def test_a_gap_closes_the_numbers_that_will_not_come() -> None:
    proof = proof_of(head(12), data(10, 12, gaps=(gap(11, why="evicted", frames=((1, 9),)),)))
    report = proof.report(LATER_S)

    assert (True, 0, (("evicted", 9),)) == (report.complete, report.missing, report.closed)
    assert (("evicted", 1, 0),) == report.told


def test_numbers_that_came_before_their_gap_are_not_counted_as_closed() -> None:
    report = proof_of(head(9), data(1, 4), data(9, 9, gaps=(gap(9, why="lost", frames=((3, 8),)),))).report(LATER_S)

    assert (("lost", 4),) == report.closed


def test_a_gap_inside_the_covered_stretch_explains_what_the_message_does_not_hold() -> None:
    gone = gap(9, why="corrupt", frames=((3, 4),))
    report = proof_of(head(9), data(1, 9, without=(3, 4), gaps=(gone,))).report(LATER_S)

    assert (True, 0) == (report.complete, report.unfounded)


def test_a_gap_may_close_numbers_of_an_older_epoch() -> None:
    told = gap(1, why="lost", frames=((7, 9),), epoch=OLDER)
    proof = proof_of(data(1, 6, epoch=OLDER), head(1, older=((OLDER, 1, 9),)), data(1, 1, gaps=(told,)))

    assert proof.report(LATER_S).complete


def test_readings_that_never_got_a_number_are_told_by_why() -> None:
    told = (gap(1, id=1), gap(2, id=2), gap(3, id=3, why="crash_window"))
    report = proof_of(head(3), data(1, 3, gaps=told)).report(LATER_S)

    assert (3, (("crash_window", 1, 40), ("device_down", 2, 80))) == (report.gaps, report.told)


def test_a_gap_that_comes_twice_is_told_once() -> None:
    proof = proof_of(head(1), data(1, 1, gaps=(gap(1),)))
    taken = proof.take(data(1, 1, gaps=(gap(1),), lane="replay"), 0.0)

    assert (1, False, 1) == (proof.report(0).gaps, bool(taken.gaps), taken.duplicates)


def test_a_frame_in_parts_has_come_when_all_of_one_run_have() -> None:
    proof = proof_of(head(1), data(1, 1, part=(1, 3)), data(1, 1, part=(3, 3)))
    before = proof.report(LATER_S)
    proof.take(data(1, 1, part=(2, 3)), 0.0)

    assert (1, 0) == (before.missing, before.readings)
    assert (True, 6, 1) == (proof.report(LATER_S).complete, proof.report(0).readings, proof.report(0).frames)


def test_parts_of_two_runs_do_not_make_one_frame() -> None:
    proof = proof_of(head(1), data(1, 1, part=(1, 2), run=1), data(1, 1, part=(2, 2), run=2))

    assert not proof.report(LATER_S).complete


def test_parts_of_two_lanes_do_not_make_one_frame() -> None:
    proof = proof_of(head(1), data(1, 1, part=(1, 2)), data(1, 1, part=(2, 2), lane="backlog"))

    assert not proof.report(LATER_S).complete


def test_a_part_that_comes_twice_is_a_duplicate() -> None:
    proof = proof_of(head(1), data(1, 1, part=(1, 2)), data(1, 1, part=(1, 2)))

    assert (1, [[1, 1]]) == (proof.report(0).duplicates, proof.holes(EPOCH).pairs)


def test_a_part_needs_storing_until_its_frame_is_whole() -> None:
    proof = proof_of(head(1))
    taken = [proof.take(data(1, 1, part=part), 0.0) for part in ((1, 2), (2, 2), (2, 2))]

    assert [[[1, 1]], [[1, 1]], []] == [each.new.pairs for each in taken]
    assert [[], [[1, 1]], []] == [each.whole.pairs for each in taken]


def test_an_older_epoch_is_owed_to_its_last_number() -> None:
    proof = proof_of(head(5), data(1, 5), head(2, epoch=OLDER, older=((EPOCH, 1, 8),)))

    assert ([[6, 8]], [[1, 2]]) == (missing(proof), missing(proof, OLDER))


def test_an_epoch_that_no_head_names_any_more_is_owed_from_what_came_first() -> None:
    proof = proof_of(data(5, 9, epoch=OLDER), head(2), data(1, 2))

    assert (True, 5) == (proof.report(LATER_S).complete, proof.report(0).epochs[0].since)


def test_a_subscriber_may_begin_with_what_comes_from_now_on() -> None:
    proof = proof_of(head(50, older=((OLDER, 1, 9),)))
    proof.begin_now()
    proof.take(data(51, 52), 0.0)

    assert (True, 2) == (proof.report(LATER_S).complete, proof.report(0).frames)


def test_what_the_gateway_no_longer_keeps_is_not_asked_for_but_named() -> None:
    proof = proof_of(head(9, first=6), data(6, 9))
    report = proof.report(LATER_S)

    assert (True, (("removed", 5),), []) == (report.complete, report.closed, proof.wants(LATER_S))


def test_a_gap_gives_a_better_reason_than_that_it_is_no_longer_kept() -> None:
    told = gap(9, why="evicted", frames=((1, 3),))
    messages = (head(9, first=6), data(6, 9, gaps=(told,)))
    one, other = proof_of(*messages), proof_of(*reversed(messages))

    assert (("evicted", 3), ("removed", 2)) == one.report(0).closed == other.report(0).closed


def test_what_is_no_longer_kept_and_comes_all_the_same_has_come() -> None:
    report = proof_of(head(9, first=6), data(1, 9)).report(LATER_S)

    assert (9, ()) == (report.frames, report.closed)


def test_an_answer_closes_what_is_gone_and_covers_what_is_withheld() -> None:
    proof = proof_of(head(9), data(5, 9), answer(gone=(("evicted", 1, 2),), withheld=((3, 4),)))
    report = proof.report(LATER_S)

    assert (True, (("evicted", 2),), 2) == (report.complete, report.closed, report.withheld_frames)


def test_an_answer_about_an_unknown_epoch_says_nothing() -> None:
    assert not proof_of(answer(gone=(("lost", 1, 2),))).report(0).epochs


def test_the_delay_is_the_age_of_the_oldest_reading_of_the_newest_live_message() -> None:
    proof = proof_of(head(9))
    proof.take(data(5, 6), 0.0, wall_us=T0_US + 1_000_005)
    proof.take(data(1, 2, lane="backlog"), 0.0, wall_us=T0_US + 9_000_000)

    assert 1_000_000 == proof.report(0).delay_us


def test_readings_taken_while_the_clock_was_wrong_say_nothing_about_delay() -> None:
    message = json.loads(data(1, 1))
    message["frames"][0] |= {"t": 5, "clk": "unset", "boot": 1, "mono": 5}
    proof = Proof()
    proof.take(message, 0.0, wall_us=T0_US)

    assert proof.report(0).delay_us is None


def test_a_seal_after_the_first_line_feed_is_cut_off() -> None:
    assert proof_of(head(4), data(1, 4) + b'\n{"sig":"x"}').report(LATER_S).complete


def test_unknown_keys_are_ignored() -> None:
    message = json.loads(data(1, 4)) | {"new": [1, 2]}

    assert proof_of(head(4), json.dumps(message).encode()).report(LATER_S).complete


def test_workers_who_have_a_part_each_have_the_frame_together() -> None:
    one, other = proof_of(head(1), data(1, 1, part=(1, 2))), proof_of(data(1, 1, part=(2, 2)))
    one.merge(other)

    assert (True, 1, 4) == (one.report(0).complete, one.report(0).frames, one.report(0).readings)


def test_what_one_worker_wants_the_merged_proof_wants() -> None:
    one, other = proof_of(head(4)), proof_of(head(4))
    one.begin_now()
    one.merge(other)

    assert [[1, 4]] == one.holes(EPOCH).pairs


def test_memory_for_frames_in_parts_is_bounded() -> None:
    proof = proof_of(head(3000), *(data(n, n, part=(1, 2), last=3000) for n in range(1, 1202)))

    assert 1000 == len(json.loads(proof.save())["epochs"][EPOCH]["parts"])
