"""What the table of peers says: that nothing was checked of one, and what failed, is no success."""

from tests.campaigns.interop import PEERS, judge

HELD = [(peer.tests, f"test_something[{peer.word}]", "") for peer in PEERS]


def test_peers_of_which_every_check_holds_are_well() -> None:
    assert all(finding.holds for finding in judge(HELD))


def test_a_peer_of_which_nothing_was_checked_is_told() -> None:
    lost = [one for one in HELD if PEERS[-1].word not in one[1]]

    assert [finding.holds for finding in judge(lost)].count(False) == 1


def test_a_check_that_failed_or_was_skipped_is_told() -> None:
    first, *others = HELD
    wrong = (first[0], first[1], "This test needs node and npm")

    assert judge([first, wrong, *others])[0].holds is False
