"""The estimate of wear: what raises it, what lowers it, and that it is near what was measured."""

from pathlib import Path

import pytest

from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.wear import bytes_a_day, life_days

GB = 1e9


def estimate(readings_s: float, commit_interval_s: float, polls_s: float = 1.0, targets: bool = True) -> float:
    return bytes_a_day(BufferSettings(Path("s"), commit_interval_s), readings_s, polls_s, targets)


@pytest.mark.parametrize(
    ("readings_s", "interval_s", "polls_s", "measured_gb"),
    [
        (30, 0.1, 1, 1.65),
        (30, 1, 1, 1.39),
        (30, 5, 1, 0.46),
        (600, 1, 20, 2.2),
        (600, 5, 20, 1.13),
        (12_500, 1, 100, 25),
    ],
)
def test_it_is_within_half_and_double_of_what_was_measured(
    readings_s: float, interval_s: float, polls_s: float, measured_gb: float
) -> None:
    assert measured_gb / 2 < estimate(readings_s, interval_s, polls_s) / GB < measured_gb * 2


def test_rarer_commits_wear_less_down_to_what_the_readings_themselves_need() -> None:
    sums = [estimate(600, interval_s, 20) for interval_s in (0.1, 1.0, 5.0, 60.0)]

    assert sums == sorted(sums, reverse=True)
    assert estimate(600, 60.0, 20) > 600 * 86_400 * 8


def test_readings_that_fill_a_commit_early_cost_commits() -> None:
    assert estimate(40_000, 5.0, 100) == estimate(40_000, 1.0, 100)


def test_without_a_frame_nothing_is_written() -> None:
    assert estimate(0, 1.0, 0) == 0
    assert life_days(32 * 10**9, 0) == float("inf")


def test_a_card_lives_longer_when_it_is_larger() -> None:
    assert life_days(64 * 10**9, GB) == 2 * life_days(32 * 10**9, GB)
