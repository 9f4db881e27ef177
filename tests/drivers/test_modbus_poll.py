"""What a device refuses or leaves unanswered: found, marked, and never in the way of the others."""

import asyncio
import time
from struct import unpack
from typing import Any

import pytest

from tidegate.clock import Clock
from tidegate.errors import NoAnswer, Refused
from tidegate.model import status
from tidegate.model.device import Group
from tidegate.model.frame import U32
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.poll import SPLITS_MAX


def test_one_register_that_is_missing_is_found_and_the_others_are_good(rig: Any) -> None:
    plc = rig.machine(dict.fromkeys(range(125), 7), missing={77})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        first = await driver.read(group)
        plc.asked.clear()
        second = await driver.read(group)

        assert rig.bad(first) == rig.bad(second) == [77]
        assert rig.statuses(second)[77] == status.BAD_CONFIGURATION_ERROR
        assert second.values[77 * 8 : 78 * 8] == bytes(8)
        assert not any(address <= 77 < address + count for _, address, count in plc.asked)

    rig.against(plc, rig.words(125), story)


def test_a_hole_that_a_device_refuses_to_read_costs_no_tag(rig: Any) -> None:
    plc = rig.machine({0: 1, 12: 2}, missing={5})
    tags = [*rig.words(2), *rig.words(2, start=12)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        plc.asked.clear()
        frame = await driver.read(group)

        assert rig.bad(frame) == []
        assert plc.asked == [(3, 0, 2), (3, 12, 2)]

    rig.against(plc, tags, story, in_flight="1")


def test_a_frame_of_which_nothing_is_asked_for_has_the_time_at_which_it_was_read(rig: Any) -> None:
    plc = rig.machine(missing={5})
    clock = Clock()

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        await driver.read(group)
        await driver.open()
        begun_us = clock.mono_us()
        frame = await driver.read(Group(group.device, "the missing one", 1.0, 4.0, (1,)))

        assert frame.status == U32.pack(status.BAD_CONFIGURATION_ERROR)
        assert begun_us <= frame.mono_us <= clock.mono_us()

    rig.against(plc, [*rig.words(1), *rig.words(1, start=5)], story)


def test_several_missing_registers_are_found_over_a_few_reads(rig: Any) -> None:
    missing = {3, 40, 41, 90}
    plc = rig.machine(missing=missing)

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        for _ in range(4):
            plc.asked.clear()
            frame = await driver.read(group)
            assert len(plc.asked) <= 125 + 2 * SPLITS_MAX

        assert rig.bad(frame) == sorted(missing)

    rig.against(plc, rig.words(125), story)


def test_a_device_that_refuses_everything_is_refused_as_a_whole_and_not_asked_in_pieces(rig: Any) -> None:
    plc = rig.machine(missing=set(range(125)))

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        for _ in range(2):
            plc.asked.clear()
            with pytest.raises(Refused, match="m1: holding 0x0000") as raised:
                await driver.read(group)
            assert raised.value.code == 2
            assert len(plc.asked) == 1 + 2 * SPLITS_MAX
        plc.missing.clear()
        plc.asked.clear()

        assert rig.bad(await driver.read(group)) == []
        assert plc.asked == [(3, 0, 125)]

    rig.against(plc, rig.words(125), story)


@pytest.mark.parametrize(("code", "expected"), [(4, status.BAD_DEVICE_FAILURE), (6, status.BAD_DEVICE_FAILURE),
                                                (1, status.BAD_CONFIGURATION_ERROR)])  # fmt: skip
def test_a_refused_request_marks_its_tags_and_no_others(rig: Any, code: int, expected: int) -> None:
    plc = rig.machine(missing={200})
    plc.code = code

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [0, 0, expected, expected]

    rig.against(plc, [*rig.words(2), *rig.words(2, start=200)], story)


def test_a_busy_device_is_asked_again_at_the_next_read(rig: Any) -> None:
    plc = rig.machine(missing={200})
    plc.code = 6

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        plc.missing.clear()

        assert rig.bad(await driver.read(group)) == []

    rig.against(plc, [*rig.words(2), *rig.words(2, start=200)], story)


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateways_word_for_a_silent_unit_is_no_answer_of_that_unit(rig: Any, code: int) -> None:
    plc = rig.machine(missing={0})
    plc.code = code

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        with pytest.raises(NoAnswer, match=f"exception {code}"):
            await driver.read(group)
        plc.missing.clear()

        assert rig.bad(await driver.read(group)) == []
        assert peer.connections == 1

    rig.against(plc, rig.words(2), story)


def test_a_unit_that_falls_silent_in_the_middle_is_asked_no_more_in_this_read(rig: Any) -> None:
    plc = rig.machine({0: 5})

    def answer(request: bytes) -> bytes | None:
        reply: bytes = plc(request)
        return reply if len(plc.asked) == 1 else None

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [0, status.BAD_TIMEOUT, status.BAD_TIMEOUT]
        assert len(plc.asked) == 2

    rig.against(answer, [*rig.words(1), *rig.words(1, 200), *rig.words(1, 400)], story, timeout="500ms")


def test_with_requests_in_flight_a_refused_one_marks_its_tags_and_the_others_are_read(rig: Any) -> None:
    plc = rig.machine({0: 5, 200: 6, 400: 7}, missing={200})
    plc.code = 4

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [0, status.BAD_DEVICE_FAILURE, 0]
        assert unpack("<3q", frame.values) == (5, 0, 7)
        assert len(plc.asked) == 3

    rig.against(plc, [*rig.words(1), *rig.words(1, 200), *rig.words(1, 400)], story, in_flight="3")


def test_with_requests_in_flight_a_unit_that_falls_silent_is_asked_no_more_in_this_read(rig: Any) -> None:
    plc = rig.machine({0: 5})

    def answer(request: bytes) -> bytes | None:
        reply: bytes = plc(request)
        return reply if len(plc.asked) == 1 else None

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [0, *[status.BAD_TIMEOUT] * 3]
        assert len(plc.asked) == 3

    blocks = [*rig.words(1), *rig.words(1, 200), *rig.words(1, 400), *rig.words(1, 600)]
    rig.against(answer, blocks, story, timeout="500ms", in_flight="2")


def test_a_silent_unit_raises_no_answer_and_the_unit_beside_it_keeps_its_pace(rig: Any) -> None:
    plc = rig.machine({0: 5})

    async def main() -> None:
        async with rig.serve(lambda request: plc(request) if request[6] == 2 else None) as peer:
            dead = rig.device(peer.address, rig.words(2), 1, "dead", timeout="20ms")
            alive = rig.device(peer.address, rig.words(2), 2, "alive", timeout="2s")
            driver = ModbusDriver([dead, alive], Clock())
            await driver.open()
            for _ in range(6):
                with pytest.raises(NoAnswer, match="dead"):
                    await driver.read(dead.groups[0])
                frame = await driver.read(alive.groups[0])
                assert rig.bad(frame) == []
            await driver.close()

            assert peer.connections == 1

    asyncio.run(main())


def test_a_read_ends_at_its_groups_deadline_whatever_the_timeout(rig: Any) -> None:
    plc = rig.machine()

    def answer(request: bytes) -> bytes | None:
        reply: bytes = plc(request)
        return reply if len(plc.asked) == 1 else None

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        begun = time.monotonic()
        frame = await driver.read(group)

        assert rig.statuses(frame) == [0, status.BAD_TIMEOUT]
        assert time.monotonic() - begun < 10.0

    rig.against(answer, [*rig.words(1), *rig.words(1, 200)], story, deadline_s=0.5, timeout="30s")


def test_a_string_that_is_no_text_is_bad_and_alone(rig: Any) -> None:
    tags = [Tag("s", Type.STRING, Type.STRING, "HR0", (("length", "4"),)), *rig.words(1, 2)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [status.BAD_DECODING_ERROR, 0]

    rig.against(rig.machine({0: 0xFFFE, 2: 9}), tags, story)
