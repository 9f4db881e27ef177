"""Power cuts: a real writer's operations are recorded, and many states that a cut could leave are started again.

N [--seed S] [--keep FOLDER]. Of each state: the start succeeds; what was committed is there with its values, or closed
by a row that may close it; no cursor is ahead of what was acknowledged; no number is given twice; verify is clean.
"""

import argparse
import asyncio
import logging
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.adversity.disk import Disk, Op, ops
from tests.adversity.shim import build, under
from tests.buffer.world import NOW_US, World, data, everything
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.verify import verify
from tidegate.model.gap import Why
from tidegate.proof import Ranges

ROOT = Path(__file__).parent.parent.parent
MEMORY = Path("/dev/shm")
JOBS = 2
START_DEADLINE_S = 20.0
# How near to a segment's making, renaming or unlinking half of the cuts are.
TURN_OPS = 25


@dataclass(slots=True)
class Promised:
    """What the writer said until a moment."""

    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    acknowledged: dict[str, Ranges] = field(default_factory=dict)
    damaged: dict[str, Ranges] = field(default_factory=dict)
    floors: dict[str, int] = field(default_factory=dict)

    def hear(self, line: str) -> None:
        what, epoch, *numbers = line.split()
        first, *rest = map(int, numbers)
        if what == "commit":
            self.committed[epoch, first] = rest[0]
        elif what == "floor":
            self.floors[epoch] = first
        else:
            spans = self.acknowledged if what == "ack" else self.damaged
            spans.setdefault(epoch, Ranges()).add(first, rest[0])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some states: how many, what was wrong, committed frames looked at, and closed by a row."""

    states: int
    wrong: tuple[str, ...]
    frames: int
    closed: int


def record(folder: Path) -> Path:
    """Run the writer twice under the recorder; returns the log."""
    log, writing = folder / "log", folder / "w"
    writing.mkdir()
    environment = under(build("recorder", folder), REC_LOG=log, REC_BELOW=writing)
    for run in ("first", "second"):
        command = [sys.executable, "-m", "tests.adversity.power_writer", str(writing), run]
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    return log


def cuts(log: Path, chosen: list[int], seed: int) -> Iterator[tuple[int, dict[str, bytes], Promised, dict[str, int]]]:
    """For each chosen operation: files as a cut before it may leave them, what was promised, and floors said next."""
    disk, promised, listed = Disk(), Promised(), list(ops(log))
    coming = _floors(listed)
    at = 0
    for cut in chosen:
        for op in listed[at:cut]:
            _do(op, disk, promised)
        at = cut
        yield cut, disk.after_cut(Random(f"{seed}/{cut}/{chosen.count(cut)}")), promised, coming[cut]


def _do(op: Op, disk: Disk, promised: Promised) -> None:
    if not op.path.endswith("/mark"):
        disk.do(op)
    elif op.kind == "W":
        for line in op.data.decode().splitlines():
            promised.hear(line)


def _floors(listed: list[Op]) -> list[dict[str, int]]:
    """For each operation, the floors that the writer says next: a removal under way may have raised them already."""
    coming: dict[str, int] = {}
    found = [coming]
    for op in reversed(listed):
        if op.path.endswith("/mark") and op.kind == "W":
            for line in op.data.decode().splitlines():
                if line.startswith("floor"):
                    _, epoch, number = line.split()
                    coming = {**coming, epoch: int(number)}
        found.append(coming)
    return found[::-1]


def try_states(log: Path, chosen: list[int], seed: int) -> Outcome:
    """Start from a state of each chosen cut. What the starts find wrong with it is not logged: it was meant."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return _try_states(log, chosen, seed)
    finally:
        logging.disable(disabled)


def _try_states(log: Path, chosen: list[int], seed: int) -> Outcome:
    wrong: list[str] = []
    frames = closed = 0
    for cut, files, promised, coming in cuts(log, chosen, seed):
        folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None, prefix="tidegate-power-"))
        try:
            _lay(folder, files)
            looked, rows, faults = asyncio.run(_start(folder / "state", promised, coming))
            frames += looked
            closed += rows
            faults += verify(folder / "state", running=False).damage
        except Exception as error:
            faults = [f"{type(error).__name__}: {error}"]
        finally:
            shutil.rmtree(folder)
        wrong += [f"cut {cut}: {fault}" for fault in faults]
    return Outcome(len(chosen), tuple(wrong), frames, closed)


def _lay(folder: Path, files: dict[str, bytes]) -> None:
    for name in ("state/segments", "state/quarantine"):
        (folder / name).mkdir(parents=True)
    for path, content in files.items():
        # The writer's folder is `w`.
        (folder / path.split("/w/", 1)[1]).write_bytes(content)


