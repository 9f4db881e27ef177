"""Bad days of the poller by name: what must not spread, must not be lost, and must not cost much."""

import asyncio
from random import Random

import pytest

from tests.acquire.test_poller import accounted, failing, lost, play
from tests.fakes.machines import TAGS, Scene, Sink, driver_for, machine
from tests.fakes.virtual_time import VirtualLoop, run_virtually
from tidegate.acquire.backoff import WAIT_S_MIN
from tidegate.acquire.poller import Poller
from tidegate.acquire.toll import PRESSED_SHARE
from tidegate.acquire.wheel import SLOTS_MAX
from tidegate.clock import BUILT_US, Clock
from tidegate.errors import BufferFault, NoAnswer, NotConnected, Refused, Shed
from tidegate.model.device import Group
from tidegate.model.frame import Frame


def test_a_group_that_is_refused_rests_and_is_bad_while_the_others_go_on() -> None:
    def answer(group: Group, now_s: float) -> float:
        if group.name == "g1":
            raise Refused(group.device, "illegal data address", 2)
        return 0.01

    scene = Scene()
    scene.answer = answer
    sink, status = play([machine("a", interval_s=0.1, groups=2)], scene, 300)
    refused = [at for _, group, at in scene.reads if group == "g1"]

    assert status["a"].state == "up"
    assert "g1" in status["a"].why
    assert len(sink.of("a")) >= 2999
    assert len(sink.of("a", good=False)) == 1
    assert len(refused) < 40
    assert accounted(sink, "a") == pytest.approx(2 * 3000 * TAGS, abs=2 * TAGS)


def test_many_dead_units_take_their_share_of_a_bus_whose_others_lose_cycles_and_each_is_tried() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 99.0 if group.device.startswith("dead") else 0.02
    plant = [machine(f"dead{i}", deadline_s=1.0) for i in range(20)] + [machine("well", interval_s=0.5)]
    sink, _ = play(plant, scene, 2400)
    late = [at for device, _, at in scene.reads if device.startswith("dead") and at > 120]

    assert len(late) * 1.0 <= PRESSED_SHARE * (2400 - 120) + 2
    assert {f"dead{i}" for i in range(20)} == {device for device, _, at in scene.reads if at > 1000} - {"well"}
    assert len(sink.of("well")) > 0.95 * 4800


def test_a_device_whose_reads_take_longer_than_its_interval_is_read_without_pause() -> None:
    scene = Scene()
    scene.answer = lambda group, now_s: 0.11
    sink, _ = play([machine("a", interval_s=0.1)], scene, 110)

    assert len(sink.of("a")) >= 990
    assert accounted(sink, "a") == pytest.approx(1100 * TAGS, abs=2 * TAGS)
    assert {"poll_overrun"} == {gap.why.value for gap in sink.gaps}


def test_a_suspended_machine_counts_what_passed_and_reads_on_at_once() -> None:
    scene, sink = Scene(), Sink()
    jump_us = 0

    async def main(_: Clock) -> None:
        nonlocal jump_us
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: BUILT_US + round(loop.time() * 1e6) + jump_us, lambda: round(loop.time() * 1e6) + jump_us)
        clock.boot = 1
        poller = Poller(
            [machine("a")], {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock, Random(7)
        )  # fmt: skip
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(10.5)
        jump_us = 3_600_000_000
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main)

    assert accounted(sink, "a") == pytest.approx(3620 * TAGS, abs=2 * TAGS)
    assert {"poll_overrun"} == {gap.why.value for gap in sink.gaps}
    assert len(scene.reads) <= 22


