"""What failing units cost the others of a bus: on virtual time, beside the same bus without them."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random

from tests.acquire.test_poller import play
from tests.fakes.machines import Scene, machine
from tidegate.acquire.toll import PRESSED_SHARE
from tidegate.errors import NoAnswer
from tidegate.model.device import Group

READ_S, TIMEOUT_S = 0.1, 1.0
BEGIN_S, LASTS_S = 300, 1800


def rate(bad: int, answers: Callable[[Group, float], bool], well: int = 10, interval_s: float = 0.5) -> float:
    """Reads a second of all healthy units together, once the first failures are over."""
    scene = Scene()

    def answer(group: Group, now_s: float) -> float:
        return READ_S if group.device.startswith("well") or answers(group, now_s) else 99.0

    scene.answer = answer
    plant = [machine(f"well{i}", interval_s=interval_s, deadline_s=TIMEOUT_S) for i in range(well)]
    plant += [machine(f"bad{i}", interval_s=interval_s, deadline_s=TIMEOUT_S) for i in range(bad)]
    sink, _ = play(plant, scene, BEGIN_S + LASTS_S)
    good = [frame for frame in sink.frames if frame.device.startswith("well") and frame.status == bytes(4)]
    begin_us = good[0].mono_us + BEGIN_S * 1_000_000
    return sum(frame.mono_us >= begin_us for frame in good) / LASTS_S


def test_dead_units_of_a_full_line_take_their_share_and_no_more() -> None:
    alone, beside = rate(0, lambda group, now_s: False), rate(4, lambda group, now_s: False)

    assert beside >= (1 - PRESSED_SHARE - 0.005) * alone


def test_units_that_answer_now_and_then_take_no_more_of_a_full_line_than_dead_ones() -> None:
    chance = Random(5)
    alone, beside = rate(0, lambda group, now_s: False), rate(4, lambda group, now_s: chance.random() < 0.5)

    assert beside >= (1 - PRESSED_SHARE - 0.01) * alone


def test_a_group_that_is_silent_on_a_full_line_takes_no_more_while_the_rest_of_its_unit_is_read() -> None:
    def play_with(bad: bool) -> Counter[tuple[str, str]]:
        scene = Scene()
        scene.answer = lambda group, now_s: 99.0 if bad and group.device == "well0" and group.name == "g1" else READ_S
        plant = [machine(f"well{i}", interval_s=0.5, deadline_s=TIMEOUT_S, groups=2) for i in range(5)]
        play(plant, scene, LASTS_S)
        return Counter((device, group) for device, group, _ in scene.reads)

    alone, beside = play_with(False), play_with(True)

    assert sum(beside.values()) >= (1 - PRESSED_SHARE - 0.01) * sum(alone.values())
    assert beside["well0", "g0"] >= 0.9 * alone["well0", "g0"]


def test_where_nobody_loses_a_cycle_a_unit_that_answers_now_and_then_keeps_its_pace() -> None:
    scene = Scene()
    chance = Random(5)
    scene.answer = lambda group, now_s: READ_S if group.device == "well" or chance.random() < 0.7 else 99.0
    plant = [machine("well", interval_s=5.0), machine("shy", interval_s=5.0)]
    sink, status = play(plant, scene, LASTS_S)

    assert LASTS_S / 5 - 2 <= len(sink.of("well"))
    assert len(sink.of("shy")) > 0.6 * LASTS_S / 5
    assert sum(device == "shy" for device, _, _ in scene.reads) > 0.9 * LASTS_S / 5
    assert status["shy"].state in ("up", "down")


def test_every_dead_unit_of_a_full_line_is_tried_in_its_turn_and_found_when_it_is_well() -> None:
    scene = Scene()

    def answer(group: Group, now_s: float) -> float:
        return READ_S if group.device.startswith("well") or now_s >= LASTS_S else 99.0

    scene.answer = answer
    plant = [machine(f"well{i}", interval_s=0.5, deadline_s=TIMEOUT_S) for i in range(10)]
    plant += [machine(f"bad{i}", interval_s=0.5, deadline_s=TIMEOUT_S) for i in range(4)]
    _, status = play(plant, scene, LASTS_S + 600)
    tried = Counter(device for device, _, at in scene.reads if device.startswith("bad") and 600 < at < LASTS_S)

    assert 4 == len(tried)
    assert max(tried.values()) - min(tried.values()) <= 1
    assert {"up"} == {one.state for one in status.values()}


def test_noise_on_a_full_line_does_not_keep_what_is_down_from_being_tried() -> None:
    scene, chance = Scene(), Random(3)

    async def spoiled(group: Group) -> None:
        await asyncio.sleep(READ_S)
        raise NoAnswer(group.device, "spoiled")

    def before(group: Group, now_s: float) -> Awaitable[None] | None:
        return spoiled(group) if group.device != "bad" and chance.random() < 0.1 else None

    scene.before = before
    scene.answer = lambda group, now_s: 99.0 if group.device == "bad" else READ_S
    plant = [machine(f"well{i}", interval_s=0.5, deadline_s=TIMEOUT_S) for i in range(10)]
    play([*plant, machine("bad", interval_s=0.5, deadline_s=TIMEOUT_S)], scene, LASTS_S)

    assert sum(device == "bad" for device, _, _ in scene.reads) >= 10


def test_a_healthy_unit_whose_replies_are_spoiled_at_times_never_rests() -> None:
    scene, chance = Scene(), Random(3)

    async def spoiled(group: Group) -> None:
        await asyncio.sleep(READ_S)
        raise NoAnswer(group.device, "spoiled")

    scene.before = lambda group, now_s: spoiled(group) if chance.random() < 0.01 else None
    scene.answer = lambda group, now_s: READ_S
    plant = [machine(f"well{i}", interval_s=0.5, deadline_s=TIMEOUT_S) for i in range(10)]
    sink, status = play(plant, scene, LASTS_S)

    assert {"up"} == {one.state for one in status.values()}
    assert not [frame for frame in sink.frames if frame.status != bytes(4)]


def test_what_waited_in_line_while_the_line_was_full_keeps_nobody_from_being_tried_afterwards() -> None:
    scene, full_s, well_s = Scene(), 900, 2400

    def answer(group: Group, now_s: float) -> float:
        if (group.device.startswith("half") and group.name == "g1") or (group.device == "bad" and now_s < well_s):
            return 99.0
        return 0.9 if now_s < full_s else 0.01

    scene.answer = answer
    plant = [machine(f"half{i}", interval_s=10.0, deadline_s=TIMEOUT_S, groups=2) for i in range(6)]
    plant += [machine(f"well{i}", interval_s=10.0, deadline_s=TIMEOUT_S) for i in range(6)]
    plant += [machine("bad", interval_s=10.0, deadline_s=TIMEOUT_S)]
    _, status = play(plant, scene, well_s + 300)

    assert "up" == status["bad"].state