async def _start(folder: Path, promised: Promised, coming: dict[str, int]) -> tuple[int, int, list[str]]:
    world = World(folder)
    world.now_us = NOW_US + 10**9
    faults: list[str] = []
    async with asyncio.timeout(START_DEADLINE_S), world.running() as buffer:
        kept: dict[tuple[str, int], int] = {}
        for extent in buffer.extents():
            for number, frame in await everything(buffer, extent.epoch):
                value = int.from_bytes(frame.values[:8], "little") if frame.count else -1
                kept[extent.epoch, number] = value
        faults += [f"{key} has another value" for key in kept.keys() & promised.committed.keys()
                   if kept[key] != promised.committed[key]]  # fmt: skip
        missing = promised.committed.keys() - kept.keys()
        rows = await _excused(buffer, missing, promised, coming)
        faults += [f"{key} was committed and is gone" for key in sorted(missing - rows)]
        faults += _ahead(buffer, promised, missing)
        number = await (await buffer.put(world.frame(999_999)))
        if (buffer.epoch, number) in promised.committed:
            faults.append(f"number {number} of {buffer.epoch} is used twice")
        assert data(await everything(buffer))[number].count
    return len(promised.committed), len(rows), faults


async def _excused(
    buffer: Buffer, missing: set[tuple[str, int]], promised: Promised, coming: dict[str, int]
) -> set[tuple[str, int]]:
    """Numbers that a row closes which may: removed for the quota by then, or damaged by hand."""
    found = set()
    for epoch in {epoch for epoch, _ in missing}:
        numbers = Ranges((n, n) for e, n in missing if e == epoch)
        # The first epoch may have been removed wholly before its last floor was said.
        floor = max(promised.floors.get(epoch, 1), coming.get(epoch, 10**9 if epoch in promised.floors else 1))
        for ranges, why in await buffer.gone("cloud", epoch, numbers):
            for first, last in ranges:
                for number in range(first, last + 1):
                    hurt = promised.damaged.get(epoch, Ranges()).within(number, number)
                    if (why is Why.EVICTED and number < floor) or (why is Why.CORRUPT and hurt):
                        found.add((epoch, number))
    return found


def _ahead(buffer: Buffer, promised: Promised, missing: set[tuple[str, int]]) -> list[str]:
    """A cursor may cover what was acknowledged and what is gone, nothing else."""
    faults = []
    for extent in buffer.extents():
        covered = buffer.cursor("cloud", extent.epoch).within(extent.first, extent.last)
        early = covered.without(promised.acknowledged.get(extent.epoch, Ranges()))
        early = early.without(Ranges((n, n) for e, n in missing if e == extent.epoch))
        if early:
            faults.append(f"epoch {extent.epoch}: {early.pairs} count as acknowledged and were not")
    return faults


def choose(listed: Sequence[Op], states: int, random: Random) -> list[int]:
    """Operations to cut before, ascending: half of them anywhere, half where segments come, go and change their place.

    A removal or a rename in the wrong order shows within a few operations, and there are thousands of plain writes.
    """
    turning = [at for at, op in enumerate(listed) if op.kind in "CUR" and op.path.endswith(".db")]
    near = [random.choice(turning) + random.randint(-TURN_OPS, TURN_OPS) for _ in range(states // 2)]
    anywhere = random.choices(range(10, len(listed) + 1), k=states - len(near))
    return sorted(min(max(10, cut), len(listed)) for cut in (*near, *anywhere))


def campaign(states: int, folder: Path, seed: int) -> tuple[Outcome, int]:
    """Record, cut, start; returns the outcome of all states, and how many operations were recorded."""
    log = record(folder)
    listed = list(ops(log))
    total = len(listed)
    chosen = choose(listed, states, Random(seed))
    parts = [chosen[i::JOBS] for i in range(JOBS)]
    with ProcessPoolExecutor(JOBS) as pool:
        done = list(pool.map(try_states, [log] * JOBS, parts, range(seed, seed + JOBS)))
    wrong = tuple(w for one in done for w in one.wrong)
    return Outcome(states, wrong, sum(o.frames for o in done), sum(o.closed for o in done)), total


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("states", type=int, nargs="?", default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="tidegate-power-"))
    folder.mkdir(exist_ok=True)
    began = time.monotonic()
    outcome, total = campaign(asked.states, folder, asked.seed)
    for line in outcome.wrong[:20]:
        print(f"FAIL  {line}")
    print(f"{outcome.states} states of {total} recorded operations, {outcome.frames} committed frames looked for, "
          f"{outcome.closed} of them closed by a row, {time.monotonic() - began:.0f} s")  # fmt: skip
    print(f"{'FAIL' if outcome.wrong else 'ok'}    {len(outcome.wrong)} faults (seed {asked.seed})")
    if asked.keep is None:
        shutil.rmtree(folder)
    sys.exit(bool(outcome.wrong))


if __name__ == "__main__":
    main()
