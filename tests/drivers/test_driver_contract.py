"""What every driver owes the poller. A new driver joins with one line in CASES."""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from tests.drivers.opcua.small_server import SMALL, small_server
from tidegate.acquire.driver import DRIVER_CONTRACT, Driver, Plans, Sink, SpeaksUp
from tidegate.clock import BUILT_US, Clock, ClockState
from tidegate.errors import ConfigError, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.model.written import Result, Written
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.opcua.driver import OpcuaDriver
from tidegate_drivers.simulator.driver import SimulatorDriver

# The driver, and addresses of two uint16, one string and one float32.
CASES: list[tuple[type[Driver], list[tuple[str, dict[str, str]]]]] = [
    (ModbusDriver, [("HR0", {}), ("HR300", {}), ("IR0", {"length": "6"}), ("HR7", {})]),
    (OpcuaDriver, [(f"nsu={SMALL};s={name}", {}) for name in ("a", "b", "c", "d")]),
    (SimulatorDriver, [("counter", {}), ("sine", {}), ("constant", {"value": "ok"}), ("ramp", {})]),
]
KINDS = [Type.UINT16, Type.UINT16, Type.STRING, Type.FLOAT32]
of_every_driver = pytest.mark.parametrize(("kind", "places"), CASES, ids=[case[0].name for case in CASES])
Places = list[tuple[str, dict[str, str]]]
Story = Callable[[Any, Device, Any], Coroutine[Any, Any, None]]


def tags(places: Places) -> tuple[Tag, ...]:
    return tuple(
        Tag(f"t{i}", KINDS[i], KINDS[i], address, tuple(options.items()), row=i + 2)
        for i, (address, options) in enumerate(places)
    )


def against(kind: type[Driver], places: Places, serve: Any, machine: Any, story: Story,
            clock: Clock | None = None) -> None:  # fmt: skip
    """A story of (driver not yet opened, its device, peer)."""

    async def main() -> None:
        async with (small_server if kind is OpcuaDriver else serve)(machine({0: 7})) as peer:
            address = "sim://hall" if kind is SimulatorDriver else peer.address
            table = TagTable("d1", tags(places))
            group = Group("d1", "default", 1.0, 2.0, tuple(range(len(places))))
            made = Device("d1", kind.name, address, None if kind is OpcuaDriver else 1, table, (group,), {})
            driver = kind([made], clock or Clock())
            try:
                await story(driver, made, peer)
            finally:
                await driver.close()

    asyncio.run(main())


@of_every_driver
def test_it_is_a_driver_of_this_contract(kind: type[Driver], places: Places, serve: Any, machine: Any) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        assert isinstance(driver, Driver)
        assert kind.contract == DRIVER_CONTRACT

    against(kind, places, serve, machine, story)


@of_every_driver
def test_checking_finds_nothing_wrong_and_describing_says_a_line_a_tag(
    kind: type[Driver], places: Places, serve: Any, machine: Any
) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        assert kind.check([made]) == []
        assert len(kind.describe(made)) == len(places)
        assert all(kind.describe(made))

    against(kind, places, serve, machine, story)


@of_every_driver
def test_a_plan_has_each_tag_of_each_group_once(kind: type[Driver], places: Places) -> None:
    address = {ModbusDriver: "tcp://127.0.0.1", OpcuaDriver: "opc.tcp://127.0.0.1"}.get(kind, "sim://hall")
    group = Group("d1", "default", 1.0, 2.0, tuple(range(len(places))))
    made = Device("d1", kind.name, address, 1, TagTable("d1", tags(places)), (group,), {})
    plans = kind.plan([made]) if isinstance(kind, Plans) else []

    assert (kind is ModbusDriver) == bool(plans)
    for plan in plans:
        (planned,) = plan.groups
        assert sorted(tag for request in planned.requests for tag in request.tags) == ["t0", "t1", "t2", "t3"]
        assert (planned.device, planned.group, planned.interval_s) == ("d1", "default", 1.0)
        assert 0 < sum(request.time_s for request in planned.requests) < 1


