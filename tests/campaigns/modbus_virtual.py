"""The real Modbus driver against the hostile peer on virtual time: no sockets, a wire in memory, one round a seed.

What runs of the product: the driver's `open`, `read` and `close`, its polls, plans, codec and links, as they are. What
is put in its place: the loop's clock and its connections.
"""

import asyncio
import gc
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.campaigns.modbus_checker import BLOCKS, SLOTS, SWAPPED, Judge, Verdict
from tests.campaigns.modbus_peer import Peer, Sender
from tests.campaigns.modbus_replies import HONEST, KINDS, PATIENT, STUBBORN, TIMEOUT_S, Kind
from tidegate.clock import BUILT_US, Clock
from tidegate.errors import DriverError, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.link import Link

UNITS = (1, 2, 3)
# Some rounds have so many questions under way: all but one of a read, so that a reply brings on another.
IN_FLIGHT = 4
REFUSED_SHARE, MUTE_SHARE = 0.05, 0.002
# Longer than a poll of all questions, each silent or split, can take.
DEADLINE_S = 60.0
# A tag that was refused for good is asked for again after a minute.
REST_S = 61.0
# After the last wrong reply one read may fail for what is still on the line, and one finds the line closed.
FAILURES_MAX = 2


class _Wireless(selectors.BaseSelector):
    """Nothing is ever ready, since there are no files: where a real one would wait, the loop's time jumps."""

    def __init__(self) -> None:
        self._keys: dict[int, selectors.SelectorKey] = {}
        self.loop: StillLoop

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        number = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        key = self._keys[number] = selectors.SelectorKey(fileobj, number, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj if isinstance(fileobj, int) else fileobj.fileno())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.loop.now_s += timeout
        return []

    def get_map(self) -> Any:
        return {key.fileobj: key for key in self._keys.values()}


