"""The simulator: signals that stay within what was configured, and faults exactly when they are due."""

import asyncio
import math
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.clock import Clock
from tidegate.errors import ConfigError, NoAnswer, NotConnected, Refused
from tidegate.model.device import Device
from tidegate.model.device import Group as PolledGroup
from tidegate.model.frame import readings
from tidegate.model.status import BAD_SENSOR_FAILURE
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.simulator.config import parse_tag
from tidegate_drivers.simulator.driver import SimulatorDriver


def tag(shape: str, kind: Type = Type.FLOAT64, name: str = "a", **options: str) -> Tag:
    texts = tuple((key.removesuffix("_"), text) for key, text in options.items())
    return Tag(name, kind, kind, shape, texts, row=2)


def device(*tags: Tag, address: str = "sim://hall", deadline_s: float = 0.02, **options: str) -> Device:
    group = PolledGroup("d1", "default", 1.0, deadline_s, tuple(range(len(tags))))
    return Device("d1", "simulator", address, None, TagTable("d1", tags), (group,), options, row=7)


Story = Callable[[SimulatorDriver], Coroutine[Any, Any, None]]


def run(made: Device, story: Story, clock: Clock | None = None) -> None:
    async def main() -> None:
        driver = SimulatorDriver([made], clock or Clock())
        await driver.open()
        await story(driver)

    asyncio.run(main())


def series(made: Device, count: int, mono_us: list[int] | None = None) -> list[object]:
    """The first tag's values over so many reads."""
    times = iter(mono_us or range(count))
    found: list[object] = []

    async def story(driver: SimulatorDriver) -> None:
        for _ in range(count):
            found.append(next(iter(readings(await driver.read(made.groups[0]), made.table))).value)

    run(made, story, Clock(monotonic=lambda: next(times)))
    return found


def test_a_counter_counts_reads_and_wraps_within_its_type() -> None:
    assert series(device(tag("counter", Type.UINT8, from_="254")), 4) == [254, 255, 254, 255]


def test_a_counter_is_exact_up_to_the_ends_of_64_bits() -> None:
    assert series(device(tag("counter", Type.UINT64, from_=str(2**64 - 2))), 2) == [2**64 - 2, 2**64 - 1]
    assert series(device(tag("counter", Type.INT64)), 2) == [-(2**63), -(2**63) + 1]


def test_a_sine_follows_time_between_its_ends() -> None:
    quarters = [0, 15_000_000, 30_000_000, 45_000_000]

    found = series(device(tag("sine", from_="220", to="240", period="60s")), 4, quarters)

    assert found == pytest.approx([230, 240, 230, 220])


def test_a_ramp_rises_and_starts_again_and_a_square_is_one_of_two() -> None:
    times = [0, 250_000, 500_000, 750_000, 1_000_000]

    assert series(device(tag("ramp", Type.INT16, from_="-10", to="10", period="1s")), 5, times) == [-10, -5, 0, 5, -10]
    assert series(device(tag("square", Type.BOOL, period="1s")), 5, times) == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (Type.STRING, "电表 1", "电表 1"),
        (Type.STRING, "", ""),
        (Type.UINT64, str(2**64 - 1), 2**64 - 1),
        (Type.FLOAT64, "5e-324", 5e-324),
        (Type.FLOAT64, "inf", math.inf),
        (Type.BOOL, "1", True),
    ],
)
def test_a_constant_is_exact(kind: Type, text: str, expected: object) -> None:
    assert series(device(tag("constant", kind, value=text)), 1) == [expected]


@given(st.sampled_from([t for t in Type if t != Type.STRING]), st.sampled_from(["sine", "ramp", "square", "constant"]),
       st.floats(0, 1e9))  # fmt: skip
def test_every_shape_fits_into_every_type_at_any_time(kind: Type, shape: str, time_s: float) -> None:
    signal, problems = parse_tag(tag(shape, kind))
    value = signal.at(time_s, 0)

    assert problems == []
    assert 0 <= float(value) <= 100


def test_a_bad_reading_comes_when_it_is_due_and_hides_its_value() -> None:
    made = device(tag("constant", value="7", bad_every="3"), tag("constant", value="8", name="b"))

    async def story(driver: SimulatorDriver) -> None:
        frames = [await driver.read(made.groups[0]) for _ in range(3)]

        assert [struct.unpack("<2I", f.status) for f in frames] == [(0, 0), (0, 0), (BAD_SENSOR_FAILURE, 0)]
        assert frames[2].values[:8] == bytes(8)

    run(made, story)


@pytest.mark.parametrize(
    ("option", "error"),
    [("silent_every", NoAnswer), ("refuse_every", Refused), ("disconnect_every", NotConnected)],
)
def test_a_fault_of_the_device_comes_when_it_is_due(option: str, error: type[Exception]) -> None:
    made = device(tag("counter", Type.UINT32, from_="0"), **{option: "2"})

    async def story(driver: SimulatorDriver) -> None:
        await driver.read(made.groups[0])
        with pytest.raises(error, match="d1: simulated"):
            await driver.read(made.groups[0])
        await driver.open()
        frame = await driver.read(made.groups[0])

        assert [r.value for r in readings(frame, made.table)] == [1]

    run(made, story)


@pytest.mark.parametrize(
    ("made", "column"),
    [
        (tag("triangle"), "address"),
        (tag("counter", Type.FLOAT32), "type"),
        (tag("sine", Type.STRING), "address"),
        (tag("sine", Type.UINT8, to="256"), "to"),
        (tag("sine", from_="5", to="4"), "to"),
        (tag("sine", from_="warm"), "from"),
        (tag("sine", period="60"), "period"),
        (tag("sine", phase="3"), "phase"),
    ],
)
def test_what_means_nothing_is_one_problem_with_row_and_column(made: Tag, column: str) -> None:
    problems = SimulatorDriver.check([device(made)])

    assert [(p.row, p.column, p.key) for p in problems] == [(2, column, "a")]


def test_a_bad_device_is_a_problem_of_the_device_and_stops_the_constructor() -> None:
    made = device(tag("sine"), address="tcp://x", delay="soon")

    problems = SimulatorDriver.check([made])

    assert [(p.row, p.column, p.key) for p in problems] == [(7, "address", "d1"), (7, "delay", "d1")]
    with pytest.raises(ConfigError):
        SimulatorDriver([made], Clock())
