"""Numbering again after a restored image, cut off by a kill at any write: each reading has one number, a right one."""

import asyncio
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.adversity.disk import Disk, Op, ops
from tests.adversity.shim import build, under
from tests.buffer.renewal_writer import BEFORE, SETTINGS, SINCE
from tests.buffer.world import NOW_US, World, data, everything, gaps
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.verify import verify
from tidegate.model.gap import Why

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 10.0
# So many writes lie between two kills; which ones differs from run to run.
STEP = 6


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> list[Op]:
    folder = tmp_path_factory.mktemp("renewal")
    (folder / "w").mkdir()
    environment = under(build("recorder", folder), REC_LOG=folder / "log", REC_BELOW=folder / "w")
    command = [sys.executable, "-m", "tests.buffer.renewal_writer", str(folder / "w")]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=60)
    return list(ops(folder / "log"))


def kills(log: list[Op]) -> Iterator[tuple[dict[str, bytes], list[str]]]:
    """Files and marks as a kill leaves them, between the mark that numbering again begins and the end."""
    disk, marks = Disk(), list[str]()
    began = False
    for at, op in enumerate(log):
        if op.path.endswith("/mark"):
            marks += op.data.decode().splitlines()
            began = began or any(mark.startswith("renumber") for mark in marks)
            continue
        disk.do(op)
        # A kill loses nothing that was written: the kernel has it.
        for path in (op.path, str(Path(op.path).parent)):
            disk.do(Op("S", path, 0, b""))
        if began and op.kind != "S" and at % STEP == 0:
            yield disk.after_cut(Random(0)), list(marks)


def lay(folder: Path, files: dict[str, bytes]) -> World:
    (folder / "state" / "segments").mkdir(parents=True)
    for path, content in files.items():
        (folder / path.split("/w/", 1)[1]).write_bytes(content)
    world = World(folder / "state")
    world.now_us = NOW_US + 10**9
    return world


async def delivered(buffer: Buffer) -> tuple[Counter[int], dict[str, list[int]], list[Why]]:
    """What subscribers can get: values, numbers with data by epoch, and gaps."""
    values: Counter[int] = Counter()
    numbers: dict[str, list[int]] = {}
    told: list[Why] = []
    for extent in buffer.extents():
        found = await everything(buffer, extent.epoch)
        numbers[extent.epoch] = list(data(found))
        values.update(int.from_bytes(frame.values[:8], "little") for frame in data(found).values())
        told += [gap.why for gap in gaps(found)]
    return values, numbers, told


async def start_and_look(world: World, marks: list[str]) -> str:
    """The epoch of a start after a kill, which ends when everything that was committed is delivered."""
    committed = {int(mark.split()[3]) for mark in marks if mark.startswith("commit")}
    _, old, first = next(mark for mark in marks if mark.startswith("renumber")).split()
    async with asyncio.timeout(DEADLINE_S), world.running(**SETTINGS) as buffer:
        values, numbers, told = await delivered(buffer)
        while committed - values.keys() or Why.DEVICE_DOWN not in told:
            await asyncio.sleep(0.01)
            values, numbers, told = await delivered(buffer)

        assert {1} == set(values.values())
        assert told.count(Why.DEVICE_DOWN) == 1
        assert len(numbers) == 1 or max(numbers[old]) < int(first)
        return "" if buffer.epoch == old else buffer.epoch


def test_a_kill_at_any_write_gives_no_reading_two_numbers_and_loses_none(log: list[Op], tmp_path: Path) -> None:
    logging.disable(logging.WARNING)
    epochs = []
    for files, marks in kills(log):
        world = lay(tmp_path / str(len(epochs)), files)
        epochs.append(asyncio.run(start_and_look(world, marks)))

        assert [] == verify(world.folder, running=False).damage
    logging.disable(logging.NOTSET)

    assert len(epochs) > 30
    assert "" in epochs
    assert any(epochs)


def test_the_second_start_after_it_knows_too_what_is_not_delivered(log: list[Op], tmp_path: Path) -> None:
    *_, (files, marks) = kills(log)
    world = lay(tmp_path, files)
    asyncio.run(start_and_look(world, marks))

    async def again() -> tuple[Counter[int], dict[str, list[int]], list[Why]]:
        async with world.running(**SETTINGS) as buffer:
            return await delivered(buffer)

    values, numbers, _ = asyncio.run(again())
    old, new = numbers.values()

    assert list(range(1, BEFORE + 1)) == old
    assert BEFORE + SINCE < len(values) == len(old) + len(new)
