"""A buffer on a disk that fails, for faults.c: FOLDER CONTROL. Reads cases from stdin, says what became of each.

    a case     JSON [fault, number, lasting_s]: the number-th call since before the start fails, once (0.0) or so long
    its buffer one that was killed: sealed segments, a newest one with its journal, a cursor behind; small segments
    its life   start (again while it is refused), frames put one by one, delivered and acknowledged; the fault; well?

An answer is a line of JSON: the fields of Answer. What the files then hold is for who reads it (`FOLDER/<case>`).
"""

import asyncio
import contextlib
import gc
import json
import logging
import os
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from tests.adversity.faulty import Fault, FaultyDisk
from tests.buffer.world import World
from tidegate.buffer.buffer import Buffer
from tidegate.errors import BufferFault, Shed
from tidegate.model.frame import Frame, Kind
from tidegate.model.gap import Gap

Key = tuple[str, int]

TEMPLATE_FRAMES = 70
SETTINGS = {
    "segment_bytes": 16 << 10,
    "quota_bytes": 600 << 10,
    "commit_readings": 20,  # A frame: each is a commit of its own.
    "cursor_interval_s": 0.02,
    "commit_interval_s": 0.005,
}
FRAMES_MAX = 600  # By then the 200th call of every kind was made.
AFTER_FRAMES = 3
PAGE_BYTES = 8 << 10
WELL_S_MAX = 15.0  # How long it is looked at; the limit is the reader's.
LOOK_S = 0.005
TRY_AGAIN_S = 0.1
PUT_PAUSE_S = 0.02
OPENING = ThreadPoolExecutor(1)


@dataclass(slots=True)
class Answer:
    """What became of a case. `said` and `delivered` are [epoch, number, value]; `closed` [epoch, first, last, why]."""

    fault: int
    number: int
    lasting_s: float
    failed: int = 0
    refused_starts: int = 0
    told: bool = False
    well_s: float = -1.0
    shed: int = 0
    said: list[tuple[str, int, int]] = field(default_factory=list)
    delivered: list[tuple[str, int, int]] = field(default_factory=list)
    closed: list[tuple[str, int, int, str]] = field(default_factory=list)
    left: tuple[int, int, int] = (0, 0, 0)  # descriptors, threads, tasks that are still there after it
    rss_kb: int = 0
    error: str = ""


def value_of(frame: Frame) -> int:
    """What tells frames of this world apart."""
    return int.from_bytes(frame.values[:8], "little")


class Case:
    """One life of a buffer under one fault."""

    def __init__(self, world: World, disk: FaultyDisk, answer: Answer, known: dict[Key, int]) -> None:
        self.world, self.disk, self.answer = world, disk, answer
        self.said = dict(known)
        self._ends: float | None = None
        self._over_s: float | None = None
        self._buffer: Buffer | None = None
        self._at: dict[str, int] = {}

    async def run(self) -> None:
        """All of it; raises what the buffer should not have."""
        answer = self.answer
        self.disk.fail(Fault(answer.fault), answer.number, 0 if answer.lasting_s else 1)
        watching = asyncio.create_task(self._watch())
        publishing: asyncio.Task[None] | None = None
        try:
            buffer = self._buffer = await self._start()
            publishing = asyncio.create_task(self._publish(buffer))
            await self._put(buffer)
            await self._well(buffer)
        finally:
            self.disk.work()
            for task in (watching, publishing):
                if task is not None:
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
            if self._buffer is not None:
                await self._buffer.close()
        answer.failed = self.disk.failed
        answer.said = [(*key, value) for key, value in self.said.items()]

    async def _start(self) -> Buffer:
        begun_s = time.monotonic()
        while True:
            try:
                buffer = await asyncio.get_running_loop().run_in_executor(OPENING, partial(self.world.open, **SETTINGS))
                break
            except BufferFault:
                # Its process would end with these words, and be started again.
                self.answer.refused_starts += 1
                self.answer.told = True
                if time.monotonic() - begun_s > WELL_S_MAX:
                    raise
                await asyncio.sleep(TRY_AGAIN_S)
        await buffer.start()
        return buffer

    async def _watch(self) -> None:
        """Notes when the fault begins, ends it in its time, and whether the buffer's status tells of it."""
        while True:
            now_s = time.monotonic()
            if self._over_s is None and self.disk.failed:
                self._ends = self._ends or now_s + self.answer.lasting_s
                if now_s >= self._ends:
                    if self.answer.lasting_s:
                        self.disk.work()
                    self._over_s = time.monotonic()
            if self._buffer is not None and self._buffer.status().fault:
                self.answer.told = True
            await asyncio.sleep(LOOK_S)

    async def _put(self, buffer: Buffer) -> None:
        """Frames, one at a time, until the fault is over, and a few more."""
        put: list[tuple[int, asyncio.Future[int]]] = []
        after = 0
        for value in range(FRAMES_MAX):
            future = await buffer.put(self.world.frame(value))
            future.add_done_callback(lambda future, value=value: self._hear(buffer, value, future))  # type: ignore[misc]
            put.append((value, future))
            await asyncio.wait({future}, timeout=PUT_PAUSE_S)
            after += self._over_s is not None
            if after >= AFTER_FRAMES:
                break
        self._over_s = self._over_s or time.monotonic()

    def _hear(self, buffer: Buffer, value: int, future: "asyncio.Future[int]") -> None:
        if future.cancelled():
            return
        if isinstance(future.exception(), Shed):
            self.answer.shed += 1
            return
        key = (buffer.epoch, future.result())
        if key in self.said:
            raise AssertionError(f"{key} was given twice")
        self.said[key] = value

    async def _publish(self, buffer: Buffer) -> None:
        """Delivers every page that can be read, and acknowledges it: a target whose broker never fails."""
        while True:
            for extent in buffer.extents():
                while await self._page(buffer, extent.epoch, extent.first, extent.last):
                    pass
            await asyncio.sleep(LOOK_S)

    async def _page(self, buffer: Buffer, epoch: str, first: int, last: int) -> bool:
        holes = buffer.cursor("cloud", epoch).holes(max(first, self._at.get(epoch, 1)), last)
        if not holes:
            return False
        at, end = holes.pairs[0]
        try:
            page = await buffer.read(epoch, at, end, PAGE_BYTES)
        except BufferFault:
            self.answer.told = True
            await asyncio.sleep(TRY_AGAIN_S)
            return False
        for number, frame in page.frames:
            if frame.kind == Kind.GAP:
                gap = Gap.decode(frame.side)
                self.answer.closed += [(gap.epoch, a, b, gap.why.value) for a, b in gap.frames]
            else:
                self.answer.delivered.append((epoch, number, value_of(frame)))
        if page.upto >= at:
            buffer.acknowledge("cloud", epoch, (at, page.upto), messages_max=4)
        self._at[epoch] = page.upto + 1
        return True

    async def _well(self, buffer: Buffer) -> None:
        """Committed, drained, and the status says nothing: how long after the fault's end."""
        assert self._over_s is not None
        async with asyncio.timeout(WELL_S_MAX):
            await buffer.flush()
            while buffer.status().fault or self._waiting(buffer):  # noqa: ASYNC110  # nobody announces it
                await asyncio.sleep(LOOK_S)
        self.answer.well_s = time.monotonic() - self._over_s

    def _waiting(self, buffer: Buffer) -> bool:
        return any(count for _, count in buffer.status().unacknowledged)


