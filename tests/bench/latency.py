"""A device that answers 5 ms after each request and takes many at a time: the driver against pymodbus, in turns.

Both read the same 16 blocks of 125 registers. pymodbus asks one after the other; the driver has learnt that the device
can have all of them before it.
"""

import asyncio
import statistics
import subprocess
import sys
import time
from struct import Struct

from pymodbus.client import AsyncModbusTcpClient

from tests.bench.figures import Figure
from tidegate import loop
from tidegate.clock import Clock
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver

LATENCY_S = 0.005
BLOCKS, REGISTERS = 16, 125
REQUEST = Struct(">HHHBBHH")
READ_HOLDING = 3
LEARNING_READS = 3
ROUNDS, READS = 5, 10
TIMES_MIN = 10.0


class Late(asyncio.Protocol):
    """The device. Each register holds its own address."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request when its time has come. On loopback they come whole."""
        running = asyncio.get_running_loop()
        for at in range(0, len(data), REQUEST.size):
            transaction, _, _, unit, function, address, count = REQUEST.unpack_from(data, at)
            held = b"".join((address + i).to_bytes(2, "big") for i in range(count))
            head = Struct(">HHHBBB").pack(transaction, 0, 3 + len(held), unit, function, len(held))
            running.call_later(LATENCY_S, self._transport.write, head + held)  # type: ignore[attr-defined]


async def serve() -> None:
    """Be the device, on a port of its own that is printed, until killed."""
    server = await asyncio.get_running_loop().create_server(Late, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def machine(port: int) -> Device:
    """The device, as the driver is told of it: a tag a register."""
    tags = tuple(Tag(f"r{i}", Type.UINT16, Type.UINT16, f"HR{i}") for i in range(BLOCKS * REGISTERS))
    group = Group("late", "all", 1.0, 5.0, tuple(range(len(tags))))
    return Device("late", "modbus", f"tcp://127.0.0.1:{port}", 1, TagTable("late", tags), (group,), {})


async def compare(port: int) -> tuple[list[float], list[float]]:
    """Seconds a read of all blocks in each round: the driver's, and pymodbus's."""
    device = machine(port)
    driver = ModbusDriver([device], Clock())
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await driver.open()
    await client.connect()

    async def by_driver() -> None:
        frame = await driver.read(device.groups[0])
        if frame.count != BLOCKS * REGISTERS or any(frame.status):
            raise RuntimeError("the driver did not read everything")

    async def by_pymodbus() -> None:
        for block in range(BLOCKS):
            reply = await client.read_holding_registers(block * REGISTERS, count=REGISTERS, device_id=1)
            if reply.isError():
                raise RuntimeError(f"pymodbus: {reply}")

    for _ in range(LEARNING_READS):
        await by_driver()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        for spent, read in ((ours, by_driver), (theirs, by_pymodbus)):
            begun_s = time.perf_counter()
            for _ in range(READS):
                await read()
            spent.append((time.perf_counter() - begun_s) / READS)
    await driver.close()
    client.close()
    return ours, theirs


def measure() -> tuple[list[Figure], bool]:
    """How much faster; whether that is enough."""
    device = subprocess.Popen([sys.executable, "-m", "tests.bench.latency"], stdout=subprocess.PIPE, text=True)
    try:
        assert device.stdout is not None
        port = int(device.stdout.readline())
        with asyncio.Runner(loop_factory=loop.new) as runner:
            ours, theirs = runner.run(compare(port))
    finally:
        device.kill()
        device.wait()
    times = statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
    value, baseline = 1000 * statistics.median(ours), 1000 * statistics.median(theirs)
    beside = f"pymodbus {baseline:.1f}: {times:.1f} times faster (at least {TIMES_MIN:g})"
    name = f"{BLOCKS} blocks, 5 ms each, one device"
    return [Figure(name, value, "ms a read", baseline, holds=times >= TIMES_MIN, beside=beside)], times >= TIMES_MIN


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop.new) as own:
        own.run(serve())
