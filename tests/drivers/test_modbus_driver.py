"""Whole reads: exact frames of real sockets and servers of other makes, and the life of a bus."""

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
from tidegate.errors import InvalidReply, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame, readings
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus.driver import ModbusDriver

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


def run(devices: list[Device], story: Callable[[ModbusDriver], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        driver = ModbusDriver(devices, Clock())
        await driver.open()
        try:
            await story(driver)
        finally:
            await driver.close()

    asyncio.run(main())


@contextmanager
def foreign_server() -> Iterator[tuple[str, DataBank]]:
    """A server of another make, in a thread, on a free port."""
    bank = DataBank()
    server = ModbusServer("127.0.0.1", 0, no_block=True, data_bank=bank)
    server.start()
    try:
        yield f"tcp://127.0.0.1:{server._service.server_address[1]}", bank
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


def test_every_type_comes_exact_from_a_server_of_another_make(rig: Any) -> None:
    with foreign_server() as (address, bank):
        bank.set_holding_registers(0, wire_words())
        made = rig.device(address, [tag for tag, _, _ in EXACT])

        run([made], lambda driver: read_exact(driver, made))


def test_every_type_comes_exact_over_ipv6_from_a_server_of_a_third_make(rig: Any) -> None:
    async def main() -> None:
        data = SimData(0, values=wire_words(), datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(17, simdata=data), address=("::1", 0))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]
        made = rig.device(f"tcp://[::1]:{port}", [tag for tag, _, _ in EXACT], unit=17)
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


def test_all_four_kinds_of_data_come_in_one_frame(rig: Any) -> None:
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
        made = rig.device(address, tags)

        async def story(driver: ModbusDriver) -> None:
            frame = await driver.read(made.groups[0])

            assert [r.value for r in readings(frame, made.table)] == [4, True, 3, True, False]
            assert len(frame.source_us) == 5 * 8

        run([made], story)


def test_one_request_makes_constant_columns_and_times_of_the_reply(rig: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        before = time.time_ns() // 1000
        frame = await driver.read(group)

        assert (len(frame.source_us), len(frame.status)) == (8, 4)
        assert struct.unpack("<q", frame.source_us)[0] == frame.gateway_us
        assert before <= frame.gateway_us <= time.time_ns() // 1000

    rig.against(rig.machine(), rig.words(10), story)


def test_a_group_is_a_few_of_the_tables_tags(rig: Any) -> None:
    async def main() -> None:
        async with rig.serve(rig.machine({4: 44, 8: 88})) as peer:
            made = rig.device(peer.address, rig.words(10))
            driver = ModbusDriver([made], Clock())
            await driver.open()
            frame = await driver.read(Group("m1", "few", 1.0, 1.0, (4, 8)))
            await driver.close()

            assert [(r.tag, r.value) for r in readings(frame, made.table)] == [("w4", 44), ("w8", 88)]

    asyncio.run(main())


def test_after_a_wrong_reply_the_bus_must_be_opened_again(rig: Any) -> None:
    plc = rig.machine({0: 9})
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

        assert rig.bad(await driver.read(group)) == []

    rig.against(answer, rig.words(1), story)


def test_a_peer_that_goes_away_while_idle_is_not_connected_at_the_next_read(rig: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.read(group)
        peer.hang_up()
        await asyncio.sleep(0.05)

        with pytest.raises(NotConnected, match="m1"):
            await driver.read(group)

    rig.against(rig.machine(), rig.words(1), story)


def test_reads_run_beside_each_other_on_connections_of_their_own(rig: Any) -> None:
    plc = rig.machine()
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
        async with rig.serve(answer) as peer:
            made = [rig.device(peer.address, rig.words(1), u, f"m{u}", connections="4") for u in range(1, 5)]
            driver = ModbusDriver(made, Clock())
            await driver.open()
            frames = await asyncio.gather(*(driver.read(d.groups[0]) for d in made))
            await driver.close()

            assert (driver.connections, peer.connections, len(frames)) == (4, 4, 4)

    asyncio.run(main())


def test_more_reads_than_connections_are_the_callers_mistake(rig: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        first = asyncio.ensure_future(driver.read(group))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="more than 1"):
            await driver.read(group)

        assert rig.bad(await first) == []

    rig.against(rig.machine(), rig.words(1), story)


def test_a_cancelled_read_leaves_a_connection_that_still_works(rig: Any) -> None:
    plc = rig.machine({0: 9})
    delays = [0.1, 0.0]

    async def answer(request: bytes) -> bytes:
        reply: bytes = plc(request)
        await asyncio.sleep(delays.pop(0))
        return reply

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await driver.read(group)

        assert rig.bad(await driver.read(group)) == []
        assert peer.connections == 1

    rig.against(answer, rig.words(1), story)


def test_a_driver_object_has_one_bus_only(rig: Any) -> None:
    with pytest.raises(ValueError, match="one bus"):
        ModbusDriver([rig.device("tcp://a", rig.words(1)), rig.device("tcp://b", rig.words(1), name="m2")], Clock())


def test_a_bus_that_is_gone_is_not_connected_when_it_is_opened_again(rig: Any) -> None:
    async def main() -> None:
        async with rig.serve(rig.machine()) as peer:
            made = rig.device(peer.address, rig.words(1), connections="3")
            driver = ModbusDriver([made], Clock())
            await driver.open()
            await driver.close()
        with pytest.raises(NotConnected, match=r"no connection to 127\.0\.0\.1:\d+: Connection refused$"):
            await driver.open()

    asyncio.run(main())


def test_opening_twice_leaves_one_set_of_connections(rig: Any) -> None:
    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        await driver.open()
        await driver.read(group)
        await asyncio.sleep(0.05)

        assert peer.connections == 2
        assert peer.open == 1

    rig.against(rig.machine(), rig.words(1), story)
