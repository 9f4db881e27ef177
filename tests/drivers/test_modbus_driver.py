"""Whole reads: frames of real sockets, and refused addresses that do not silence the others."""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pyModbusTCP.server import DataBank, ModbusServer

from tidegate.clock import Clock
from tidegate.errors import InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.model import status
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame, readings
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.poll import SPLITS_MAX

EXACT: list[tuple[Tag, str, object]] = [
    (Tag("u16", Type.UINT16, Type.UINT16, "HR0"), "ffff", 65535),
    (Tag("i16", Type.INT16, Type.INT16, "HR1"), "8000", -32768),
    (Tag("u32", Type.UINT32, Type.UINT32, "HR2"), "ffffffff", 2**32 - 1),
    (Tag("i32", Type.INT32, Type.INT32, "HR4", (("order", "CDAB"),)), "00008000", -(2**31)),
    (Tag("u64", Type.UINT64, Type.UINT64, "HR6"), "ffffffffffffffff", 2**64 - 1),
    (Tag("i64", Type.INT64, Type.INT64, "HR10"), "8000000000000000", -(2**63)),
    (Tag("f32", Type.FLOAT32, Type.FLOAT32, "HR14"), "43660000", 230.0),
    (Tag("f64", Type.FLOAT64, Type.FLOAT64, "HR16", (("order", "DCBA"),)), "0100000000000000", 5e-324),
    (Tag("bit", Type.BOOL, Type.BOOL, "HR20", (("bit", "15"),)), "8000", True),
    (Tag("name", Type.STRING, Type.STRING, "HR21", (("length", "8"),)), b"SDM630\0\0".hex(), "SDM630"),
    (Tag("empty", Type.STRING, Type.STRING, "HR25", (("length", "2"),)), "0000", ""),
]


def device(address: str, tags: list[Tag], unit: int = 1, name: str = "m1", deadline_s: float = 2.0,
           **options: str) -> Device:  # fmt: skip
    group = Group(name, "default", 1.0, deadline_s, tuple(range(len(tags))))
    return Device(name, "modbus", address, unit, TagTable(name, tuple(tags)), (group,), options)


def words(count: int, start: int = 0) -> list[Tag]:
    return [Tag(f"w{a}", Type.UINT16, Type.UINT16, f"HR{a}") for a in range(start, start + count)]


def bad(frame: Frame) -> list[int]:
    """Slots that are not good."""
    return [i for i, s in enumerate(statuses(frame)) if s]


def statuses(frame: Frame) -> list[int]:
    found = struct.unpack(f"<{len(frame.status) // 4}I", frame.status)
    return list(found * frame.count if len(found) == 1 else found)


