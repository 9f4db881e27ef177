"""Bit rot: one bit of a buffer that lies there is flipped, anywhere; then it is started, scrubbed and read.

Of each flip: the start works and goes on with new numbers; every frame that is read is the one that was put, under its
tag table; numbers that are not read are closed by a row; what lies inside a block's bytes is found.
"""

import asyncio
import logging
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.adversity.pages import Piece, pieces
from tests.buffer.world import World, everything
from tidegate.buffer.buffer import Buffer
from tidegate.model.frame import Frame, Kind
from tidegate.model.gap import Gap, Why

Key = tuple[str, int]

MEMORY = Path("/dev/shm")
JOBS = 2
# Blocks take more than a page, and a page of the tree leads to four of them or five. A segment is a fifth of what it is
# in life, and holds more than a thousand blocks.
FRAMES_A_BLOCK = 6
SETTINGS = {"segment_bytes": 1536 << 10, "quota_bytes": 64 << 20, "commit_interval_s": 0.002}
BLOCKS = 3400
CASE_DEADLINE_S = 60.0
# Shares of the flips: a sealed segment, the newest one with its journal, the rest control.db.
SEALED, NEWEST = 0.5, 0.35


@dataclass(frozen=True, slots=True)
class Template:
    """A buffer as a kill left it: what was put, and where the bytes of its blocks lie."""

    folder: Path
    now_us: int
    put: dict[Key, bytes]
    pieces: tuple[Piece, ...]

    def files(self, random: Random) -> list[Path]:
        """The files of which one is hit."""
        segments = sorted((self.folder / "segments").glob("*.db"), key=lambda p: int(p.stem.split("-")[1]))
        *sealed, newest = segments
        drawn = random.random()
        if drawn < SEALED:
            return [random.choice(sealed)]
        if drawn < SEALED + NEWEST:
            return [newest, newest.with_name(newest.name + "-wal")]
        control = self.folder / "control.db"
        return [control, control.with_name(control.name + "-wal")]


@dataclass(frozen=True, slots=True)
class Flip:
    """One flip and what came of it. `block`: it lay in a block's bytes. `kept` of `had` frames of its segment."""

    where: str
    block: bool
    found: bool
    kept: int
    had: int
    wrong: tuple[str, ...]


async def make(folder: Path) -> tuple[World, dict[Key, bytes]]:
    """The buffer, killed while its newest segment has a journal."""
    world = World(folder)
    put: dict[Key, bytes] = {}
    async with world.running(**SETTINGS) as buffer:
        for block in range(BLOCKS):
            frames = [world.frame(block * FRAMES_A_BLOCK + i) for i in range(FRAMES_A_BLOCK)]
            numbers = [await buffer.put(frame) for frame in frames]
            await buffer.flush()
            put |= {(buffer.epoch, await n): frame.encode() for n, frame in zip(numbers, frames, strict=True)}
            if block % 50 == 49:
                buffer.acknowledge("cloud", buffer.epoch, (1, buffer.last - 100), messages_max=1)
        return world.killed(), put


def template(folder: Path) -> Template:
    """Make it in a folder."""
    world, put = asyncio.run(make(folder / "made"))
    segments = sorted((world.folder / "segments").glob("*.db"))
    return Template(world.folder, world.now_us, put, tuple(piece for path in segments for piece in pieces(path)))


def flip(made: Template, seed: str) -> Flip:
    """Flip one bit of a copy, and see what becomes of it."""
    random = Random(seed)
    files = [path for path in made.files(random) if path.exists()]
    sizes = [path.stat().st_size for path in files]
    path = random.choices(files, sizes)[0]
    at, bit = random.randrange(path.stat().st_size), random.randrange(8)
    hit = next((p for p in made.pieces if p.path == path and p.offset <= at < p.offset + p.size), None)
    folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="tidegate-rot-"))
    try:
        state = folder / "state"
        shutil.copytree(made.folder, state)
        with (state / path.relative_to(made.folder)).open("r+b") as file:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << bit]))
        wrong, got, found = asyncio.run(_live(state, made))
    except Exception as error:
        wrong, got, found = [f"{type(error).__name__}: {error}"], set(), False
    finally:
        shutil.rmtree(folder)
    kept, had = _share(made, path, got)
    return Flip(f"{seed}: {path.name} byte {at} bit {bit}", hit is not None, found, kept, had, tuple(wrong))


