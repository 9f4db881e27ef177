"""The poller on virtual time: pace, isolation, reconnecting, and that every poll is a frame or in a gap."""

import asyncio
from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random

import pytest

from tests.fakes.machines import TAGS, Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.backoff import WAIT_S_MAX
from tidegate.acquire.poller import Poller
from tidegate.acquire.unit import DeviceStatus
from tidegate.clock import Clock
from tidegate.errors import InvalidReply, NoAnswer, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.gap import Why
from tidegate.model.status import BAD_NO_COMMUNICATION


def play(
    devices: Sequence[Device], scene: Scene, seconds: float, sink: Sink | None = None
) -> tuple[Sink, dict[str, DeviceStatus]]:
    """Poll for a while on virtual time; what came, and how the devices are at the end."""
    kept = sink or Sink()

    async def main(clock: Clock) -> dict[str, DeviceStatus]:
        poller = Poller(devices, {"scripted": driver_for(scene)}, kept, kept.gaps.append, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(seconds)
        status = {one.name: one for one in poller.status()}
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return status

    return kept, run_virtually(main)


def failing(
    device: str, error: Callable[[], Exception], begin_s: float, end_s: float
) -> Callable[[Group, float], float]:
    """An answer that raises for one device during a while."""

    def answer(group: Group, now_s: float) -> float:
        if group.device == device and begin_s <= now_s < end_s:
            raise error()
        return 0.01

    return answer


def lost(sink: Sink, device: str, *why: Why) -> int:
    """Readings of a device that gaps account for."""
    return sum(gap.n for gap in sink.gaps if gap.device == device and (not why or gap.why in why))


def accounted(sink: Sink, device: str) -> int:
    """Readings of a device that came or are in a gap."""
    return TAGS * len(sink.of(device)) + lost(sink, device)


def test_a_group_keeps_its_pace_without_drift() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 0.05
    play([machine("a", interval_s=0.1)], scene, 60.05)
    times = [t for _, _, t in scene.reads]

    assert 600 <= len(times) <= 601
    assert max(abs(t - round(t, 1)) for t in times) < 0.005


def test_groups_of_one_interval_are_spread_over_it() -> None:
    scene = Scene()
    play([machine(f"m{i}", bus=f"b{i}") for i in range(10)], scene, 1.0)
    times = sorted(t for _, _, t in scene.reads)

    assert min(b - a for a, b in pairwise(times)) > 0.03


def test_a_cycle_that_passed_while_reading_is_missed_and_told() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 0.25
    sink, _ = play([machine("slow", interval_s=0.1)], scene, 30)

    assert lost(sink, "slow", Why.POLL_OVERRUN) > 0
    assert abs(accounted(sink, "slow") - 300 * TAGS) <= 2 * TAGS


def test_a_silent_unit_goes_down_once_and_says_so_with_bad_status() -> None:
    scene = Scene()
    scene.answer = failing("b", lambda: NoAnswer("b", "silent"), 5, 1e9)
    sink, status = play([machine("a"), machine("b")], scene, 60)
    (bad,) = sink.of("b", good=False)

    assert status["b"].state == "down"
    assert status["a"].state == "up"
    assert bad.count == TAGS
    assert int.from_bytes(bad.status, "little") == BAD_NO_COMMUNICATION


def test_a_silent_unit_leaves_its_neighbours_their_pace() -> None:
    def answer(group: Group, now_s: float) -> float:
        return 99.0 if group.device == "dead" else 0.01

    scene = Scene()
    scene.answer = answer
    sink, _ = play([machine("well", interval_s=0.5), machine("dead", interval_s=0.5, deadline_s=0.2)], scene, 600)

    assert len(sink.of("well")) > 0.95 * 1200


def test_a_driver_that_keeps_no_deadline_is_cut_off() -> None:
    scene = Scene()
    scene.deaf = True
    scene.answer = lambda group, now_s: 1e6
    _, status = play([machine("a", deadline_s=0.2)], scene, 10)

    assert status["a"].state == "down"
    assert "0.2 s" in status["a"].why


def test_an_unit_that_answers_again_is_up_at_the_latest_after_the_longest_wait() -> None:
    scene = Scene()
    scene.answer = failing("a", lambda: NoAnswer("a", "silent"), 5, 300)
    sink, status = play([machine("a")], scene, 300 + WAIT_S_MAX + 2)

    assert status["a"].state == "up"
    assert accounted(sink, "a") == pytest.approx(TAGS * (300 + WAIT_S_MAX + 2), abs=2 * TAGS)


@pytest.mark.parametrize("error", [NoAnswer, InvalidReply], ids=lambda e: e.__name__)
def test_one_failed_poll_is_in_a_gap_and_the_device_stays_up(error: type[Exception]) -> None:
    scene = Scene()
    scene.answer = failing("a", lambda: error("a", "once"), 5, 6)
    sink, status = play([machine("a")], scene, 20.5)
    (gap,) = sink.gaps

    assert status["a"].state == "up"
    assert gap.n == TAGS
    assert gap.n_is == "exact"
    assert gap.t0 <= gap.t1


def test_a_bus_that_went_away_is_opened_again_for_ever() -> None:
    def opens(now_s: float) -> None:
        if 10 <= now_s < 3600:
            raise NotConnected("", "refused")

    scene = Scene()
    scene.opens = opens
    scene.answer = failing("a", lambda: NotConnected("a", "reset"), 10, 3600)
    sink, status = play([machine("a"), machine("b")], scene, 3600 + WAIT_S_MAX + 5)
    waits = [b - a for a, b in pairwise(scene.opened[2:])]

    assert status["a"].state == "up"
    assert max(waits) <= WAIT_S_MAX
    assert len(sink.of("a", good=False)) == 1
    assert accounted(sink, "a") == pytest.approx(TAGS * (3600 + WAIT_S_MAX + 5), abs=2 * TAGS)


def test_an_idle_connection_that_was_closed_is_reopened_at_once_and_nothing_is_lost() -> None:
    def answer(group: Group, now_s: float) -> float:
        if scene.opened[-1] < 10 <= now_s:
            raise NotConnected(group.device, "the peer closed the connection")
        return 0.01

    scene = Scene()
    scene.answer = answer
    sink, status = play([machine("a", interval_s=0.5), machine("b", interval_s=0.5)], scene, 20)

    assert status["a"].state == "up"
    assert len(scene.opened) == 2
    assert len(sink.of("a")) >= 40
    assert sink.of("a", good=False) == sink.gaps == []


def test_a_driver_that_fails_in_its_own_way_takes_nobody_along() -> None:
    scene = Scene()
    scene.answer = failing("broken", lambda: ZeroDivisionError("a bug"), 0, 1e9)
    sink, status = play([machine("broken"), machine("well")], scene, 30)

    assert status["broken"].state == "down"
    assert "a bug" in status["broken"].why
    assert len(sink.of("well")) >= 29


def test_a_long_outage_is_few_gaps_that_leave_nothing_out() -> None:
    scene = Scene()
    scene.answer = failing("a", lambda: NoAnswer("a", "silent"), 5, 1e9)
    sink, _ = play([machine("a")], scene, 86_400 / 4)
    gaps = sorted((g.t0, g.t1) for g in sink.gaps)

    assert len(gaps) < 400
    assert all(b[0] <= a[1] + 1_000_001 for a, b in pairwise(gaps))


def test_a_stop_closes_the_drivers_and_tells_what_was_pending() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 0.4
    sink, _ = play([machine("a")], scene, 2.2)

    assert scene.closed == 1
    assert accounted(sink, "a") == 3 * TAGS


def test_as_many_reads_run_at_once_as_the_bus_allows() -> None:
    scene = Scene()
    scene.connections = 4
    scene.answer = lambda group, now_s: 0.9
    sink, _ = play([machine(f"m{i}", interval_s=1.0, deadline_s=2) for i in range(4)], scene, 60)

    assert all(len(sink.of(f"m{i}")) >= 58 for i in range(4))


def test_the_same_seed_gives_the_same_trace() -> None:
    def trace() -> list[tuple[str, str, float]]:
        scene = Scene()
        scene.answer = failing("a", lambda: NoAnswer("a", "silent"), 5, 300)
        play([machine("a"), machine("b", groups=3)], scene, 600)
        return scene.reads

    assert trace() == trace()
