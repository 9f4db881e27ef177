"""Wear: what a buffer writes to its disk in a day under each commit policy, counted at the block device.

    python -m tests.bench.wear [--rate 30] [--policy flash-saver] [--real SECONDS]

The buffer is the real one, on an ext4 of its own (a loop device, mounted here: only root may), so that the journal of
the file system counts. Its time is virtual: an hour of polls, commits, acknowledgements, gaps and seals goes by without
the waits between them. What Linux does by time is done by that time too: the journal is committed 5 s after a change,
and what is dirty is written every 30 s. `--real` waits instead, which shows that both come to the same.
Where nothing can be mounted it is the process's write_bytes that count, and the figures say so.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from struct import pack
from typing import Any

from tests.bench.disk import FLUSH_S, Counter, disk
from tests.bench.figures import Figure
from tests.fakes.virtual_time import VirtualLoop
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.wear import DAY_S
from tidegate.clock import BUILT_US, Clock, Source
from tidegate.config.document import POLICIES_S, POLICY_READINGS
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import Tag, TagTable, Type

INTERVAL_S = 1.0
# A gap is told now and then, as in a plant in which something is always being switched off.
GAP_S = 600.0
WINDOW = 16
# What a message of 256 KiB holds, and how long the broker takes to acknowledge it.
MESSAGE_READINGS, PUBACK_S = 12_000, 0.02
WARM_UP_S = 700.0
GB = 1e9
# Values that don't compress: float64 of which all of the fraction is random, and words of which every bit is.
VALUES = {Type.FLOAT64: "floats", Type.UINT16: "words"}
SPARING = "flash-saver"
HIGH_SIX = bytes(0x60 | low & 0x0F for low in range(256))


@dataclass(frozen=True, slots=True)
class Shape:
    """So many devices, each polled once a second for so many tags; measured for so long."""

    devices: int
    tags: int
    measured_s: float
    warm_up_s: float = WARM_UP_S

    @property
    def readings_s(self) -> int:
        """Readings a second."""
        return self.devices * self.tags


SHAPES = (Shape(1, 30, 2400), Shape(20, 30, 1200), Shape(100, 125, 300, 100))
# At most so many GB a day, by policy and readings a second.
LIMITS_GB = {("flash-saver", 30): 0.4, ("flash-saver", 600): 1.5}


class Afternoon(VirtualLoop):
    """Virtual time, with what other threads do done at once: a commit takes no time, and none is missed."""

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> "asyncio.Future[Any]":
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:
            future.set_exception(error)
        return future


class Plant:
    """Frames of devices whose values are random (see VALUES)."""

    def __init__(self, shape: Shape, kind: Type, clock: Clock) -> None:
        self._clock, self._count = clock, shape.tags
        tags = tuple(Tag(f"t{i:03d}", kind, kind) for i in range(shape.tags))
        self.tables = [TagTable(f"unit{i:03d}", tags) for i in range(shape.devices)]
        self._tags = pack(f"<{shape.tags}I", *range(shape.tags))
        self._values = _floats if kind is Type.FLOAT64 else _words
        self._chance = random.Random(1)

    def poll(self, device: int) -> Frame:
        """The next frame of a device."""
        table, moment = self.tables[device], self._clock.moment()
        # A poll's reply came a moment before.
        return Frame(
            table.device, table.hash, self._count, self._clock.boot, moment.mono_us, moment.wall_us, self._tags,
            pack("<q", moment.wall_us - 1234), bytes(4), self._values(self._chance, self._count),
        )  # fmt: skip


def _floats(chance: random.Random, count: int) -> bytes:
    """Values of 128 to 256, evenly: the low 52 bits of each are random."""
    data = bytearray(chance.randbytes(8 * count))
    data[7::8] = b"\x40" * count
    data[6::8] = data[6::8].translate(HIGH_SIX)
    return bytes(data)


def _words(chance: random.Random, count: int) -> bytes:
    data = bytearray(8 * count)
    data[0::8], data[1::8] = chance.randbytes(count), chance.randbytes(count)
    return bytes(data)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a stretch of time cost."""

    written_bytes: int
    seconds: float
    readings: int
    commits: int
    where: str

    @property
    def gb_a_day(self) -> float:
        """Scaled from the stretch to a day."""
        return self.written_bytes / self.seconds * DAY_S / GB


def settings_of(policy: str, folder: Path) -> BufferSettings:
    """As a configuration with this policy has them."""
    usual = BufferSettings(folder)
    return BufferSettings(folder, POLICIES_S[policy], POLICY_READINGS.get(policy, usual.commit_readings))


