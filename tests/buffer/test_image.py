"""A buffer that was killed, and whose newest segment's journal was damaged then: no commit is forgotten silently."""

import asyncio
from pathlib import Path
from struct import unpack_from
from threading import Timer

import pytest

from tests.buffer.world import World, data, everything, gaps
from tidegate.buffer.image import await_bytes, broken_journal
from tidegate.buffer.segment import PAGE_BYTES
from tidegate.model.frame import Frame
from tidegate.model.gap import Why

COMMITS = 40
HEAD, FRAME = 32, 24 + PAGE_BYTES


async def killed_with_a_journal(world: World) -> tuple[World, dict[int, Frame]]:
    """Commits that lie in the journal only, and what was put, by number."""
    put: dict[int, Frame] = {}
    async with world.running() as buffer:
        for value in range(COMMITS):
            frame = world.frame(value)
            put[await (await buffer.put(frame))] = frame
        # One commit of many pages.
        last = [(await buffer.put(frame), frame) for frame in map(world.frame, range(COMMITS, 2 * COMMITS))]
        put |= {await number: frame for number, frame in last}
        return world.killed(), put


def journal(world: World) -> Path:
    (path,) = (world.folder / "segments").glob("*.db-wal")
    return path


def ends(path: Path) -> list[int]:
    """Where the last page of each commit begins, frame by frame."""
    content = path.read_bytes()
    found = range(HEAD, len(content), FRAME)
    return [at for at in found if unpack_from(">I", content, at + 4)[0]]


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


async def after_a_start(world: World) -> tuple[dict[int, Frame], list[tuple[Why, int]], int]:
    """Data of all epochs by number, numbers that gaps close, and how many epochs there are."""
    async with world.running() as buffer:
        await buffer.flush()
        kept: dict[int, Frame] = {}
        closed: list[tuple[Why, int]] = []
        epochs = buffer.extents()
        for extent in epochs:
            found = await everything(buffer, extent.epoch)
            kept = data(found) | kept
            closed += [(gap.why, n) for gap in gaps(found) for a, b in gap.frames for n in range(a, b + 1)]
        return kept, closed, len(epochs)


@pytest.mark.parametrize("offset", [24 + 2000, 0, 5, 9, 17], ids=["page", "number", "size", "salt", "sum"])
def test_a_flip_in_the_journal_costs_one_commit_at_most_and_that_is_named(world: World, offset: int) -> None:
    killed, put = asyncio.run(killed_with_a_journal(world))
    path = journal(killed)
    flip(path, ends(path)[COMMITS // 2] + offset)
    kept, closed, epochs = asyncio.run(after_a_start(killed))

    # The old epoch's numbers; a number of the new one may be the same.
    assert 2 == epochs
    assert len(put.keys() - kept.keys()) <= 1
    assert all((Why.CORRUPT, number) in closed for number in put.keys() - kept.keys())
    assert all(kept[number] == put[number] for number in put.keys() & kept.keys())


@pytest.mark.parametrize("at", [0, 8, 16, 24], ids=["magic", "page size", "salt", "sum"])
def test_a_flip_in_the_journals_head_costs_nothing(world: World, at: int) -> None:
    killed, put = asyncio.run(killed_with_a_journal(world))
    flip(journal(killed), at)
    kept, _, _ = asyncio.run(after_a_start(killed))

    assert put == {number: kept.get(number) for number in put}


def test_a_last_commit_of_which_a_page_is_missing_is_no_end_that_is_proven(world: World) -> None:
    killed, _ = asyncio.run(killed_with_a_journal(world))
    path = journal(killed)
    *_, before, last = ends(path)
    content = bytearray(path.read_bytes())
    content[before + FRAME : before + 2 * FRAME] = bytes(FRAME)
    assert before + FRAME < last
    path.write_bytes(content)
    kept, closed, epochs = asyncio.run(after_a_start(killed))

    # What was committed before is there. A new epoch, since the numbers after it may have been given.
    assert 2 == epochs
    assert ([], set(range(1, COMMITS + 1))) == (closed, set(kept))


def test_a_commit_whose_last_page_never_came_is_none(world: World) -> None:
    killed, _ = asyncio.run(killed_with_a_journal(world))
    path = journal(killed)
    path.write_bytes(path.read_bytes()[: ends(path)[-1]])
    assert "" == broken_journal(path.with_name(path.name.removesuffix("-wal")))
    kept, closed, epochs = asyncio.run(after_a_start(killed))

    assert ([], 1) == (closed, epochs)
    assert set(range(1, COMMITS + 1)) == set(kept)


def test_a_last_page_that_a_kill_kept_from_following_its_head_is_no_damage(world: World) -> None:
    killed, put = asyncio.run(killed_with_a_journal(world))
    path = journal(killed)
    last = ends(path)[-1]
    content = bytearray(path.read_bytes())
    content[last + 24 : last + FRAME] = bytes(PAGE_BYTES)
    path.write_bytes(content)
    kept, closed, epochs = asyncio.run(after_a_start(killed))

    assert ([], 1) == (closed, epochs)
    assert set(range(1, COMMITS + 1)) <= set(kept)
    assert all(kept[number] == put[number] for number in kept.keys() & put.keys() if number <= COMMITS)


@pytest.mark.parametrize("offset", [16, 20, 24, 24 + 511, FRAME - 1], ids=["sum", "sum's end", "first", "mid", "last"])
def test_a_bit_that_changed_in_the_last_page_is_damage(world: World, offset: int) -> None:
    killed, _ = asyncio.run(killed_with_a_journal(world))
    path = journal(killed)
    flip(path, ends(path)[-1] + offset)

    assert "damaged" in broken_journal(path.with_name(path.name.removesuffix("-wal")))


def test_bytes_that_do_not_come_are_waited_for_and_then_given_up(tmp_path: Path) -> None:
    # A folder in the file's place refuses every read.
    path = tmp_path / "refuses"
    path.mkdir()
    assert not await_bytes(path, 0.0)
    repaired = Timer(0.1, lambda: (path.rmdir(), path.write_bytes(b"bytes")))
    repaired.start()

    assert await_bytes(path, 30.0)
    repaired.join()
