"""A world for the buffer: a clock that is moved by hand, a table, frames that can be told apart, short opening."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from struct import pack

from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import BUILT_US, Clock
from tidegate.model.frame import Frame, Kind
from tidegate.model.gap import Gap
from tidegate.model.tag import Tag, TagTable, Type

READINGS = 20
NOW_US = BUILT_US + 1_000_000_000_000


class World:
    """A folder, a clock, and what it takes to open a buffer in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_us = NOW_US
        self.box = "box"
        self.table = TagTable("meter", tuple(Tag(f"t{i}", Type.INT64, Type.INT64) for i in range(READINGS)))
        self.clock = self.new_clock()

    def new_clock(self) -> Clock:
        return Clock(lambda: self.now_us, lambda: self.now_us - NOW_US)

    def settings(self, **changed: float) -> BufferSettings:
        wanted: dict[str, float] = {"commit_interval_s": 0.01, "quota_bytes": 64 << 20, **changed}
        return BufferSettings(self.folder, **wanted)  # type: ignore[arg-type]  # names checked by the call

    def frame(self, value: int) -> Frame:
        """A frame that is known again by its value; incompressible enough to fill segments."""
        noise = Random(value).randbytes(8 * (READINGS - 1))
        self.now_us += 1000
        return Frame(
            "meter", self.table.hash, READINGS, self.clock.boot, self.clock.mono_us(), self.now_us,
            pack(f"<{READINGS}I", *range(READINGS)), pack("<q", self.now_us), bytes(4), pack("<q", value) + noise,
        )  # fmt: skip

    def open(self, *targets: str, **changed: float) -> Buffer:
        self.clock = self.new_clock()
        buffer = Buffer.open(self.settings(**changed), self.clock, targets or ("cloud",), lambda: self.box)
        buffer.know(self.table)
        return buffer

    @asynccontextmanager
    async def running(self, *targets: str, **changed: float) -> AsyncIterator[Buffer]:
        buffer = self.open(*targets, **changed)
        await buffer.start()
        try:
            yield buffer
        finally:
            await buffer.close()

    def killed(self, name: str = "killed") -> "World":
        """The same folder as a kill at this moment leaves it: a copy, while the first world goes on."""
        other = World(self.folder.with_name(self.folder.name + name))
        shutil.copytree(self.folder, other.folder)
        other.now_us, other.box = self.now_us, self.box
        return other


async def everything(buffer: Buffer, epoch: str = "", bytes_max: int = 1 << 20) -> list[tuple[int, Frame]]:
    """All frames of an epoch (the current one) with their numbers, read page by page."""
    extent = next(e for e in buffer.extents() if e.epoch == (epoch or buffer.epoch))
    found: list[tuple[int, Frame]] = []
    at = extent.first
    while at <= extent.last:
        page = await buffer.read(extent.epoch, at, extent.last, bytes_max)
        assert page.upto >= at
        found += page.frames
        at = page.upto + 1
    return found


def data(frames: list[tuple[int, Frame]]) -> dict[int, Frame]:
    """The frames with readings, by number."""
    return {number: frame for number, frame in frames if frame.kind == Kind.DATA}


def gaps(frames: list[tuple[int, Frame]]) -> list[Gap]:
    """What the gap frames among them say."""
    return [Gap.decode(frame.side) for _, frame in frames if frame.kind == Kind.GAP]


def damage(path: Path, block: int) -> None:
    """Flip one bit in the data of a block of a segment: wherever it lies, since SQLite leaves old copies about."""
    with closing(sqlite3.connect(path)) as db:
        row = db.execute("SELECT data FROM blocks ORDER BY first LIMIT 1 OFFSET ?", (block,)).fetchone()
    content = bytearray(path.read_bytes())
    # The beginning of the data lies within one page.
    start, at = row[0][:64], -1
    while (at := content.find(start, at + 1)) >= 0:
        content[at + 32] ^= 0x40
    path.write_bytes(content)


SMALL = {"segment_bytes": 16 << 10}


def segments(world: World) -> list[Path]:
    return sorted((world.folder / "segments").glob("*.db"), key=lambda p: int(p.stem.split("-")[1]))


async def fill(world: World, count: int, start: int = 0, **changed: float) -> None:
    """A clean run that commits `count` frames, one by one."""
    async with world.running(**changed) as buffer:
        for value in range(start, start + count):
            await buffer.put(world.frame(value))
            await buffer.flush()


def restart(world: World) -> tuple[list[Gap], dict[int, object], str, list[int]]:
    """Start once more: gaps announced, data by number, the epoch, and the numbers of a frame put now."""

    async def run() -> tuple[list[Gap], dict[int, object], str, list[int]]:
        async with world.running() as buffer:
            await buffer.flush()
            told = gaps(await everything(buffer))
            kept: dict[int, object] = {}
            for extent in buffer.extents():
                kept.update(data(await everything(buffer, extent.epoch)))
            number = await (await buffer.put(world.frame(999)))
            return told, kept, buffer.epoch, [number]

    return asyncio.run(run())
