"""What is counted of each unit: round trips, failures by kind, exceptions by code, and what only the driver sees."""

import asyncio
from collections.abc import Mapping
from random import Random
from typing import ClassVar

import pytest

from tests.acquire.test_poller import play
from tests.fakes.machines import Scene, Scripted, Sink, machine
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.acquire.unit import DeviceStatus
from tidegate.clock import BUILT_US, Clock
from tidegate.errors import NoAnswer, Refused
from tidegate.model.device import Group


class Counter(Scripted):
    """A driver that counts what its reads don't tell."""

    scene: ClassVar[Scene] = Scene()
    counts: ClassVar[dict[str, dict[str, int]]] = {"a": {"spoiled replies": 7}}

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        return self.counts


class Broken(Counter):
    """One that fails to say it."""

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        raise RuntimeError("a bug")


def look(kind: type[Scripted]) -> dict[str, DeviceStatus]:
    async def main(clock: Clock) -> dict[str, DeviceStatus]:
        sink = Sink()
        poller = Poller([machine("a"), machine("b")], {"scripted": kind}, sink, sink.gaps.append, clock, Random(7))
        return {one.name: one for one in poller.status()}

    return run_virtually(main)


def test_exceptions_are_counted_by_code_and_silences_as_such() -> None:
    scene, reads = Scene(), 0

    def answer(group: Group, now_s: float) -> float:
        nonlocal reads
        reads += 1
        if reads % 10 in (1, 4):
            raise Refused(group.device, "busy", 6)
        if reads % 10 == 7:
            raise NoAnswer(group.device, "silent")
        return 0.01

    scene.answer = answer
    _, status = play([machine("a", interval_s=0.1)], scene, 9.95)

    assert dict(status["a"].exceptions) == {6: 20}
    assert dict(status["a"].failures) == {"refused": 20, "no answer": 10}
    assert BUILT_US == status["a"].counted_since_us


def test_half_and_nearly_all_of_the_round_trips_are_told() -> None:
    scene = Scene()
    scene.before = lambda group, now_s: asyncio.sleep(0.3) if round(now_s * 10) % 50 == 0 else None
    scene.answer = lambda group, now_s: 0.02
    _, status = play([machine("a", interval_s=0.1)], scene, 100)

    assert status["a"].typical_ms == pytest.approx(20, rel=1 / 16)
    assert status["a"].p99_ms == pytest.approx(320, rel=1 / 16)


def test_what_a_driver_counts_stands_by_its_device() -> None:
    status = look(Counter)

    assert status["a"].counted == (("spoiled replies", 7),)
    assert status["b"].counted == ()


def test_a_driver_that_fails_to_count_does_not_stop_who_looks() -> None:
    assert {"a": (), "b": ()} == {name: one.counted for name, one in look(Broken).items()}