async def template(folder: Path) -> tuple[World, dict[Key, int]]:
    """A buffer as a kill left it, and what it had said."""
    world = World(folder)
    said: dict[Key, int] = {}
    async with world.running(**SETTINGS) as buffer:
        for value in range(TEMPLATE_FRAMES):
            number = await (await buffer.put(world.frame(10_000 + value)))
            said[buffer.epoch, number] = 10_000 + value
        buffer.acknowledge("cloud", buffer.epoch, (1, 20), messages_max=1)
        async with asyncio.timeout(WELL_S_MAX):
            while buffer.unstored("cloud"):  # noqa: ASYNC110  # nobody announces it
                await asyncio.sleep(LOOK_S)
        killed = world.killed()
    return killed, said


def left() -> tuple[int, int]:
    """Descriptors and threads of this process."""
    return len(os.listdir("/proc/self/fd")), threading.active_count()


def rss_kb() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4


async def one(folder: Path, killed: World, known: dict[Key, int], disk: FaultyDisk, answer: Answer) -> None:
    """One case in a folder of its own, and what it leaves behind in this process."""
    world = World(folder)
    world.now_us = killed.now_us + 10**7
    shutil.copytree(killed.folder, folder)
    gc.collect()
    before = left()
    case = Case(world, disk, answer, known)
    try:
        await case.run()
    except (Exception, asyncio.CancelledError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    del case
    for _ in range(100):
        gc.collect()
        descriptors, threads = (now - then for now, then in zip(left(), before, strict=True))
        answer.left = (descriptors, threads, len(asyncio.all_tasks()) - 1)
        if max(answer.left) <= 0:
            break
        await asyncio.sleep(LOOK_S)
    answer.rss_kb = rss_kb()


async def main(folder: Path, disk: FaultyDisk) -> None:
    """Cases from stdin, answers to stdout."""
    # This thread stays: not to be taken for one that was left behind.
    await asyncio.get_running_loop().run_in_executor(OPENING, time.sleep, 0)
    killed, known = await template(folder / "template")
    for at, line in enumerate(sys.stdin):
        fault, number, lasting_s = json.loads(line)
        answer = Answer(fault, number, lasting_s)
        await one(folder / str(at), killed, known, disk, answer)
        print(json.dumps(asdict(answer)), flush=True)


if __name__ == "__main__":
    # What the buffer logs of its faults was meant.
    logging.disable(int(os.environ.get("QUIET", logging.CRITICAL)))
    asyncio.run(main(Path(sys.argv[1]), FaultyDisk(Path(sys.argv[2]))))