def test_a_wall_clock_that_jumps_changes_no_pace() -> None:
    scene, sink = Scene(), Sink()
    wall_us = BUILT_US

    async def main(_: Clock) -> None:
        nonlocal wall_us
        loop = asyncio.get_running_loop()
        clock = Clock(lambda: wall_us + round(loop.time() * 1e6), lambda: round(loop.time() * 1e6))
        poller = Poller(
            [machine("a")], {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock, Random(7)
        )  # fmt: skip
        running = asyncio.create_task(poller.run())
        for step_us in (86_400_000_000, -10 * 86_400_000_000, 0):
            wall_us += step_us
            await asyncio.sleep(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main)

    assert len(scene.reads) in (30, 31)
    assert sink.gaps == []


def test_a_hundred_devices_wake_the_gateway_some_ten_times_an_interval() -> None:
    scene, sink = Scene(), Sink()
    jumps = 0

    async def main(clock: Clock) -> None:
        nonlocal jumps
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        plant = [machine(f"m{i}", bus=f"b{i}") for i in range(100)]
        poller = Poller(plant, {"scripted": driver_for(scene)}, sink, sink.gaps.append, clock, Random(7))
        running = asyncio.create_task(poller.run())
        await asyncio.sleep(5)
        before = loop.jumps
        await asyncio.sleep(100)
        jumps = loop.jumps - before
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    run_virtually(main)

    assert len(sink.frames) >= 100 * 104
    assert jumps <= 100 * (SLOTS_MAX + 3)


@pytest.mark.parametrize("error", [ValueError("a short column"), KeyError("table"), IndexError("tag")], ids=repr)
def test_frames_that_do_not_fit_their_table_are_lost_told_and_break_the_circuit(error: Exception) -> None:
    class Picky(Sink):
        async def put(self, frame: Frame) -> "asyncio.Future[int]":
            if frame.device == "odd" and frame.status == bytes(4):
                raise error
            return await super().put(frame)

    sink, status = play([machine("odd"), machine("well")], Scene(), 60, Picky())

    assert status["odd"].state == "down"
    assert "tag table" in status["odd"].why
    assert lost(sink, "odd") == pytest.approx(60 * TAGS, abs=2 * TAGS)
    assert len(sink.of("well")) >= 59


def test_a_sink_that_is_full_sheds_and_the_poller_goes_on() -> None:
    class Full(Sink):
        async def put(self, frame: Frame) -> "asyncio.Future[int]":
            await super().put(frame)
            raise Shed("no room")

    sink, status = play([machine("a")], Scene(), 20, Full())

    assert status["a"].state == "up"
    assert len(sink.frames) >= 19


def test_a_sink_that_is_broken_ends_the_poller_loudly() -> None:
    class Broken(Sink):
        async def put(self, frame: Frame) -> "asyncio.Future[int]":
            raise BufferFault("the disk is gone")

    async def main(clock: Clock) -> None:
        sink = Broken()
        await Poller([machine("a")], {"scripted": driver_for(Scene())}, sink, sink.gaps.append, clock, Random(7)).run()

    with pytest.raises(BufferFault, match="the disk is gone"):
        run_virtually(main)


def test_a_ledger_that_is_broken_ends_the_poller_loudly() -> None:
    def tell(gap: object) -> None:
        raise BufferFault("the ledger is gone")

    async def main(clock: Clock) -> None:
        scene = Scene()
        scene.answer = failing("a", lambda: NoAnswer("a", "silent"), 3, 9)
        await Poller([machine("a")], {"scripted": driver_for(scene)}, Sink(), tell, clock, Random(7)).run()

    with pytest.raises(BufferFault, match="the ledger is gone"):
        run_virtually(main)


def test_an_hour_without_a_bus_is_one_bad_frame_a_device_and_every_cycle_in_a_gap() -> None:
    def opens(now_s: float) -> None:
        if now_s < 3600:
            raise NotConnected("", "no route to host")

    scene = Scene()
    scene.opens = opens
    sink, status = play([machine("a", interval_s=0.1)], scene, 3640)

    assert status["a"].state == "up"
    assert len(sink.of("a", good=False)) == 1
    assert accounted(sink, "a") == pytest.approx(36_400 * TAGS, abs=2 * TAGS)
    assert {"device_down"} == {gap.why.value for gap in sink.gaps}
    assert len(sink.gaps) < 80


def test_a_device_that_fails_now_and_then_never_goes_down_and_keeps_its_pace() -> None:
    reads = 0

    def answer(group: Group, now_s: float) -> float:
        nonlocal reads
        reads += 1
        if reads % 3:
            raise NoAnswer(group.device, "noise")
        return 0.01

    scene = Scene()
    scene.answer = answer
    sink, status = play([machine("a", interval_s=0.1)], scene, 300)

    assert status["a"].state == "up"
    assert len(scene.reads) >= 2999
    assert sink.of("a", good=False) == []
    assert len(sink.gaps) < 20


def test_status_says_when_it_is_tried_again_and_how_its_reads_were() -> None:
    scene = Scene()
    scene.answer = failing("a", lambda: NoAnswer("a", "silent"), 10, 1e9)
    _, status = play([machine("a"), machine("b", bus="other")], scene, 60)

    assert BUILT_US + 60_000_000 <= (status["a"].next_try_us or 0) <= BUILT_US + 91_000_000
    assert dict(status["a"].failures)["no answer"] >= 3
    assert status["a"].missed == pytest.approx(50, abs=2)
    assert status["b"].next_try_us is None
    assert status["b"].typical_ms == pytest.approx(10, abs=1)


def test_a_second_outage_is_probed_as_soon_as_the_first_was() -> None:
    def answer(group: Group, now_s: float) -> float:
        if 10 <= now_s < 600 or now_s >= 700:
            raise NoAnswer(group.device, "silent")
        return 0.01

    scene = Scene()
    scene.answer = answer
    play([machine("a")], scene, 800)
    second = [at for _, _, at in scene.reads if at >= 700]

    assert second[3] - second[2] <= 2 * WAIT_S_MIN + 0.1


def test_a_device_that_was_down_before_its_bus_went_is_down_when_it_is_back() -> None:
    def answer(group: Group, now_s: float) -> float:
        if group.device == "dead":
            raise NoAnswer(group.device, "silent")
        if 60 <= now_s < 61:
            raise NotConnected(group.device, "reset")
        return 0.01

    def opens(now_s: float) -> None:
        if 60 <= now_s < 70:
            raise NotConnected("", "refused")

    scene = Scene()
    scene.answer, scene.opens = answer, opens
    sink, status = play([machine("dead"), machine("well")], scene, 120)

    assert status["dead"].state == "down"
    assert status["dead"].why == "silent"
    assert status["well"].state == "up"
    assert len(sink.of("dead", good=False)) == 1
    assert len(sink.of("well", good=False)) == 1


def test_a_driver_that_blocks_leaves_the_loop_to_others_now_and_then() -> None:
    scene = Scene()
    ticks = 0

    def answer(group: Group, now_s: float) -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now_s += 0.02
        if len(scene.reads) > 10_000:
            raise SystemExit("the loop was never free")
        return 0.0

    async def main(clock: Clock) -> None:
        nonlocal ticks
        poller = Poller(
            [machine("a", interval_s=0.01)], {"scripted": driver_for(scene, waits=False)}, Sink(), lambda gap: None,
            clock, Random(7),
        )  # fmt: skip
        running = asyncio.create_task(poller.run())
        for _ in range(20):
            await asyncio.sleep(0.1)
            ticks += 1
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    scene.answer = answer
    run_virtually(main)

    assert ticks == 20


def test_a_connection_that_breaks_under_a_read_costs_that_read_and_no_more() -> None:
    async def broken(group: Group) -> None:
        await asyncio.sleep(0.1)
        raise NotConnected(group.device, "reset by peer")

    scene = Scene()
    scene.before = lambda group, now_s: broken(group) if 9.5 <= now_s < 10.5 else None
    sink, status = play([machine("a")], scene, 20.5)
    (gap,) = sink.gaps

    assert status["a"].state == "up"
    assert TAGS == gap.n
    assert gap.t0 <= BUILT_US + 10_000_001
    assert gap.t1 >= BUILT_US + 10_099_999
    assert accounted(sink, "a") == 21 * TAGS


def test_a_driver_that_cancels_its_own_read_is_opened_again_with_back_off() -> None:
    scene = Scene()
    scene.answer = failing("a", asyncio.CancelledError, 10, 100)
    _, status = play([machine("a")], scene, 140)

    assert status["a"].state == "up"
    assert 4 <= len(scene.opened) <= 20


def test_a_driver_that_fails_to_open_and_to_close_in_its_own_way_ends_nobody() -> None:
    def opens(now_s: float) -> None:
        if now_s < 60:
            raise ZeroDivisionError("a bug")

    scene = Scene()
    scene.opens = opens
    scene.closes = lambda: opens(0.0)
    _, status = play([machine("a")], scene, 100)

    assert status["a"].state == "up"


def test_an_open_that_never_ends_is_given_up() -> None:
    scene = Scene()
    scene.opening_s = 1e6
    _, status = play([machine("a")], scene, 60)

    assert status["a"].state == "backing off"
    assert "15 s" in status["a"].why
    assert 2 <= len(scene.opened) <= 4
