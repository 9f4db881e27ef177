"""One play of a line: the product's poller and driver over a wire, in memory or through a pseudo terminal."""

import asyncio
import os
import time
import tty
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.campaigns.line_medium import QUESTION_BYTES, REGISTERS, Medium, register
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.poller import Poller
from tidegate.clock import BUILT_US, Clock
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.line_link import LineLink

UNITS = range(1, 33)
DEAD, BABBLING = (7, 15, 23), 31
BAD = (*DEAD, BABBLING)
HEALTHY = frozenset(UNITS) - frozenset(BAD)
BABBLE_S = 10.0
# On ports, which have minutes and not hours: before, each bad unit is down after three timeouts, as at any start.
SETTLING_S = 40.0
SLOT_BYTES = 8


@dataclass(slots=True)
class Played:
    """What one play showed. `by_unit` counts the good frames of each healthy unit.

    `chanced` are replies of the babbling unit that came just when it was asked.
    """

    lasted_s: float
    by_unit: Counter[int] = field(default_factory=Counter)
    values: int = 0
    wrong: int = 0
    tried: Counter[int] = field(default_factory=Counter)
    spoiled: int = 0
    babbles: int = 0
    stayed_down: int = 0
    chanced: int = 0

    @property
    def rate(self) -> float:
        """Good reads a second, of all healthy units together."""
        return self.by_unit.total() / self.lasted_s


class Judge:
    """A sink that holds each value against what the unit said last."""

    def __init__(self, lasts_s: float, settling_s: float = 0.0) -> None:
        self.played = Played(lasts_s - settling_s)
        self.medium: Medium | None = None
        self._loop = asyncio.get_running_loop()
        self._from_s = self._loop.time() + settling_s

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        done: asyncio.Future[int] = self._loop.create_future()
        done.set_result(1)
        unit, medium = int(frame.device.removeprefix("unit")), self.medium
        assert medium is not None
        if unit == BABBLING:
            # It talked in the form of a reply, under its own number, while it was asked: it is what the unit says.
            self.played.chanced += frame.status == bytes(4)
        elif frame.status == bytes(4):
            slots = [
                int.from_bytes(frame.values[at : at + SLOT_BYTES], "little")
                for at in range(0, len(frame.values), SLOT_BYTES)
            ]
            number = medium.numbers.get(unit, -1)
            expected = [register(unit, number, address) for address in range(REGISTERS)]
            self.played.values += len(slots)
            self.played.wrong += sum(one != right for one, right in zip(slots, expected, strict=True))
            if self._loop.time() >= self._from_s:
                self.played.by_unit[unit] += 1
        return done


class Wire(asyncio.Transport):
    """A port in memory."""

    def __init__(self, medium: Medium) -> None:
        super().__init__()
        self._medium = medium

    def write(self, data: Any) -> None:
        self._medium.ask(bytes(data))

    def abort(self) -> None:
        pass


def line_of(address: str, units: Sequence[int], interval_s: float) -> list[Device]:
    """The devices of a line, with the driver's own defaults: a timeout of a second."""
    tags = tuple(Tag(f"r{i}", Type.UINT16, Type.UINT16, f"HR{i}") for i in range(REGISTERS))
    group = range(len(tags))
    return [
        Device(
            f"unit{unit}", "modbus", address, unit, TagTable(f"unit{unit}", tags),
            (Group(f"unit{unit}", "g", interval_s, 3.0, tuple(group)),), {},
        )
        for unit in units
    ]  # fmt: skip


async def polled(
    devices: Sequence[Device], driver: type[ModbusDriver], judge: Judge, clock: Clock, chance: Random, lasts_s: float
) -> Played:
    """Poll for so long, and what it showed."""
    poller = Poller(devices, {"modbus": driver}, judge, lambda gap: None, clock, chance)
    running = asyncio.create_task(poller.run())
    await asyncio.sleep(lasts_s)
    played = judge.played
    for one in poller.status():
        unit = int(one.name.removeprefix("unit"))
        if unit in BAD:
            played.tried[unit] = one.reads + sum(count for _, count in one.failures)
        else:
            played.spoiled += dict(one.counted).get("spoiled replies", 0)
            played.stayed_down += one.state == "down"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert judge.medium is not None
    played.babbles = judge.medium.babbles
    judge.medium.stop()
    return played


def play_virtually(chance: Random, interval_s: float, lasts_s: float, *, bad: bool, babble_s: float) -> Played:
    """One line in memory, on virtual time."""

    async def main(clock: Clock) -> Played:
        judge = Judge(lasts_s)

        class InMemory(ModbusDriver):
            """The driver, on a wire instead of a port."""

            async def _connect(self) -> LineLink:
                line = self._bus.line
                assert line is not None
                link = LineLink(self._clock, "the line", line, self._abandoned, False, self._delays)
                judge.medium = Medium(set(HEALTHY), BABBLING, babble_s, chance, link.data_received)
                link.connection_made(Wire(judge.medium))
                return link

        devices = line_of("rtu:///dev/null", sorted(UNITS if bad else HEALTHY), interval_s)
        return await polled(devices, InMemory, judge, clock, Random(7), lasts_s)

    return run_virtually(main)


async def play_on_ports(chance: Random, interval_s: float, lasts_s: float) -> tuple[Played, Played]:
    """Two lines at the same time, each on a pseudo terminal: without and with the bad units."""
    clock = Clock(lambda: BUILT_US + time.time_ns() // 1000, lambda: time.monotonic_ns() // 1000)
    clock.boot = 1
    alone, beside = await asyncio.gather(
        _on_port(Random(chance.random()), interval_s, lasts_s, clock, bad=False),
        _on_port(Random(chance.random()), interval_s, lasts_s, clock, bad=True),
    )
    return alone, beside


async def _on_port(chance: Random, interval_s: float, lasts_s: float, clock: Clock, *, bad: bool) -> Played:
    judge, loop = Judge(lasts_s, SETTLING_S), asyncio.get_running_loop()
    units, port = os.openpty()
    tty.setraw(port)
    os.set_blocking(units, False)
    medium = judge.medium = Medium(
        set(HEALTHY), BABBLING, BABBLE_S if bad else 0.0, chance, lambda heard: _say(units, heard)
    )
    asked = bytearray()

    def hear() -> None:
        asked.extend(os.read(units, 4096))
        while len(asked) >= QUESTION_BYTES:
            medium.ask(bytes(asked[:QUESTION_BYTES]))
            del asked[:QUESTION_BYTES]

    loop.add_reader(units, hear)
    try:
        devices = line_of(f"rtu://{os.ttyname(port)}", sorted(UNITS if bad else HEALTHY), interval_s)
        return await polled(devices, ModbusDriver, judge, clock, Random(7), lasts_s)
    finally:
        loop.remove_reader(units)
        os.close(units)
        os.close(port)


def _say(units: int, heard: bytes) -> None:
    os.write(units, heard)
