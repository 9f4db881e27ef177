"""Hostile lines behind pty pairs, read by the whole poller beside honest ones, which have to keep their pace.

A pty stands for a serial port: opened, locked and set up by the driver as any other. It has no speed of its own.
"""

import asyncio
import gc
import logging
import os
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from random import Random

from tests.campaigns.checker import Finding
from tests.campaigns.modbus_virtual import machine
from tests.campaigns.rtu_checker import LineJudge
from tests.campaigns.rtu_frames import ASCII, RTU
from tests.campaigns.rtu_line import HostileLine
from tests.campaigns.rtu_replies import HONEST, ON_A_PORT, UNITS
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap
from tidegate_drivers.modbus.driver import ModbusDriver

HOSTILE, HONEST_LINES = 240, 6
INTERVAL_S, DEADLINE_S = 0.5, 5.0
TIMEOUT_S = 0.25
BAUD = "115200"
# Honest lines alone for so long, before and after; what the poller begins with is left out.
ALONE_S, SETTLE_S = 5.0, 1.0
# A line with many silent replies needs seconds for a read, and there is one of so many lines.
BESIDE_S_MAX = 240.0
PACE_SHARE_MIN = 0.95
# The judge's clock is read before the bytes are in the pty, and the driver's when a busy machine has handed them over.
HANDED_OVER_S = 2.0
READ_BYTES = 4096
DRAIN_S = 10.0
LOOK_S = 0.05


@dataclass(slots=True)
class Port:
    """One pty pair: the line at its far end, the devices on it, and what is made of their frames."""

    name: str
    framing: str
    line: HostileLine
    path: str
    ends: tuple[int, int]
    judge: LineJudge
    devices: list[Device] = field(default_factory=list)

    def close(self) -> None:
        """Take the pair away."""
        self.line.stop()
        asyncio.get_running_loop().remove_reader(self.ends[0])
        for end in self.ends:
            os.close(end)


def opened(index: int, seed: int, honest: bool) -> Port:
    """A line behind a pty: RTU or ASCII, with or without an echo, of three units or of one that is honest."""
    loop, framing, echo = asyncio.get_running_loop(), (RTU, ASCII)[index % 2], index % 4 >= 2
    far, near = os.openpty()
    tty.setraw(near)
    os.set_blocking(far, False)
    kinds = HONEST if honest else ON_A_PORT
    line = HostileLine(Random(f"port {seed}/{index}/{honest}"), framing, kinds, echo, time.time)

    def heard() -> None:
        with suppress(BlockingIOError):
            line.hear(os.read(far, READ_BYTES))

    def say(data: bytes) -> None:
        # A pty takes 4 kB; what nobody reads is lost, as on a wire.
        with suppress(BlockingIOError):
            os.write(far, data)

    line.connect(say, lambda: None)
    loop.add_reader(far, heard)
    path, name = os.ttyname(near), f"{'honest' if honest else 'hostile'}{index}"
    port = Port(name, framing, line, path, (far, near), LineJudge(0, HANDED_OVER_S, by_kind=False))
    options = {"baud": BAUD, "parity": "N", "echo": "true" if echo else "false"}
    for unit in UNITS[:1] if honest else UNITS:
        made = machine(f"{name}u{unit}", f"{framing}://{path}", unit, INTERVAL_S, DEADLINE_S, TIMEOUT_S)
        port.devices.append(replace(made, options={**made.options, **options}))
    return port


class Sink:
    """Takes frames of all ports, judges each with the questions of its unit, and counts those of honest lines."""

    def __init__(self, ports: list[Port]) -> None:
        self._of = {device.name: (port, device) for port in ports for device in port.devices}
        self.good = 0
        self.gaps: list[Gap] = []

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """Judge it; it counts as committed."""
        port, device = self._of[frame.device]
        mine = [asked for asked in port.line.asked if asked.unit == device.unit]
        port.line.asked = [asked for asked in port.line.asked if asked.unit != device.unit]
        assert device.unit is not None
        # Reads that failed left their questions too: the last of each block is that of this frame.
        port.judge.came(device.unit, mine, frame.status, frame.source_us, frame.values)
        if frame.status == bytes(4):
            self.good += 1
        committed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        committed.set_result(1)
        return committed


