"""Whatever machines and buses do: every cycle of every group is a frame or in a gap, and all comes back by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.acquire.test_poller import play
from tests.fakes.machines import TAGS, Scene, Sink, machine
from tidegate.acquire.backoff import WAIT_S_MAX
from tidegate.acquire.wheel import phase_us
from tidegate.clock import BUILT_US
from tidegate.errors import InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.model.device import Device, Group

TROUBLE_S = 90
# Each of them may be tried last just before the trouble ends, and probes of a bus make room for each other.
HEALED_S = 6 * WAIT_S_MAX


@dataclass(frozen=True)
class Trouble:
    """What happens to one device, or to the bus, for a while."""

    device: str
    kind: str
    begin_s: float
    end_s: float


FAULTS: dict[str, Callable[[str], Exception]] = {
    "silent": lambda name: NoAnswer(name, "silent"),
    "nonsense": lambda name: InvalidReply(name, "nonsense"),
    "refusing": lambda name: Refused(name, "refusing", 4),
    "closed": lambda name: NotConnected(name, "found closed"),
    "bug": lambda name: RuntimeError(f"a bug about {name}"),
}
troubles = st.builds(
    lambda device, kind, begin, length: Trouble(device, kind, begin, min(begin + length, TROUBLE_S)),
    st.sampled_from(["a", "b", "c"]), st.sampled_from([*FAULTS, "broken", "slow", "deaf"]), st.floats(0, TROUBLE_S - 1),
    st.sampled_from([0.05, 1.0, 7.0, 60.0]),
)  # fmt: skip


async def break_under(device: str) -> None:
    """The connection breaks while the answer is awaited."""
    await asyncio.sleep(0.05)
    raise NotConnected(device, "reset by peer")


def scene_of(script: list[Trouble], shut: list[tuple[float, float]], connections: int) -> Scene:
    scene = Scene()
    scene.connections = connections

    def answer(group: Group, now_s: float) -> float:
        for trouble in script:
            if trouble.device == group.device and trouble.begin_s <= now_s < trouble.end_s:
                if trouble.kind in FAULTS:
                    raise FAULTS[trouble.kind](group.device)
                return 0.9 * group.deadline_s if trouble.kind == "slow" else 2 * group.deadline_s
        return 0.02

    def opens(now_s: float) -> None:
        if any(begin <= now_s < end for begin, end in shut):
            raise NotConnected("", "refused")

    def before(group: Group, now_s: float) -> Awaitable[None] | None:
        broken = any(
            trouble.kind == "broken" and trouble.device == group.device and trouble.begin_s <= now_s < trouble.end_s
            for trouble in script
        )
        return break_under(group.device) if broken else None

    scene.answer, scene.opens, scene.before = answer, opens, before
    return scene


def cycles(devices: list[Device], seconds: float) -> dict[str, int]:
    """How many cycles of each device begin within so many seconds."""
    seen: dict[int, int] = {}
    found = {}
    for bus in dict.fromkeys(device.address for device in devices):
        for device in devices:
            if device.address != bus:
                continue
            for group in device.groups:
                interval_us = round(group.interval_s * 1e6)
                first_us = phase_us(interval_us, seen.get(interval_us, 0))
                seen[interval_us] = seen.get(interval_us, 0) + 1
                found[device.name] = found.get(device.name, 0) + (round(seconds * 1e6) - first_us) // interval_us + 1
    return found


def plant() -> list[Device]:
    """Two devices of one bus and one of another, seven groups of three intervals."""
    return [
        machine("a", "north", 1.0, 0.5, groups=2),
        machine("b", "north", 0.35, 0.2, groups=2),
        machine("c", "south", 5.0, 1.0, groups=3),
    ]


scripts = st.lists(troubles, max_size=6)
shuts = st.lists(st.tuples(st.floats(0, 60), st.floats(60, TROUBLE_S)), max_size=1)


@settings(max_examples=20, deadline=None)
@given(scripts, shuts, st.integers(1, 2))
def test_all_is_well_again_when_the_trouble_is_over(
    script: list[Trouble], shut: list[tuple[float, float]], connections: int
) -> None:
    _, status = play(plant(), scene_of(script, shut, connections), TROUBLE_S + HEALED_S)

    assert {"up"} == {one.state for one in status.values()}


@settings(max_examples=40, deadline=None)
@given(scripts, shuts, st.integers(1, 2), st.floats(1, TROUBLE_S + WAIT_S_MAX))
# The device that is out is just about to be tried again.
@example([Trouble("b", "broken", 0.0, 60.0)], [], 1, 43.796875)
def test_every_cycle_is_a_frame_or_in_a_gap_whenever_it_stops(
    script: list[Trouble], shut: list[tuple[float, float]], connections: int, seconds: float
) -> None:
    devices = plant()
    sink, _ = play(devices, scene_of(script, shut, connections), seconds)
    expected = cycles(devices, seconds)

    for device in devices:
        accounted = len(sink.of(device.name)) * TAGS + sum(gap.n for gap in sink.gaps if gap.device == device.name)
        assert abs(accounted / TAGS - expected[device.name]) <= len(device.groups)


@settings(max_examples=20, deadline=None)
@given(st.lists(troubles.filter(lambda trouble: trouble.kind != "closed"), min_size=1, max_size=4))
def test_every_read_that_asked_and_failed_lies_within_a_gap_of_its_device(script: list[Trouble]) -> None:
    scene = scene_of(script, [], 1)
    sink, _ = play(plant(), scene, TROUBLE_S + HEALED_S)
    came = came_at(sink)

    for device, _, at_s in scene.reads:
        at_us = BUILT_US + round(at_s * 1e6)
        inside = any(gap.t0 <= at_us <= gap.t1 for gap in sink.gaps if gap.device == device)
        assert inside or at_us in came[device]


def came_at(sink: Sink) -> dict[str, set[int]]:
    """When the reads began whose frames came: the answer took 20 ms, or 0.9 of a deadline."""
    found: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}
    deadlines = {"a": 500_000, "b": 200_000, "c": 1_000_000}
    for frame in sink.frames:
        if frame.status == bytes(4):
            slow_us = round(0.9 * deadlines[frame.device])
            found[frame.device] |= {frame.gateway_us - 20_000, frame.gateway_us - slow_us}
            found[frame.device] |= {frame.gateway_us - 20_000 + off for off in (-1, 1)}
            found[frame.device] |= {frame.gateway_us - slow_us + off for off in (-1, 1)}
    return found
