"""Units that others have written are read in RTU and ASCII: libmodbus', modbus-serial's and pymodbus'.

libmodbus has no ASCII, and npm modbus-serial only asks in it.
"""

import asyncio
import os
import shutil
import tty
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.drivers.test_modbus_foreign import TAGS, UNIT, VALUES, WORDS, libmodbus, modbus_serial
from tidegate.clock import Clock
from tidegate.errors import NoAnswer
from tidegate.model.device import Device
from tidegate.model.frame import readings
from tidegate.model.status import BAD_CONFIGURATION_ERROR
from tidegate_drivers.modbus.driver import ModbusDriver

Story = Callable[[ModbusDriver, Device], Coroutine[Any, Any, None]]


@asynccontextmanager
async def cable() -> AsyncIterator[tuple[str, str]]:
    """Two serial ports, joined."""
    loop = asyncio.get_running_loop()
    pairs = [os.openpty() for _ in range(2)]
    for _, end in pairs:
        tty.setraw(end)
    (one, _), (other, _) = pairs
    loop.add_reader(one, lambda: os.write(other, os.read(one, 4096)))
    loop.add_reader(other, lambda: os.write(one, os.read(other, 4096)))
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        for pair in pairs:
            loop.remove_reader(pair[0])
            for descriptor in pair:
                os.close(descriptor)


@asynccontextmanager
async def libmodbus_on_a_port(host: str) -> AsyncIterator[str]:
    async with cable() as (ours, theirs):
        with libmodbus(theirs):
            yield f"rtu://{ours}"


@asynccontextmanager
async def modbus_serial_on_a_port(host: str) -> AsyncIterator[str]:
    async with cable() as (ours, theirs):
        with modbus_serial(theirs):
            yield f"rtu://{ours}"


@asynccontextmanager
async def pymodbus_behind_tcp(host: str, framer: FramerType = FramerType.RTU) -> AsyncIterator[str]:
    data = [SimData(0, values=WORDS, datatype=DataType.REGISTERS)]
    server = ModbusTcpServer(SimDevice(UNIT, simdata=data), framer=framer, address=(host, 0))
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    try:
        yield f"{framer.value}+tcp://[{host}]:{port}" if ":" in host else f"{framer.value}+tcp://{host}:{port}"
    finally:
        await server.shutdown()


@asynccontextmanager
async def pymodbus_on_a_port(host: str, framer: FramerType = FramerType.RTU) -> AsyncIterator[str]:
    """A pty whose other end is carried to pymodbus' server."""
    async with pymodbus_behind_tcp(host, framer) as address, cable() as (ours, theirs):
        reader, writer = await asyncio.open_connection(host, int(address.rpartition(":")[2]))
        loop, end = asyncio.get_running_loop(), os.open(theirs, os.O_RDWR | os.O_NOCTTY)
        loop.add_reader(end, lambda: writer.write(os.read(end, 4096)))

        async def back() -> None:
            while data := await reader.read(4096):
                os.write(end, data)

        carrying = asyncio.create_task(back())
        try:
            yield f"{framer.value}://{ours}"
        finally:
            loop.remove_reader(end)
            os.close(end)
            writer.close()
            carrying.cancel()
            await asyncio.gather(carrying, return_exceptions=True)


def ascii_behind_tcp(host: str) -> AbstractAsyncContextManager[str]:
    return pymodbus_behind_tcp(host, FramerType.ASCII)


def ascii_on_a_port(host: str) -> AbstractAsyncContextManager[str]:
    return pymodbus_on_a_port(host, FramerType.ASCII)


SERVERS = [
    libmodbus_on_a_port,
    modbus_serial_on_a_port,
    pymodbus_on_a_port,
    pymodbus_behind_tcp,
    ascii_on_a_port,
    ascii_behind_tcp,
]
OF_ALL = pytest.mark.parametrize("server", SERVERS, ids=[server.__name__ for server in SERVERS])


def against(rig: Any, server: Any, tags: list[Any], story: Story, host: str = "127.0.0.1", **options: Any) -> None:
    if server is libmodbus_on_a_port and (not Path("/usr/include/modbus/modbus.h").exists() or not shutil.which("gcc")):
        pytest.fail("This test needs libmodbus-dev and gcc: run `.ci/needs test`", pytrace=False)

    async def main() -> None:
        async with server(host) as address:
            made = rig.device(address, tags, **{"unit": UNIT, "deadline_s": 10.0, **options})
            driver = ModbusDriver([made], Clock())
            try:
                await driver.open()
                await story(driver, made)
            finally:
                await driver.close()

    asyncio.run(main())


@OF_ALL
@pytest.mark.parametrize("registers_max", ["20", "125"])
def test_every_type_in_every_order_is_what_it_is_on_a_line(rig: Any, server: Any, registers_max: str) -> None:
    async def story(driver: ModbusDriver, made: Device) -> None:
        for _ in range(5):
            assert [r.value for r in readings(await driver.read(made.groups[0]), made.table)] == VALUES

    parity = {} if "tcp" in server.__name__ else {"parity": "N"}
    against(rig, server, TAGS, story, registers_max=registers_max, **parity)


@OF_ALL
def test_what_is_not_there_is_refused_on_a_line(rig: Any, server: Any) -> None:
    tags = rig.words(2) + rig.words(1, 5000)

    async def story(driver: ModbusDriver, made: Device) -> None:
        frame = await driver.read(made.groups[0])

        assert rig.statuses(frame) == [0, 0, BAD_CONFIGURATION_ERROR]

    against(rig, server, tags, story)


def test_a_serial_server_is_reached_over_ipv6(rig: Any) -> None:
    async def story(driver: ModbusDriver, made: Device) -> None:
        assert [r.value for r in readings(await driver.read(made.groups[0]), made.table)] == WORDS[:3]

    against(rig, pymodbus_behind_tcp, rig.words(3), story, "::1")


def test_a_unit_that_is_not_there_costs_libmodbus_one_question_and_no_more(rig: Any) -> None:
    """It takes the next frame for the answer of the absent unit, and drops it (libmodbus 3.1)."""

    async def main() -> None:
        async with libmodbus_on_a_port("") as address:
            made = [rig.device(address, rig.words(3), unit, f"u{unit}", timeout="100ms") for unit in (UNIT, UNIT + 1)]
            driver = ModbusDriver(made, Clock())
            await driver.open()
            with pytest.raises(NoAnswer):
                await driver.read(made[1].groups[0])
            came = []
            for _ in range(4):
                try:
                    came.append([r.value for r in readings(await driver.read(made[0].groups[0]), made[0].table)])
                except NoAnswer:
                    continue
            await driver.close()

            assert came in ([WORDS[:3]] * 3, [WORDS[:3]] * 4)

    asyncio.run(main())