async def _so(true: Callable[[], bool]) -> None:
    """Look every now and then until it is so."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


async def _window(ports: list[Port], until: Callable[[], bool], seconds_max: float) -> tuple[float, Sink]:
    """Poll these ports until something is so; frames of honest lines a second, after the first second."""
    sink = Sink(ports)
    poller = Poller(
        [device for port in ports for device in port.devices], {"modbus": ModbusDriver}, sink, sink.gaps.append,
        Clock(), Random(1),
    )  # fmt: skip
    running = asyncio.create_task(poller.run())
    await asyncio.sleep(SETTLE_S)
    honest = [port for port in ports if port.name.startswith("honest")]
    questions, begun_s = sum(port.line.n for port in honest), time.monotonic()
    deadline_s = begun_s + seconds_max
    await _so(lambda: until() or time.monotonic() > deadline_s or running.done())
    pace = (sum(port.line.n for port in honest) - questions) / (time.monotonic() - begun_s)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return pace, sink


async def _run(seed: int, replies: int) -> list[Finding]:
    loop = asyncio.get_running_loop()
    descriptors, tasks = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
    faults: list[str] = []
    loop.set_exception_handler(lambda _, context: faults.append(str(context.get("exception", context))))
    honest = [opened(index, seed, True) for index in range(HONEST_LINES)]
    hostile = [opened(index, seed, False) for index in range(HOSTILE)]
    begun_s = time.monotonic()

    def for_s(seconds: float) -> Callable[[], bool]:
        end_s = time.monotonic() + SETTLE_S + seconds
        return lambda: time.monotonic() >= end_s

    def asked() -> int:
        return sum(port.line.n for port in hostile)

    before, _ = await _window(honest, for_s(ALONE_S), BESIDE_S_MAX)
    beside, _ = await _window(honest + hostile, lambda: asked() >= replies, BESIDE_S_MAX)
    hostile_replies = asked()
    after, _ = await _window(honest, for_s(ALONE_S), BESIDE_S_MAX)
    for port in hostile:
        port.line.behave(HONEST)
        port.line.asked.clear()
    _, recovered = await _window(hostile, for_s(DRAIN_S), BESIDE_S_MAX)
    took_s = time.monotonic() - begun_s
    for port in honest + hostile:
        port.close()
    await asyncio.sleep(0)
    gc.collect()
    ports = honest + hostile
    for port in ports:
        for sentence in port.judge.verdict.told[:1]:
            print(f"    {port.name}, {port.framing}: {sentence}")
    left = (len(os.listdir("/proc/self/fd")) - descriptors, len(asyncio.all_tasks()) - tasks, len(faults))
    taken = Finding(
        hostile_replies >= replies,
        f"{hostile_replies:,} replies of {HOSTILE} hostile lines behind pty pairs (of {replies:,}) in {took_s:.0f} s",
    )
    return [taken, *_findings(ports, min(before, after), beside, recovered.good, left)]


def _findings(
    ports: list[Port], alone: float, beside: float, recovered: int, left: tuple[int, int, int]
) -> list[Finding]:
    """What all of them showed: frames of honest lines a second, whole ones at the end, and what was left over."""
    wrong = sum(port.judge.verdict.wrong_values for port in ports)
    values = sum(port.judge.verdict.values for port in ports)
    collisions = sum(port.judge.collisions for port in ports)
    wanted = HOSTILE * len(UNITS)
    return [
        Finding(
            not wrong,
            f"{wrong} wrong values accepted of {values:,}; {collisions} damaged ones with a right checksum taken",
        ),
        Finding(
            beside >= PACE_SHARE_MIN * alone,
            f"{HONEST_LINES} honest lines were asked {beside:.1f} questions a second beside them, {alone:.1f} alone: "
            f"{100 * beside / alone if alone else 0:.1f} % (at least {100 * PACE_SHARE_MIN:g} %)",
        ),
        Finding(
            recovered >= wanted,
            f"lines that turned honest gave {recovered} whole frames in {DRAIN_S:g} s (at least {wanted})",
        ),
        Finding(
            left == (0, 0, 0),
            "left over: {} descriptors, {} tasks, {} exceptions that nobody caught".format(*left),
        ),
    ]


def campaign(seed: int, replies: int) -> list[Finding]:
    """So many hostile replies through ptys; what they showed."""
    logging.disable(logging.WARNING)
    try:
        return asyncio.run(_run(seed, replies))
    finally:
        logging.disable(logging.NOTSET)
