"""The clock says how well it knows the time: plausible, vouched for, and never stepped behind its back."""

from pathlib import Path

import pytest

from tidegate.clock import (
    BUILT_US,
    Clock,
    ClockState,
    Known,
    Source,
    Trust,
    kernel_synchronised,
    set_by_real_time_clock,
)

NOW_US = BUILT_US + 1_000_000_000_000
DAY_US = 86_400_000_000


class World:
    """Time that is moved by hand, and what the kernel says of it."""

    def __init__(self, wall_us: int = NOW_US, kernel: bool | None = False, rtc: bool = False) -> None:
        self.mono_us = 5_000_000
        self.offset_us = wall_us - self.mono_us
        self.kernel, self.rtc = kernel, rtc

    def clock(self, source: Source = Source.AUTO) -> Clock:
        return Clock(
            lambda: self.mono_us + self.offset_us, lambda: self.mono_us, source=source, kernel=lambda: self.kernel,
            real_time_clock=lambda _: self.rtc,
        )  # fmt: skip

    def later(self, clock: Clock, seconds: float = 2.0) -> Trust:
        self.mono_us += round(seconds * 1e6)
        return clock.trust


def test_a_kernel_that_is_synchronised_is_believed() -> None:
    assert World(kernel=True).clock().trust is Trust.SYNCED


@pytest.mark.parametrize("source", Source)
def test_a_time_before_this_version_was_built_is_believed_by_nobody(source: Source) -> None:
    world = World(wall_us=0, kernel=True, rtc=True)

    assert world.clock(source).trust is Trust.UNSET


@pytest.mark.parametrize(
    ("source", "kernel", "rtc", "trust"),
    [
        (Source.AUTO, False, False, Trust.UNSET),
        (Source.AUTO, False, True, Trust.HOLDOVER),
        (Source.AUTO, None, False, Trust.HOLDOVER),
        (Source.NTP, False, True, Trust.UNSET),
        (Source.NTP, None, True, Trust.UNSET),
        (Source.RTC, False, True, Trust.HOLDOVER),
        (Source.RTC, False, False, Trust.UNSET),
        (Source.SYSTEM, False, False, Trust.SYNCED),
    ],
)
def test_a_plausible_time_needs_somebody_who_vouches_for_it(
    source: Source, kernel: bool | None, rtc: bool, trust: Trust
) -> None:
    assert World(kernel=kernel, rtc=rtc).clock(source).trust is trust


def test_a_clock_that_is_no_longer_synchronised_holds_over() -> None:
    world = World(kernel=True)
    clock = world.clock()
    clock.moment()
    world.kernel = False

    assert world.later(clock) is Trust.HOLDOVER


def test_a_clock_that_waits_for_ntp_is_set_when_it_comes() -> None:
    world = World(wall_us=0)
    clock = world.clock()
    before = world.later(clock)
    world.offset_us, world.kernel = NOW_US, True

    assert (before, world.later(clock)) == (Trust.UNSET, Trust.SYNCED)


@pytest.mark.parametrize("source", [Source.AUTO, Source.SYSTEM])
@pytest.mark.parametrize("step_us", [3 * 365 * DAY_US, -10 * DAY_US, 3_600_000_000])
def test_a_step_that_nobody_vouches_for_is_doubted_until_it_is_taken_back(source: Source, step_us: int) -> None:
    world = World(rtc=True)
    clock = world.clock(source)
    good = clock.trust
    world.offset_us += step_us
    doubted, words = world.later(clock), clock.words
    still = world.later(clock, 3600)
    world.offset_us -= step_us

    assert (doubted, still, world.later(clock)) == (Trust.UNSET, Trust.UNSET, good)
    assert "stepped" in words
    assert clock.steps == 2


def test_a_step_that_the_kernel_vouches_for_is_followed() -> None:
    world = World(rtc=True)
    clock = world.clock()
    clock.moment()
    world.offset_us -= 10 * DAY_US
    world.kernel = True

    assert world.later(clock) is Trust.SYNCED


def test_a_slow_daemon_that_moves_the_clock_for_months_never_looks_like_a_step() -> None:
    world = World(rtc=True)
    clock = world.clock()
    for _ in range(1000):
        world.offset_us += 200_000
        world.later(clock)

    assert clock.trust is Trust.HOLDOVER
    assert clock.steps == 0


def test_a_time_before_one_that_has_passed_is_not_believed() -> None:
    world = World(rtc=True)
    clock = world.clock(Source.SYSTEM)
    clock.raise_floor(NOW_US + DAY_US)

    assert clock.state is ClockState.UNSET


@pytest.mark.parametrize(("off_us", "trust"), [(0, Trust.HOLDOVER), (DAY_US, Trust.UNSET)])
def test_what_was_known_before_a_restart_is_known_after_it_if_the_clock_agrees(off_us: int, trust: Trust) -> None:
    world = World()
    clock = world.clock()
    clock.remember(Known(NOW_US + off_us, world.mono_us))

    assert clock.trust is trust


def test_a_moment_belongs_together() -> None:
    world = World(kernel=True)

    moment = world.clock().moment()

    assert (moment.wall_us, moment.mono_us, moment.state) == (NOW_US, 5_000_000, ClockState.SET)


def test_the_kernel_is_not_asked_at_every_look() -> None:
    asked = []
    clock = Clock(lambda: NOW_US, lambda: 0, kernel=lambda: bool(asked.append(1)))
    for _ in range(100):
        clock.moment()

    assert len(asked) == 1


def test_this_kernel_can_be_asked() -> None:
    assert kernel_synchronised() in (True, False, None)


def test_a_real_time_clock_counts_when_it_set_the_time_or_was_named(tmp_path: Path) -> None:
    (tmp_path / "rtc0").mkdir()
    (tmp_path / "rtc0/hctosys").write_text("0\n")

    assert not set_by_real_time_clock(Source.AUTO, tmp_path)
    assert set_by_real_time_clock(Source.RTC, tmp_path)

    (tmp_path / "rtc0/hctosys").write_text("1\n")

    assert set_by_real_time_clock(Source.AUTO, tmp_path)