def _share(made: Template, path: Path, got: set[Key]) -> tuple[int, int]:
    """How many frames of the segment that was hit came, of how many."""
    if path.parent.name != "segments":
        return 0, 0
    name = path.name.removesuffix("-wal").removesuffix(".db")
    epoch, first = name.split("-")[0], int(name.split("-")[1])
    firsts = sorted(int(p.stem.split("-")[1]) for p in (made.folder / "segments").glob("*.db"))
    last = next((one - 1 for one in firsts if one > first), 10**12)
    had = {key for key in made.put if key[0] == epoch and first <= key[1] <= last}
    return len(had & got), len(had)


async def _live(state: Path, made: Template) -> tuple[list[str], set[Key], bool]:
    """Start, scrub, read, put one more: what is wrong, which frames came, whether the flip was found."""
    world = World(state)
    world.now_us = made.now_us + 10**9
    wrong: list[str] = []
    async with asyncio.timeout(CASE_DEADLINE_S), world.running(**SETTINGS) as buffer:
        number = await (await buffer.put(world.frame(999_999)))
        if (buffer.epoch, number) in made.put:
            wrong.append(f"number {number} of {buffer.epoch} is used twice")
        passes = buffer.scrub().passes
        while buffer.status().scrub.passes == passes:  # noqa: ASYNC110  # nobody announces it
            await asyncio.sleep(0.005)
        await buffer.flush()
        read = await _read(buffer)
        closed = {(g.epoch, n): g.why for f in read.values() if f.kind == Kind.GAP
                  for g in [Gap.decode(f.side)] for a, b in g.frames for n in range(a, b + 1)}  # fmt: skip
        got = {key for key, frame in read.items() if key in made.put and frame.encode() == made.put[key]}
        wrong += [f"{key} is another frame" for key, frame in read.items()
                  if key in made.put and frame.kind == Kind.DATA and key not in got]  # fmt: skip
        missing = {key for key in made.put.keys() - got if key not in closed}
        # Of the last commit nobody can tell whether it was cut off; the crash window tells of its time.
        if any(epoch == buffer.epoch for epoch, _ in made.put):
            wrong += [f"{key} is missing, and no row says why" for key in missing]
        else:
            wrong += [
                f"{key} is missing, and no row says why" for key in missing - set(list(made.put)[-FRAMES_A_BLOCK:])
            ]
        wrong += await _tables(buffer, world, read)
        damaged = buffer.status().scrub.damaged
    aside = state / "quarantine"
    found = damaged > 0 or (aside.is_dir() and any(aside.iterdir())) or Why.CORRUPT in closed.values()
    return wrong[:10], got, found


async def _read(buffer: Buffer) -> dict[Key, Frame]:
    found: dict[Key, Frame] = {}
    for extent in buffer.extents():
        found |= {(extent.epoch, number): frame for number, frame in await everything(buffer, extent.epoch)}
    return found


async def _tables(buffer: Buffer, world: World, read: dict[Key, Frame]) -> list[str]:
    """The tables under which the frames are published, as a start that does not know them itself finds them."""
    for key in {frame.table for frame in read.values() if frame.kind == Kind.DATA}:
        try:
            buffer._tables.clear()  # The world made it known, which a gateway with another configuration does not.
            if (await buffer.table(key)).document != world.table.document:
                return ["a tag table is not what was written"]
        except Exception as error:
            return [f"a tag table can't be read: {error!r}"]
    return []


def _flips(made: Template, seeds: list[str]) -> list[Flip]:
    logging.disable(logging.CRITICAL)
    return [flip(made, seed) for seed in seeds]


def campaign(flips: int, folder: Path, seed: int) -> list[Flip]:
    """Make the buffer, flip so many bits, one at a time."""
    made = template(folder)
    seeds = [f"{seed}/{number}" for number in range(flips)]
    with ProcessPoolExecutor(JOBS) as pool:
        done = list(pool.map(_flips, [made] * JOBS, [seeds[i::JOBS] for i in range(JOBS)]))
    return [one for part in done for one in part]
