"""The real driver on hostile lines in memory, on virtual time, one round a seed: RTU and ASCII, with and without echo.

What runs of the product: the driver's `open`, `read` and `close`, its polls, plans, codec and links, as they are. What
is put in its place: the loop's clock and its connections.
"""

import asyncio
import gc
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.campaigns.modbus_checker import Verdict
from tests.campaigns.modbus_replies import TIMEOUT_S
from tests.campaigns.modbus_virtual import DEADLINE_S, StillLoop, machine
from tests.campaigns.rtu_checker import LineJudge
from tests.campaigns.rtu_frames import ASCII, RTU
from tests.campaigns.rtu_line import HostileLine
from tests.campaigns.rtu_replies import HONEST, KINDS, UNITS
from tidegate.clock import BUILT_US, Clock
from tidegate.errors import DriverError, NotConnected
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.line_link import LineLink

# What may still be on its way when a line turns honest, and a read of each unit that finds its line closed or suspect.
DRAIN_S, FAILURES_MAX = 10.0, 2
TURNAROUND = "5ms"


class LineWire(asyncio.Transport):
    """One connection to the line, in memory."""

    def __init__(self, loop: "LineLoop", protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._loop, self._protocol = loop, protocol
        self._ended = False
        loop.line.connect(self._give, self.abort)

    def is_closing(self) -> bool:
        return self._ended

    def write(self, data: Any) -> None:
        self._loop.line.hear(bytes(data))

    def abort(self) -> None:
        if not self._ended:
            self._ended = True
            self._loop.line.leave()
            self._loop.call_soon(self._lost)

    def close(self) -> None:
        self.abort()

    def _give(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def _lost(self) -> None:
        self._loop.wires -= 1
        protocol = self._protocol
        del self._protocol
        protocol.connection_lost(None)


class LineLoop(StillLoop):
    """A loop on virtual time whose connections all lead to one line."""

    line: HostileLine

    def __init__(self) -> None:
        # It never looks at the peer of the other campaign.
        super().__init__(None, Random(0))  # type: ignore[arg-type]

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """There is always a line."""

    async def create_connection(self, factory: Callable[[], Any], *, sock: socket.socket, **_: Any) -> Any:
        sock.close()
        protocol = factory()
        wire = LineWire(self, protocol)
        self.wires += 1
        self.connections += 1
        protocol.connection_made(wire)
        return wire, protocol


@dataclass(slots=True)
class LineRound:
    """What one round showed; `left_over` is "" when nothing was."""

    index: int
    framing: str
    verdict: Verdict = field(default_factory=Verdict)
    connections: int = 0
    by_chance: int = 0
    collisions: int = 0
    virtual_s: float = 0.0
    lively: bool = False
    left_over: str = ""


class LinePlay:
    """One driver that reads its units in turn, and is opened again when it says that it is not connected."""

    def __init__(
        self, line: HostileLine, clock: Clock, judge: LineJudge, address: str, options: dict[str, str]
    ) -> None:
        self._line, self._judge = line, judge
        made = [machine(f"unit{unit}", address, unit, 1.0, DEADLINE_S, TIMEOUT_S) for unit in UNITS]
        self._devices = [replace(one, options={**one.options, **options}) for one in made]
        self.driver = ModbusDriver(self._devices, clock)
        self._open = False
        self._reads = 0

    async def read(self) -> str:
        """One read, judged: "failed", "some" tags are good, or "all"."""
        made = self._devices[self._reads % len(self._devices)]
        self._reads += 1
        asked = self._line.asked = []
        try:
            if not self._open:
                await self.driver.open()
                self._open = True
            frame = await self.driver.read(made.groups[0])
        except DriverError as error:
            self._open = self._open and not isinstance(error, NotConnected)
            self._judge.failed(asked, type(error).__name__)
            return "failed"
        assert made.unit is not None
        self._judge.came(made.unit, asked, frame.status, frame.source_us, frame.values)
        return "all" if frame.status == bytes(4) else "some"

    async def recovers(self) -> bool:
        """With units that are honest from now on: whether all tags are good again within the bound."""
        self._line.behave(HONEST)
        await asyncio.sleep(DRAIN_S)
        for _ in UNITS * FAILURES_MAX:
            await self.read()
        return {await self.read() for _ in UNITS * 5} == {"all"}


def play(seed: int, index: int, replies: int) -> LineRound:
    """One round: so many replies, then an honest line, then the end. It follows from its seed and index alone."""
    chance = Random(f"line {seed}/{index}")
    framing, echo = (RTU, ASCII)[index % 2], index % 4 >= 2
    loop = LineLoop()
    clock = Clock(lambda: BUILT_US + round(loop.now_s * 1e6), lambda: round(loop.now_s * 1e6))
    clock.boot = 1
    judge = LineJudge(BUILT_US)
    done = LineRound(index, framing, judge.verdict)
    options = {"echo": "true", "turnaround": TURNAROUND} if echo else {}

    async def main() -> None:
        line = loop.line = HostileLine(chance, framing, KINDS, echo)
        playing = LinePlay(line, clock, judge, f"{framing}+tcp://127.0.0.1:4001", options)
        while line.n < replies:
            await playing.read()
        done.lively = await playing.recovers()
        await playing.driver.close()
        line.stop()
        done.by_chance = line.by_chance
        # The ends of connections are a turn of the loop away.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks = len(asyncio.all_tasks()) - 1
        if tasks or loop.wires or loop.timers():
            done.left_over = f"{tasks} tasks, {loop.wires} connections, {loop.timers()} timers"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    done.connections, done.virtual_s, done.collisions = loop.connections, loop.now_s, judge.collisions
    gc.collect()
    links = sum(isinstance(thing, LineLink) for thing in gc.get_objects())
    if links:
        done.left_over += f" {links} links"
    if loop.faults:
        done.left_over += f" {len(loop.faults)} exceptions that nobody caught, as {loop.faults[0]}"
    return done