class Wire(asyncio.Transport):
    """One connection in memory: questions go to the peer as they are written, and its moves come when they are due."""

    def __init__(self, loop: "StillLoop", protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self._loop, self._protocol = loop, protocol
        self._sender = Sender(loop.peer, loop, self._give, self._hang_up)
        self._ended = False

    def is_closing(self) -> bool:
        return self._ended

    def write(self, data: Any) -> None:
        self._sender.asked(bytes(data))

    def abort(self) -> None:
        self._end(None)

    def close(self) -> None:
        self._end(None)

    def _give(self, data: bytes) -> None:
        left = memoryview(data)
        while left and not self._ended:
            room = self._protocol.get_buffer(-1)
            count = min(len(room), len(left))
            room[:count] = left[:count]
            left = left[count:]
            self._protocol.buffer_updated(count)

    def _hang_up(self, reset: bool) -> None:
        self._end(ConnectionResetError(104, "Connection reset by peer") if reset else None)

    def _end(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._sender.stop()
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self._loop.wires -= 1
        protocol = self._protocol
        del self._protocol, self._sender
        protocol.connection_lost(error)


class StillLoop(asyncio.SelectorEventLoop):
    """A loop on virtual time whose connections all lead to one peer."""

    def __init__(self, peer: Peer, chance: Random) -> None:
        self.now_s = 0.0
        self.peer = peer
        self.wires = 0
        self.connections = 0
        self.faults: list[str] = []
        self._chance = chance
        selector = _Wireless()
        selector.loop = self
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.faults.append(str(context.get("exception", context))))

    def time(self) -> float:
        return self.now_s

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        drawn = self._chance.random() if self.peer.kinds is KINDS else 1.0
        if drawn < MUTE_SHARE:
            await asyncio.sleep(3600.0)
        if drawn < REFUSED_SHARE:
            raise ConnectionRefusedError(111, "Connection refused")

    async def create_connection(self, factory: Callable[[], Any], *, sock: socket.socket, **_: Any) -> Any:
        # It was never connected: what is said goes over a wire in memory.
        sock.close()
        protocol = factory()
        wire = Wire(self, protocol)
        self.wires += 1
        self.connections += 1
        protocol.connection_made(wire)
        return wire, protocol

    def timers(self) -> int:
        """How many timers have not fired and were not cancelled."""
        return sum(not timer.cancelled() for timer in self._scheduled)  # type: ignore[attr-defined]


@dataclass(slots=True)
class Round:
    """What one round showed; `left_over` is "" when nothing was."""

    index: int
    verdict: Verdict = field(default_factory=Verdict)
    connections: int = 0
    turned: int = 0
    virtual_s: float = 0.0
    lively: bool = False
    garbage: int = 0
    left_over: str = ""


def machine(
    name: str, address: str, unit: int, interval_s: float, deadline_s: float, timeout_s: float, by_block: bool = False,
    in_flight: int = 1,
) -> Device:  # fmt: skip
    """A device with all tags of the checker, in one group, or in one for each block that takes one request."""
    tags = [
        Tag(f"b{i}", Type.BOOL, Type.BOOL, f"{'CO' if slot.function == 1 else 'DI'}{slot.address}")
        if slot.function <= 2
        else Tag(f"n{i}", Type.UINT64, Type.UINT64, f"{'HR' if slot.function == 3 else 'IR'}{slot.address}",
                 (("order", "GHEFCDAB" if slot.address in SWAPPED else "ABCDEFGH"),))
        for i, slot in enumerate(SLOTS)
    ]  # fmt: skip
    blocks = BLOCKS if by_block else (tuple(range(len(tags))),)
    groups = tuple(Group(name, f"g{i}", interval_s, deadline_s, block) for i, block in enumerate(blocks))
    options = {"timeout": f"{timeout_s * 1000:g}ms", "in_flight": str(in_flight)}
    return Device(name, "modbus", address, unit, TagTable(name, tuple(tags)), groups, options)


class Play:
    """One driver that reads its units in turn, and is opened again when it says that it is not connected."""

    def __init__(self, peer: Peer, clock: Clock, judge: Judge, in_flight: int) -> None:
        self._peer, self._judge = peer, judge
        self._devices = [
            machine(f"unit{unit}", "tcp://127.0.0.1", unit, 1.0, DEADLINE_S, TIMEOUT_S, in_flight=in_flight)
            for unit in UNITS
        ]
        self.driver = ModbusDriver(self._devices, clock)
        self._open = False
        self._reads = 0

    async def read(self) -> str:
        """One read, judged: "failed", "some" tags are good, or "all"."""
        made = self._devices[self._reads % len(self._devices)]
        self._reads += 1
        asked = self._peer.asked
        asked.clear()
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
        """With a peer that is honest from now on: whether values come again within the bound, all a minute later."""
        self._peer.behave(HONEST)
        for _ in range(FAILURES_MAX):
            await self.read()
        soon = [await self.read() for _ in UNITS]
        await asyncio.sleep(REST_S)
        # Of what rested one field is looked at in each read; when all have answered, a read is as the first one was.
        for _ in range(len(SLOTS)):
            for _ in UNITS:
                await self.read()
        return "failed" not in soon and {await self.read() for _ in UNITS} == {"all"}


def play(seed: int, index: int, replies: int) -> Round:
    """One round: so many replies, then an honest peer, then the end. It follows from its seed and index alone."""
    chance = Random(f"{seed}/{index}")
    in_flight = IN_FLIGHT if index % 4 == 1 else 1
    peer = Peer(chance, kinds_of(index), 2 * in_flight - 1)
    loop = StillLoop(peer, chance)
    clock = Clock(lambda: BUILT_US + round(loop.now_s * 1e6), lambda: round(loop.now_s * 1e6))
    clock.boot = 1
    judge = Judge(BUILT_US, in_flight == 1)
    done = Round(index, judge.verdict)

    def collected(phase: str, found: dict[str, int]) -> None:
        done.garbage += found.get("collected", 0) if phase == "stop" else 0

    async def main() -> None:
        playing = Play(peer, clock, judge, in_flight)
        gc.collect()
        gc.callbacks.append(collected)
        while peer.n < replies:
            await playing.read()
        gc.collect()
        gc.callbacks.remove(collected)
        done.lively = await playing.recovers()
        await playing.driver.close()
        # The ends of wires are a turn of the loop away.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks = len(asyncio.all_tasks()) - 1
        if tasks or loop.wires or loop.timers():
            done.left_over = f"{tasks} tasks, {loop.wires} connections, {loop.timers()} timers"

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
    done.connections, done.turned, done.virtual_s = loop.connections, peer.turned, loop.now_s
    gc.collect()
    links = sum(isinstance(thing, Link) for thing in gc.get_objects())
    if links:
        done.left_over += f" {links} links"
    if loop.faults:
        done.left_over += f" {len(loop.faults)} exceptions that nobody caught, as {loop.faults[0]}"
    return done


def kinds_of(index: int) -> dict[str, Kind]:
    """Some rounds have lines on which nothing gives a reason to close them, for longer than numbers last."""
    return {2: PATIENT, 6: STUBBORN}.get(index % 8, KINDS)
