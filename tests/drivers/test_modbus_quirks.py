"""What a device may not be asked is never asked, and the pauses that it wants are kept."""

from itertools import pairwise
from typing import Any

import pytest

from tests.drivers.conftest import Machine
from tests.fakes.serial_line import MemoryLine, framed, registers_of
from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import Link


def tag(name: str, address: str, kind: Type = Type.UINT16) -> Tag:
    return Tag(name, kind, kind, address)


def made(tags: list[Tag], **options: str) -> Device:
    group = Group("m1", "default", 1.0, 2.0, tuple(range(len(tags))))
    return Device("m1", "modbus", "tcp://10.0.0.1", 1, TagTable("m1", tuple(tags)), (group,), options)


def problems(tags: list[Tag], **options: str) -> list[str]:
    return [problem.what for problem in ModbusDriver.check([made(tags, **options)]) if problem.fatal]


def asked(rig: Any, tags: list[Tag], **options: str) -> list[tuple[int, int, int]]:
    plc: Machine = rig.machine()

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        assert rig.bad(await driver.read(group)) == []

    rig.against(plc, tags, story, in_flight="1", **options)
    return plc.asked


def test_a_forbidden_hole_is_never_read(rig: Any) -> None:
    tags = [tag("a", "HR0"), tag("b", "HR4"), tag("c", "HR8")]

    assert asked(rig, tags) == [(3, 0, 9)]
    assert asked(rig, tags, forbidden="HR0x0002-0x0003 IR6") == [(3, 0, 1), (3, 4, 5)]


def test_with_even_only_requests_begin_and_end_at_even_addresses(rig: Any) -> None:
    tags = [tag("a", "HR1"), tag("b", "HR4"), tag("c", "CO5", Type.BOOL)]

    assert asked(rig, tags, even_only="true") == [(1, 5, 1), (3, 0, 6)]


def test_with_one_field_each_value_has_a_request_of_its_own(rig: Any) -> None:
    bits = [Tag(f"b{n}", Type.BOOL, Type.BOOL, "HR2", (("bit", str(n)),)) for n in range(3)]
    tags = [tag("a", "HR0", Type.FLOAT32), *bits, tag("c", "HR3")]

    assert asked(rig, tags, one_field="true") == [(3, 0, 2), (3, 2, 1), (3, 3, 1)]


@pytest.mark.parametrize("text", ["0x100", "HR", "HR5-3", "HR70000", "XX4", "HR1-2-3"])
def test_what_is_no_range_is_told(text: str) -> None:
    (what,) = problems([tag("a", "HR0")], forbidden=text)

    assert f"{text!r} is no range of addresses" == what


def test_a_tag_in_a_forbidden_range_is_told_with_the_range() -> None:
    tags = [tag("a", "HR0"), tag("b", "HR9", Type.FLOAT32)]

    assert problems(tags, forbidden="HR10-20") == ["it lies in holding 0x000A to 0x0014, which m1 says is forbidden"]
    assert problems(tags, forbidden="IR0-20") == []
    assert problems(tags, forbidden="HR1", even_only="true") == [
        "it lies in holding 0x0001 to 0x0001, which m1 says is forbidden"
    ]


def test_a_value_that_is_too_wide_once_it_begins_and_ends_evenly_is_told() -> None:
    tags = [tag("a", "HR1", Type.FLOAT32)]

    assert problems(tags, even_only="true", registers_max="4") == []
    assert len(problems(tags, even_only="true", registers_max="2")) == 1


def test_a_unit_is_left_alone_after_each_request_and_after_connecting_as_long_as_it_wants() -> None:
    lines: list[MemoryLine] = []

    class OnAMemoryLine(ModbusDriver):
        async def _connect(self) -> Link | LineLink:
            assert self._bus.line is not None
            link = LineLink(self._clock, "", self._bus.line, self._abandoned, gives_up=False)
            lines.append(MemoryLine(link, lambda question: [(0.01, framed(registers_of(question, lambda a: a)))]))
            return link

    async def main(clock: Clock) -> None:
        tags = [tag("a", "HR0"), tag("b", "HR200"), tag("c", "HR400")]
        # The pause is no part of the timeout.
        device = made(tags, pause="300ms", connect_pause="2s", timeout="100ms")
        driver = OnAMemoryLine([Device("m1", "modbus", "rtu:///dev/none", 1, device.table, device.groups,
                                       device.options)], clock)  # fmt: skip
        await driver.open()
        for _ in range(2):
            await driver.read(device.groups[0])
        await driver.close()

    run_virtually(main)
    times = [at for at, _ in lines[0].asked]

    assert times[0] == pytest.approx(2.0)
    assert [after - before for before, after in pairwise(times)] == pytest.approx([0.31] * 5)