@of_every_driver
def test_constructing_connects_nothing_and_reading_before_open_is_not_connected(
    kind: type[Driver], places: Places, serve: Any, machine: Any
) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        with pytest.raises(NotConnected):
            await driver.read(made.groups[0])
        await asyncio.sleep(0.01)

        assert peer.connections == 0

    against(kind, places, serve, machine, story)


@of_every_driver
def test_constructing_with_what_check_refuses_raises_it(kind: type[Driver], places: Places) -> None:
    table = TagTable("d1", (Tag("t", Type.UINT16, Type.UINT16, "nowhere"),))
    unit = None if kind is OpcuaDriver else 1
    made = Device("d1", kind.name, "nowhere", unit, table, (), {"no_such_option": "1"})

    with pytest.raises(ConfigError) as raised:
        kind([made], Clock())

    assert set(kind.check([made])) == set(raised.value.problems)
    assert {problem.column for problem in raised.value.problems} == {"address", "no_such_option"}


@of_every_driver
def test_a_frame_has_one_reading_of_every_tag_in_ascending_order(
    kind: type[Driver], places: Places, serve: Any, machine: Any
) -> None:
    clock = Clock()
    clock.boot = 3

    async def story(driver: Any, made: Device, peer: Any) -> None:
        await driver.open()
        before = clock.now_us()
        frame = await driver.read(made.groups[0])

        assert struct.unpack("<4I", frame.tags) == (0, 1, 2, 3)
        assert (frame.device, frame.table, frame.count, frame.boot) == ("d1", made.table.hash, 4, 3)
        assert before <= frame.gateway_us <= clock.now_us()
        assert Frame.decode(frame.encode()) == frame

    against(kind, places, serve, machine, story, clock)


@of_every_driver
def test_a_group_of_some_tags_gives_those_only(kind: type[Driver], places: Places, serve: Any, machine: Any) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        await driver.open()
        frame = await driver.read(replace(made.groups[0], name="some", tags=(1, 3)))

        assert struct.unpack("<2I", frame.tags) == (1, 3)
        assert len(frame.values) == 16

    against(kind, places, serve, machine, story)


@of_every_driver
def test_a_clock_that_is_not_set_is_said(kind: type[Driver], places: Places, serve: Any, machine: Any) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        await driver.open()

        assert (await driver.read(made.groups[0])).clock == ClockState.UNSET

    against(kind, places, serve, machine, story, Clock(wall=lambda: BUILT_US - 1))


@of_every_driver
def test_it_can_be_closed_in_any_state_and_opened_again(
    kind: type[Driver], places: Places, serve: Any, machine: Any
) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        await driver.close()
        await driver.open()
        await driver.close()
        await driver.close()
        with pytest.raises(NotConnected):
            await driver.read(made.groups[0])
        await driver.open()

        assert (await driver.read(made.groups[0])).count == 4

    against(kind, places, serve, machine, story)


@of_every_driver
def test_what_it_does_not_offer_it_says(kind: type[Driver], places: Places, serve: Any, machine: Any) -> None:
    async def story(driver: Any, made: Device, peer: Any) -> None:
        sink: Sink | None = None
        if not isinstance(driver, SpeaksUp):
            with pytest.raises(NotImplementedError):
                await driver.subscribe(made.groups, sink)

        assert driver.connections >= 1

    against(kind, places, serve, machine, story)


@of_every_driver
def test_a_tag_without_write_access_is_not_written(
    kind: type[Driver], places: Places, serve: Any, machine: Any
) -> None:
    """It says so, or that it writes nothing."""

    async def story(driver: Any, made: Device, peer: Any) -> None:
        await driver.open()
        try:
            written = await driver.write(made.name, 0, 1, 1.0)
        except NotImplementedError:
            written = Written(Result.FORBIDDEN)

        assert written.result is Result.FORBIDDEN

    against(kind, places, serve, machine, story)
