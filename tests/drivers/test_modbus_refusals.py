"""What a device refuses is remembered, named, read around, and looked at again; silence about holes is found out."""

from dataclasses import replace
from typing import Any

import pytest

from tidegate.errors import NoAnswer, Refused
from tidegate.model.device import Group
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus.driver import ModbusDriver


def rested(driver: ModbusDriver) -> None:
    """A minute has passed for what was refused."""
    for machine in driver._machines.values():
        for field in machine.refusals._fields.values():
            field.until = 0.0


def test_a_missing_register_that_comes_to_be_there_is_good_after_its_rest(rig: Any) -> None:
    plc = rig.machine(missing={2})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        assert rig.bad(await driver.read(group)) == [2]
        plc.missing.clear()
        plc.asked.clear()
        assert rig.bad(await driver.read(group)) == [2]
        assert plc.asked == [(3, 0, 2), (3, 3, 5)]
        rested(driver)
        assert rig.bad(await driver.read(group)) == []
        plc.asked.clear()
        await driver.read(group)

        assert plc.asked == [(3, 0, 8)]

    rig.against(plc, rig.words(8), story)


@pytest.mark.parametrize("outage", ["refuses everything", "silent", "bus opened again"])
def test_what_is_refused_is_remembered_over_an_outage_and_not_looked_for_again(rig: Any, outage: str) -> None:
    plc = rig.machine(missing={2})
    answers = True

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        nonlocal answers
        await driver.read(group)
        if outage == "bus opened again":
            await driver.open()
        else:
            answers, plc.missing = outage != "silent", set(range(8))
            with pytest.raises((Refused, NoAnswer)):
                await driver.read(group)
            answers, plc.missing = True, {2}
        plc.asked.clear()

        assert rig.bad(await driver.read(group)) == [2]
        assert plc.asked == [(3, 0, 2), (3, 3, 5)]

    rig.against(lambda request: plc(request) if answers else None, rig.words(8), story, timeout="200ms")


def test_of_many_refused_registers_one_is_looked_at_in_a_read(rig: Any) -> None:
    plc = rig.machine(missing={0, 2, 4, 6})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        await driver.read(group)
        rested(driver)
        plc.asked.clear()
        for _ in range(4):
            assert rig.bad(await driver.read(group)) == [0, 2, 4, 6]

        assert [address for _, address, _ in plc.asked] == [1, 3, 5, 7, 0, 1, 3, 5, 7, 2, 1, 3, 5, 7, 4, 1, 3, 5, 7, 6]

    rig.against(plc, rig.words(8), story)


def test_when_the_first_that_is_looked_at_is_there_again_all_are_looked_at(rig: Any) -> None:
    plc = rig.machine(missing={0, 2, 4, 6})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        await driver.read(group)
        rested(driver)
        plc.missing = {6}
        assert rig.bad(await driver.read(group)) == [6]
        plc.asked.clear()
        assert rig.bad(await driver.read(group)) == [6]

        assert plc.asked == [(3, 0, 6), (3, 7, 1)]

    rig.against(plc, rig.words(8), story)


def test_a_refused_register_is_named_with_what_is_said_to_it(rig: Any) -> None:
    plc = rig.machine(missing={2})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        assert driver.refused() == {}
        await driver.read(group)
        (told,) = driver.refused()["m1"]

        assert str(told) == "w2 at holding 0x0002 is refused: exception 2, illegal data address"
        plc.missing.clear()
        rested(driver)
        await driver.read(group)
        assert driver.refused() == {}

    rig.against(plc, rig.words(8), story)


def test_bits_of_one_refused_register_are_refused_together(rig: Any) -> None:
    plc = rig.machine(missing={2})
    bits = [Tag(f"b{n}", Type.BOOL, Type.BOOL, "HR2", (("bit", str(n)),)) for n in range(16)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.bad(frame) == list(range(8, 24))
        assert len(plc.asked) <= 1 + 2 * 3

    rig.against(plc, [*rig.words(2), *rig.words(6, start=3), *bits], story)


def test_another_group_of_the_device_reads_around_what_one_has_found(rig: Any) -> None:
    plc = rig.machine(missing={2})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        plc.asked.clear()
        frame = await driver.read(replace(group, name="other", tags=(0, 1, 5)))

        assert rig.bad(frame) == []
        assert plc.asked == [(3, 0, 2), (3, 5, 1)]

    rig.against(plc, rig.words(8), story, in_flight="1")


def test_a_device_that_gives_less_at_once_than_its_limit_is_read_in_what_it_gives(rig: Any) -> None:
    plc = rig.machine()

    def answer(request: bytes) -> bytes:
        plc.missing, plc.code = ({*range(65536)}, 3) if request[11] > 40 else (set(), 3)
        reply: bytes = plc(request)
        return reply

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        plc.asked.clear()

        assert rig.bad(await driver.read(group)) == []
        assert plc.asked == [(3, 0, 31), (3, 31, 31), (3, 62, 31), (3, 93, 32)]

    rig.against(answer, rig.words(125), story, in_flight="1")


def silent_across(plc: Any, addresses: set[int]) -> Any:
    """A device that gives no answer to a request for one of these addresses."""

    def answer(request: bytes) -> bytes | None:
        reply: bytes = plc(request)
        _, address, count = plc.asked[-1]
        return None if addresses & set(range(address, address + count)) else reply

    return answer


def test_a_device_that_meets_holes_with_silence_is_read_without_them(rig: Any) -> None:
    plc = rig.machine()
    tags = [*rig.words(2), *rig.words(2, start=12)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        failed = 0
        for _ in range(8):
            try:
                await driver.read(group)
            except NoAnswer:
                failed += 1
        plc.asked.clear()

        assert failed == 3
        assert rig.bad(await driver.read(group)) == []
        assert plc.asked == [(3, 0, 2), (3, 12, 2)]

    rig.against(silent_across(plc, {5}), tags, story, timeout="100ms", in_flight="1")


def test_a_unit_that_was_silent_for_a_while_is_read_across_holes_again(rig: Any) -> None:
    plc = rig.machine()
    dead = True
    tags = [*rig.words(2), *rig.words(2, start=12)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        nonlocal dead
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await driver.read(group)
        dead = False
        for _ in range(3):
            assert rig.bad(await driver.read(group)) == []
        plc.asked.clear()
        await driver.read(group)

        assert plc.asked == [(3, 0, 14)]

    def answer(request: bytes) -> bytes | None:
        return None if dead else plc(request)

    rig.against(answer, tags, story, timeout="100ms", in_flight="1")