class Life:
    """A buffer under load on a disk: polls, commits, a broker that acknowledges, gaps now and then."""

    def __init__(self, counter: Counter, shape: Shape, policy: str, kind: Type, clock: Clock, real: bool) -> None:
        self._counter, self._shape, self._real = counter, shape, real
        self._plant = Plant(shape, kind, clock)
        self._clock = clock
        settings = settings_of(policy, counter.folder / "state")
        self._buffer = Buffer.open(settings, clock, ["cloud"])
        self._readings = self._commits = 0

    async def run(self) -> Spent:
        """Warm up, measure."""
        for table in self._plant.tables:
            self._buffer.know(table)
        self._buffer.listen(self._committed)
        await self._buffer.start()
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._device(i)) for i in range(self._shape.devices)]
            tasks.append(group.create_task(self._each(GAP_S, self._gap)))
            if not self._real:
                tasks.append(group.create_task(self._each(1.0, lambda: self._counter.second(loop.time()))))
                tasks.append(group.create_task(self._each(FLUSH_S, self._counter.flush)))
            await asyncio.sleep(self._shape.warm_up_s)
            before = (self._counter.written(), self._readings, self._commits)
            await asyncio.sleep(self._shape.measured_s)
            after = (self._counter.written(), self._readings, self._commits)
            for task in tasks:
                task.cancel()
        await self._buffer.close()
        written, readings, commits = (b - a for a, b in zip(before, after, strict=True))
        return Spent(written, self._shape.measured_s, readings, commits, self._counter.where)

    async def _device(self, number: int) -> None:
        """Devices take turns within the interval, as the poller has it."""
        await asyncio.sleep(INTERVAL_S * number / self._shape.devices)
        while True:
            await self._buffer.put(self._plant.poll(number))
            await asyncio.sleep(INTERVAL_S)

    async def _each(self, seconds: float, act: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(seconds)
            act()

    def _gap(self) -> None:
        now_us = self._clock.now_us()
        self._buffer.tell(Gap(Why.DEVICE_DOWN, now_us, now_us, 30, "exact", device=self._plant.tables[0].device))

    def _committed(self, committed: Committed) -> None:
        self._commits += 1
        self._readings += sum(frame.count for frame in committed.frames)
        loop = asyncio.get_running_loop()
        frames_a_message = max(1, MESSAGE_READINGS // self._shape.tags)
        for first in range(committed.first, committed.last + 1, frames_a_message):
            span = (first, min(committed.last, first + frames_a_message - 1))
            loop.call_later(PUBACK_S, self._buffer.acknowledge, "cloud", committed.epoch, span, WINDOW)


def live(shape: Shape, policy: str, kind: Type = Type.FLOAT64, real: bool = False) -> Spent:
    """One stretch on a disk of its own."""
    with disk() as counter:
        if real:
            return asyncio.run(Life(counter, shape, policy, kind, Clock(source=Source.SYSTEM), real).run())
        loop = Afternoon()
        clock = Clock(lambda: BUILT_US + round(loop.now_s * 1e6), lambda: round(loop.now_s * 1e6))
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(Life(counter, shape, policy, kind, clock, real).run())


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured of one policy under one load."""

    policy: str
    shape: Shape
    kind: Type
    spent: Spent

    @property
    def limit_gb(self) -> float | None:
        """What it may come to; None where nothing is claimed."""
        return LIMITS_GB.get((self.policy, self.shape.readings_s)) if self.kind is Type.FLOAT64 else None

    @property
    def holds(self) -> bool:
        """Whether the claim does, if there is one."""
        return self.limit_gb is None or self.spent.gb_a_day <= self.limit_gb

    def figures(self) -> list[Figure]:
        """Bytes of each reading, and GB of each day."""
        name = f"{self.policy}, {self.shape.readings_s:,}/s, {VALUES[self.kind]}"
        return [
            Figure(f"disk, {name}", self.spent.written_bytes / self.spent.readings, "bytes a reading"),
            Figure(f"wear, {name}", self.spent.gb_a_day, "GB a day"),
        ]

    def __str__(self) -> str:
        each = self.spent.written_bytes / max(1, self.spent.commits)
        words = f"{self.policy} at {self.shape.readings_s:,} readings/s, {VALUES[self.kind]}"
        limit = "" if self.limit_gb is None else f" (at most {self.limit_gb:g})"
        return (
            f"  {'ok  ' if self.holds else 'FAIL'}  {words}: {self.spent.gb_a_day:.2f} GB a day{limit}, "
            f"{self.spent.commits} commits of {each / 1000:.1f} kB, {self.spent.where}"
        )


def points(rate: int | None = None, chosen: str | None = None, real_s: float | None = None) -> Iterator[Point]:
    """All of them, or those of a rate or a policy, one by one."""
    for shape in SHAPES:
        for policy in POLICIES_S:
            if rate not in (None, shape.readings_s) or chosen not in (None, policy):
                continue
            asked = shape if real_s is None else replace(shape, measured_s=real_s, warm_up_s=min(60.0, real_s))
            for kind in VALUES if policy == SPARING else (Type.FLOAT64,):
                yield Point(policy, shape, kind, live(asked, policy, kind, real_s is not None))


def measure() -> tuple[list[Figure], bool]:
    """All figures of wear; whether what is claimed holds. Prints a line for each point."""
    figures, holds = [], True
    for point in points():
        print(point, flush=True)
        figures += point.figures()
        holds = holds and point.holds
    return figures, holds


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wear")
    parser.add_argument("--rate", type=int, choices=[shape.readings_s for shape in SHAPES])
    parser.add_argument("--policy", choices=POLICIES_S)
    parser.add_argument("--real", type=float, metavar="SECONDS", help="at a real pace, for so long each")
    given = parser.parse_args()
    holds = True
    for point in points(given.rate, given.policy, given.real):
        print(point, flush=True)
        holds = holds and point.holds
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