def run(devices: list[Device], story: Callable[[ModbusDriver], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        driver = ModbusDriver(devices, Clock())
        await driver.open()
        try:
            await story(driver)
        finally:
            await driver.close()

    asyncio.run(main())


def against(serve: Any, answer: Any, tags: list[Tag], story: Any, **options: Any) -> None:
    """A story of (driver, group, peer) with one device that gives these answers."""

    async def main() -> None:
        async with serve(answer) as peer:
            made = device(peer.address, tags, **options)
            driver = ModbusDriver([made], Clock())
            await driver.open()
            try:
                await story(driver, made.groups[0], peer)
            finally:
                await driver.close()

    asyncio.run(main())


@contextmanager
def foreign_server() -> Iterator[tuple[str, DataBank]]:
    """A server of another make, in a thread, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    bank = DataBank()
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    try:
        yield f"tcp://127.0.0.1:{port}", bank
    finally:
        server.stop()


def wire_words() -> list[int]:
    """The registers of EXACT."""
    wire = bytes.fromhex("".join(data for _, data, _ in EXACT))
    return list(struct.unpack(f">{len(wire) // 2}H", wire))


async def read_exact(driver: ModbusDriver, made: Device) -> None:
    frame = await driver.read(made.groups[0])

    assert [expected for _, _, expected in EXACT] == [r.value for r in readings(frame, made.table)]
    assert frame == Frame.decode(frame.encode())


def test_every_type_comes_exact_from_a_server_of_another_make() -> None:
    with foreign_server() as (address, bank):
        bank.set_holding_registers(0, wire_words())
        made = device(address, [tag for tag, _, _ in EXACT])

        run([made], lambda driver: read_exact(driver, made))


def test_every_type_comes_exact_over_ipv6_from_a_server_of_a_third_make() -> None:
    async def main() -> None:
        data = SimData(0, values=wire_words(), datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(17, simdata=data), address=("::1", 0))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]
        made = device(f"tcp://[::1]:{port}", [tag for tag, _, _ in EXACT], unit=17)
        driver = ModbusDriver([made], Clock())
        try:
            await driver.open()
            await read_exact(driver, made)
        finally:
            await driver.close()
            await server.shutdown()

    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
    asyncio.run(main())


def test_all_four_kinds_of_data_come_in_one_frame() -> None:
    with foreign_server() as (address, bank):
        bank.set_coils(7, [True, False, True])
        bank.set_discrete_inputs(2000, [True])
        bank.set_holding_registers(300, [3])
        bank.set_input_registers(300, [4])
        tags = [
            Tag("ir", Type.UINT16, Type.UINT16, "IR300"),
            Tag("c9", Type.BOOL, Type.BOOL, "CO9"),
            Tag("hr", Type.UINT16, Type.UINT16, "HR300"),
            Tag("di", Type.BOOL, Type.BOOL, "DI2000"),
            Tag("c8", Type.BOOL, Type.BOOL, "CO8"),
        ]
        made = device(address, tags)

        async def story(driver: ModbusDriver) -> None:
            frame = await driver.read(made.groups[0])

            assert [r.value for r in readings(frame, made.table)] == [4, True, 3, True, False]
            assert len(frame.source_us) == 5 * 8

        run([made], story)


def test_one_request_makes_constant_columns_and_times_of_the_reply(serve: Any, machine: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        before = time.time_ns() // 1000
        frame = await driver.read(group)

        assert (len(frame.source_us), len(frame.status)) == (8, 4)
        assert struct.unpack("<q", frame.source_us)[0] == frame.gateway_us
        assert before <= frame.gateway_us <= time.time_ns() // 1000

    against(serve, machine(), words(10), story)


def test_a_group_is_a_few_of_the_tables_tags(serve: Any, machine: Any) -> None:
    async def main() -> None:
        async with serve(machine({4: 44, 8: 88})) as peer:
            made = device(peer.address, words(10))
            driver = ModbusDriver([made], Clock())
            await driver.open()
            frame = await driver.read(Group("m1", "few", 1.0, 1.0, (4, 8)))
            await driver.close()

            assert [(r.tag, r.value) for r in readings(frame, made.table)] == [("w4", 44), ("w8", 88)]

    asyncio.run(main())


def test_one_register_that_is_missing_is_found_and_the_others_are_good(serve: Any, machine: Any) -> None:
    plc = machine(dict.fromkeys(range(125), 7), missing={77})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        first = await driver.read(group)
        plc.asked.clear()
        second = await driver.read(group)

        assert bad(first) == bad(second) == [77]
        assert statuses(second)[77] == status.BAD_CONFIGURATION_ERROR
        assert second.values[77 * 8 : 78 * 8] == bytes(8)
        assert not any(address <= 77 < address + count for _, address, count in plc.asked)

    against(serve, plc, words(125), story)


def test_a_hole_that_a_device_refuses_to_read_costs_no_tag(serve: Any, machine: Any) -> None:
    plc = machine({0: 1, 12: 2}, missing={5})
    tags = [*words(2), *words(2, start=12)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        plc.asked.clear()
        frame = await driver.read(group)

        assert bad(frame) == []
        assert plc.asked == [(3, 0, 2), (3, 12, 2)]

    against(serve, plc, tags, story)


def test_several_missing_registers_are_found_over_a_few_reads(serve: Any, machine: Any) -> None:
    missing = {3, 40, 41, 90}
    plc = machine(missing=missing)

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        for _ in range(4):
            plc.asked.clear()
            frame = await driver.read(group)
            assert len(plc.asked) <= 125 + 2 * SPLITS_MAX

        assert bad(frame) == sorted(missing)

    against(serve, plc, words(125), story)


def test_a_missing_register_that_comes_to_be_there_is_good_after_its_rest(serve: Any, machine: Any) -> None:
    plc = machine(missing={2})

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        assert bad(await driver.read(group)) == [2]
        plc.missing.clear()
        poll = driver._poll(group)
        poll._resting = {question: asyncio.get_running_loop().time() for question in poll._resting}
        assert bad(await driver.read(group)) == []
        plc.asked.clear()
        await driver.read(group)

        assert plc.asked == [(3, 0, 8)]

    against(serve, plc, words(8), story)


def test_a_device_that_refuses_everything_is_refused_as_a_whole_and_not_asked_in_pieces(
    serve: Any, machine: Any
) -> None:
    plc = machine(missing=set(range(125)))

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        for _ in range(2):
            plc.asked.clear()
            with pytest.raises(Refused, match="m1: holding 0x0000") as raised:
                await driver.read(group)
            assert raised.value.code == 2
            assert len(plc.asked) == 1 + 2 * SPLITS_MAX
        plc.missing.clear()
        plc.asked.clear()

        assert bad(await driver.read(group)) == []
        assert plc.asked == [(3, 0, 125)]

    against(serve, plc, words(125), story)


@pytest.mark.parametrize(("code", "expected"), [(4, status.BAD_DEVICE_FAILURE), (6, status.BAD_DEVICE_FAILURE),
                                                (1, status.BAD_CONFIGURATION_ERROR)])  # fmt: skip
def test_a_refused_request_marks_its_tags_and_no_others(serve: Any, machine: Any, code: int, expected: int) -> None:
    plc = machine(missing={200})
    plc.code = code

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert statuses(frame) == [0, 0, expected, expected]

    against(serve, plc, [*words(2), *words(2, start=200)], story)


def test_a_busy_device_is_asked_again_at_the_next_read(serve: Any, machine: Any) -> None:
    plc = machine(missing={200})
    plc.code = 6

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        plc.missing.clear()

        assert bad(await driver.read(group)) == []

    against(serve, plc, [*words(2), *words(2, start=200)], story)


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateways_word_for_a_silent_unit_is_no_answer_of_that_unit(serve: Any, machine: Any, code: int) -> None:
    plc = machine(missing={0})
    plc.code = code

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        with pytest.raises(NoAnswer, match=f"exception {code}"):
            await driver.read(group)
        plc.missing.clear()

        assert bad(await driver.read(group)) == []
        assert peer.connections == 1

    against(serve, plc, words(2), story)


def test_a_unit_that_falls_silent_in_the_middle_is_asked_no_more_in_this_read(serve: Any, machine: Any) -> None:
    plc = machine({0: 5})

    def answer(request: bytes) -> bytes | None:
        reply: bytes = plc(request)
        return reply if len(plc.asked) == 1 else None

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert statuses(frame) == [0, status.BAD_TIMEOUT, status.BAD_TIMEOUT]
        assert len(plc.asked) == 2

    against(serve, answer, [*words(1), *words(1, 200), *words(1, 400)], story, timeout="300ms")


def test_a_silent_unit_raises_no_answer_and_the_unit_beside_it_keeps_its_pace(serve: Any, machine: Any) -> None:
    plc = machine({0: 5})

    async def main() -> None:
        async with serve(lambda request: plc(request) if request[6] == 2 else None) as peer:
            dead = device(peer.address, words(2), 1, "dead", timeout="20ms")
            alive = device(peer.address, words(2), 2, "alive", timeout="2s")
            driver = ModbusDriver([dead, alive], Clock())
            await driver.open()
            for _ in range(6):
                with pytest.raises(NoAnswer, match="dead"):
                    await driver.read(dead.groups[0])
                frame = await driver.read(alive.groups[0])
                assert bad(frame) == []
            await driver.close()

            assert peer.connections == 1

    asyncio.run(main())


def test_a_read_ends_at_its_groups_deadline_whatever_the_timeout(serve: Any, machine: Any) -> None:
    plc = machine()

    def answer(request: bytes) -> bytes | None:
        reply: bytes = plc(request)
        return reply if len(plc.asked) == 1 else None

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        begun = time.monotonic()
        frame = await driver.read(group)

        assert statuses(frame) == [0, status.BAD_TIMEOUT]
        assert time.monotonic() - begun < 10.0

    against(serve, answer, [*words(1), *words(1, 200)], story, deadline_s=0.3, timeout="30s")


def test_a_string_that_is_no_text_is_bad_and_alone(serve: Any, machine: Any) -> None:
    tags = [Tag("s", Type.STRING, Type.STRING, "HR0", (("length", "4"),)), *words(1, 2)]

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert statuses(frame) == [status.BAD_DECODING_ERROR, 0]

    against(serve, machine({0: 0xFFFE, 2: 9}), tags, story)


def test_after_a_wrong_reply_the_bus_must_be_opened_again(serve: Any, machine: Any) -> None:
    plc = machine({0: 9})
    wrong = [True]

    def answer(request: bytes) -> bytes:
        reply: bytes = plc(request)
        return bytes([reply[0] ^ 1]) + reply[1:] if wrong[0] else reply

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        with pytest.raises(InvalidReply):
            await driver.read(group)
        with pytest.raises(NotConnected):
            await driver.read(group)
        wrong[0] = False
        await driver.open()

        assert bad(await driver.read(group)) == []

    against(serve, answer, words(1), story)


def test_a_peer_that_goes_away_while_idle_is_not_connected_at_the_next_read(serve: Any, machine: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        peer.hang_up()
        await asyncio.sleep(0.05)

        with pytest.raises(NotConnected, match="m1"):
            await driver.read(group)

    against(serve, machine(), words(1), story)


def test_reads_run_beside_each_other_on_connections_of_their_own(serve: Any, machine: Any) -> None:
    plc = machine()
    under_way = 0
    all_there = asyncio.Event()

    async def answer(request: bytes) -> bytes:
        nonlocal under_way
        under_way += 1
        if under_way == 4:
            all_there.set()
        await all_there.wait()
        reply: bytes = plc(request)
        return reply

    async def main() -> None:
        async with serve(answer) as peer:
            made = [device(peer.address, words(1), u, f"m{u}", connections="4") for u in range(1, 5)]
            driver = ModbusDriver(made, Clock())
            await driver.open()
            frames = await asyncio.gather(*(driver.read(d.groups[0]) for d in made))
            await driver.close()

            assert (driver.connections, peer.connections, len(frames)) == (4, 4, 4)

    asyncio.run(main())


def test_more_reads_than_connections_are_the_callers_mistake(serve: Any, machine: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        first = asyncio.ensure_future(driver.read(group))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="more than 1"):
            await driver.read(group)

        assert bad(await first) == []

    against(serve, machine(), words(1), story)


def test_a_cancelled_read_leaves_a_connection_that_still_works(serve: Any, machine: Any) -> None:
    plc = machine({0: 9})
    delays = [0.1, 0.0]

    async def answer(request: bytes) -> bytes:
        reply: bytes = plc(request)
        await asyncio.sleep(delays.pop(0))
        return reply

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await driver.read(group)

        assert bad(await driver.read(group)) == []
        assert peer.connections == 1

    against(serve, answer, words(1), story)


def test_a_driver_object_has_one_bus_only() -> None:
    with pytest.raises(ValueError, match="one bus"):
        ModbusDriver([device("tcp://a", words(1)), device("tcp://b", words(1), name="m2")], Clock())
