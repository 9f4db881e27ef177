"""A damaged segment: what is good in it stays under its own numbers, what is not is named, a kill undoes nothing."""

import asyncio
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.buffer.world import READINGS, SMALL, World, damage, data, everything, fill, gaps, restart, segments
from tidegate.buffer.catalog import Entry
from tidegate.buffer.control import Control
from tidegate.buffer.salvage import SALVAGES_MAX, salvage
from tidegate.buffer.segment import collect, look
from tidegate.buffer.verify import verify
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

FLIPS = 60


async def put(world: World, count: int) -> dict[int, Frame]:
    """A clean run of one frame a block, in small segments; what was put, by number."""
    kept: dict[int, Frame] = {}
    async with world.running(**SMALL) as buffer:
        for value in range(count):
            frame = world.frame(value)
            kept[await (await buffer.put(frame))] = frame
        await buffer.flush()
    return kept


def listed(world: World, path: Path) -> Entry:
    with closing(Control.open(world.folder / "control.db").db) as db:
        return next(e for e in Control(db).segments() if e.file == path.name)


def aside(world: World) -> list[str]:
    folder = world.folder / "quarantine"
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


async def read_all(world: World, **changed: float) -> tuple[dict[int, Frame], list[Gap]]:
    async with world.running(**changed) as buffer:
        await everything(buffer)
        await buffer.flush()
        found = await everything(buffer)
        return data(found), gaps(found)


def test_a_read_that_finds_damage_has_the_segment_salvaged(world: World) -> None:
    expected = asyncio.run(put(world, 120))
    second = segments(world)[1]
    first = int(second.stem.split("-")[1])
    damage(second, 3)
    kept, told = asyncio.run(read_all(world))

    assert {n: f for n, f in expected.items() if n != first + 3} == {n: f for n, f in kept.items() if n in expected}
    assert [(Why.CORRUPT, ((first + 3, first + 3),), READINGS, "exact")] == [
        (gap.why, gap.frames, gap.n, gap.n_is) for gap in told
    ]
    assert [f"{second.stem}-salvaged.db"] == [p.name for p in segments_of(world, first)]
    assert [f"{second.name}.0"] == aside(world)
    assert [] == verify(world.folder, running=False).damage


def segments_of(world: World, first: int) -> list[Path]:
    return [p for p in (world.folder / "segments").iterdir() if p.name.split("-")[1].removesuffix(".db") == str(first)]


def test_what_was_salvaged_is_read_as_it_is_after_a_restart(world: World) -> None:
    expected = asyncio.run(put(world, 120))
    damage(segments(world)[1], 3)
    before, _ = asyncio.run(read_all(world))
    after, told = asyncio.run(read_all(world))

    assert 119 == len(set(after) & set(expected))
    assert before == {n: after[n] for n in before}
    assert 1 == len(told)


def test_a_segment_that_is_damaged_again_is_salvaged_again_and_at_last_left_alone(world: World) -> None:
    asyncio.run(put(world, 120))
    first = int(segments(world)[1].stem.split("-")[1])
    for time in range(SALVAGES_MAX + 1):
        [path] = segments_of(world, first)
        damage(path, 2)
        kept, told = asyncio.run(read_all(world))

        assert min(time, SALVAGES_MAX) == path.name.count("-salvaged")
        assert time + 1 == sum(b - a + 1 for gap in told for a, b in gap.frames)
        assert not {n for gap in told for a, b in gap.frames for n in range(a, b + 1)} & set(kept)


def test_a_newest_segment_that_is_damaged_keeps_what_is_good_and_begins_a_new_epoch(world: World) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            for value in range(40):
                await buffer.put(world.frame(value))
                await buffer.flush()
            return world.killed()

    killed = asyncio.run(run())
    [newest] = segments(killed)
    with closing(sqlite3.connect(newest)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(newest, 10)
    told, kept, epoch, _ = restart(killed)
    corrupt = next(gap for gap in told if gap.why is Why.CORRUPT)

    assert epoch != newest.stem.split("-")[0]
    assert ((11, 11),) == corrupt.frames
    assert {*range(1, 41)} - {11} == {n for n in kept if n > 1} | {1}


@pytest.mark.parametrize("step", ["written", "listed", "moved"])
def test_a_salvage_that_is_cut_off_is_done_again(world: World, step: str) -> None:
    expected = asyncio.run(put(world, 120))
    second = segments(world)[1]
    first = int(second.stem.split("-")[1])
    damage(second, 3)
    entry = listed(world, second)
    saved = salvage(second, look, entry, entry.last)
    assert saved.entry is not None
    if step != "written":
        with closing(Control.open(world.folder / "control.db").db) as db:
            Control(db).list_segment(saved.entry)
    if step == "moved":
        (world.folder / "quarantine").mkdir()
        os.rename(second, world.folder / "quarantine" / second.name)
    kept, _ = asyncio.run(read_all(world))

    assert set(expected) - {first + 3} == set(kept) & set(expected)
    assert all(expected[n] == frame for n, frame in kept.items() if n in expected)
    assert 1 == len(segments_of(world, first))
    assert [] == verify(world.folder, running=False).damage


def test_a_lost_control_database_and_a_salvaged_segment_name_the_hole(world: World) -> None:
    asyncio.run(put(world, 120))
    first = int(segments(world)[1].stem.split("-")[1])
    old = segments(world)[1].stem.split("-")[0]
    damage(segments(world)[1], 3)
    asyncio.run(read_all(world))
    (world.folder / "control.db").unlink()
    told, kept, _, _ = restart(world)

    assert 119 == len({n for n in kept if n <= 120})
    assert (old, ((first + 3, first + 3),)) in [(gap.epoch, gap.frames) for gap in told]


def test_single_flipped_bits_never_give_wrong_values_and_cost_their_block_alone(world: World) -> None:
    """Wherever in a segment's file a bit flips: what is read is what was put, and nearly all of it stays."""
    expected = asyncio.run(put(world, 50))
    path = segments(world)[0]
    pristine = path.read_bytes()
    entry = listed(world, path)
    random, shares = Random(3), []
    for _ in range(FLIPS):
        content = bytearray(pristine)
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        path.write_bytes(content)
        saved = salvage(path, look, entry, entry.last)
        lost = Ranges(pair for gap in saved.gaps for pair in gap.frames)
        shares.append(1 - lost.total / (entry.last - entry.first + 1))
        if saved.entry is not None:
            made = path.with_name(saved.entry.file)
            with closing(look(made)) as db:
                kept = dict(collect(db, entry.first, entry.last, 1 << 30).frames)
            made.unlink()

            assert all(expected[n] == frame for n, frame in kept.items())
            assert set(kept) == {n for n in range(entry.first, entry.last + 1) if not lost.within(n, n)}
    path.write_bytes(pristine)

    assert sum(share > 0 for share in shares) == FLIPS
    assert sum(shares) / FLIPS > 0.9


def test_what_was_put_aside_is_bounded(world: World) -> None:
    asyncio.run(put(world, 120))
    for path in segments(world):
        damage(path, 1)
    asyncio.run(read_all(world, quarantine_bytes_max=40_000))
    lying = list((world.folder / "quarantine").iterdir())

    assert 0 < sum(p.stat().st_size for p in lying) <= 40_000


def test_damage_found_twice_is_told_once(world: World) -> None:
    asyncio.run(fill(world, 60, **SMALL))
    damage(segments(world)[0], 1)
    _, told = asyncio.run(read_all(world))
    _, again = asyncio.run(read_all(world))

    assert [gap.id for gap in told] == [gap.id for gap in again] == [1]
