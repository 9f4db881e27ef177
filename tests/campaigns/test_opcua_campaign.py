"""A small OPC UA kill campaign, and what its checker says of buffers in which something is wrong."""

from array import array
from pathlib import Path
from typing import Any

import pytest

from tests.campaigns.opcua_checker import Committed, Track, judge, kept_times
from tests.campaigns.opcua_kills import kill_campaign
from tests.campaigns.opcua_scene import Load

S = 1_000_000
ALWAYS = [(0, 1000 * S)]


def track(*times_s: int, first: int = 0) -> Track:
    """A counter that went up by one at these times."""
    return Track(array("q", [at * S for at in times_s]), array("q", range(first, first + len(times_s))))


def gap(t0_s: int, t1_s: int, why: str = "source_gap", tags: list[str] | None = None) -> dict[str, Any]:
    """A gap frame's content, as far as it matters here."""
    return {"why": why, "t0": t0_s * S, "t1": t1_s * S, "tags": tags}


@pytest.mark.timeout(180)
def test_two_kills_lose_nothing(tmp_path: Path) -> None:
    found = kill_campaign("node-opcua", 2, Load(100, 10.0), tmp_path, seed=1, all_kept=True)

    assert [] == [str(one) for one in found if not one.holds]


def test_a_missing_change_is_unexplained_without_a_gap() -> None:
    committed = Committed({"a": Track(array("q", [10 * S, 30 * S]), array("q", [0, 2]))})
    verdict = judge({"a": track(10, 20, 30)}, committed, ALWAYS)

    assert ([("a", 1, 20 * S)], 1) == (verdict.unexplained, verdict.kept_missing)


@pytest.mark.parametrize(
    ("told", "unexplained"),
    [
        (gap(15, 25), 0),
        (gap(15, 25, tags=["a"]), 0),
        (gap(15, 25, tags=["b"]), 1),
        (gap(15, 18), 1),
        (gap(22, 25), 1),
        (gap(15, 25, why="crash_window"), 1),
    ],
    ids=["in time", "of this tag", "of another tag", "too early", "too late", "of a kind that says nothing of it"],
)
def test_a_gap_explains_what_lies_in_it_and_nothing_else(told: dict[str, Any], unexplained: int) -> None:
    committed = Committed({"a": Track(array("q", [10 * S, 30 * S]), array("q", [0, 2]))}, gaps=[told])

    assert unexplained == len(judge({"a": track(10, 20, 30)}, committed, []).unexplained)


def test_a_tag_that_was_told_to_be_bad_needs_no_gap_until_it_is_good_again() -> None:
    good = Track(array("q", [10 * S, 40 * S]), array("q", [0, 3]))
    committed = Committed({"a": good}, bad={"a": array("q", [15 * S])})
    verdict = judge({"a": track(10, 20, 30, 40, 50)}, committed, [])

    assert (2, [("a", 4, 50 * S)]) == (verdict.told_bad, verdict.unexplained)


def test_what_was_never_logged_is_invented_and_another_value_is_wrong_and_twice_is_twice() -> None:
    good = Track(array("q", [10 * S, 20 * S, 20 * S, 25 * S]), array("q", [0, 7, 7, 9]))
    verdict = judge({"a": track(10, 20)}, Committed({"a": good}), ALWAYS)

    assert ([("a", 9, 25 * S)], 1, 1) == (verdict.invented, verdict.wrong, verdict.twice)


def test_times_with_one_subscription_end_where_it_was_lost() -> None:
    kills = [
        {"at_us": 10 * S, "back_us": 12 * S, "kept": True},
        {"at_us": 20 * S, "back_us": 23 * S, "kept": False},
    ]
    first, second = kept_times(kills)

    assert (0, 19 * S, 23 * S) == (*first, second[0])
