"""The estimate of wear: what raises it, what lowers it, and that it is near what was measured."""

from pathlib import Path

import pytest

from tests.bench.disk import Device
from tests.bench.wear import LIMITS_GB, Shape, live, settings_of
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.wear import bytes_a_day, life_days

GB = 1e9


# By `python -m tests.bench.wear`: policy, readings and polls a second, GB a day at the block device.
MEASURED = [
    ("strict", 30, 1, 0.93),
    ("normal", 30, 1, 0.93),
    ("flash-saver", 30, 1, 0.37),
    ("strict", 600, 20, 8.81),
    ("normal", 600, 20, 1.96),
    ("flash-saver", 600, 20, 1.31),
    ("strict", 12_500, 100, 30.64),
    ("normal", 12_500, 100, 24.95),
    ("flash-saver", 12_500, 100, 20.71),
]
# The estimate has five numbers, the disk and the file system have many more.
TOLERANCE = 0.15


def estimate(readings_s: float, commit_interval_s: float, polls_s: float = 1.0, targets: bool = True) -> float:
    return bytes_a_day(BufferSettings(Path("s"), commit_interval_s), readings_s, polls_s, targets)


@pytest.mark.parametrize(("policy", "readings_s", "polls_s", "measured_gb"), MEASURED)
def test_it_is_near_what_was_measured(policy: str, readings_s: float, polls_s: float, measured_gb: float) -> None:
    estimated = bytes_a_day(settings_of(policy, Path("s")), readings_s, polls_s, True) / GB

    assert measured_gb == pytest.approx(estimated, rel=TOLERANCE)


def test_what_is_measured_now_is_near_it_too_and_within_what_is_promised() -> None:
    """Two segments of virtual time under the policy that is made for flash."""
    spent = live(Shape(1, 30, 1200), "flash-saver")
    if spent.where != Device.where:
        pytest.skip("nothing can be mounted here, and so nothing be counted at a block device")
    estimated = bytes_a_day(settings_of("flash-saver", Path("s")), 30, 1, True) / GB

    assert spent.gb_a_day == pytest.approx(estimated, rel=2 * TOLERANCE)
    assert spent.gb_a_day <= LIMITS_GB["flash-saver", 30]


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
