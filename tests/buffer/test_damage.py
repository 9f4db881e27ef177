"""Damaged bytes, lost files, restored images: what is not what was written, and that it is never passed off as it."""

import asyncio
import sqlite3
from contextlib import closing

import pytest

from tests.buffer.world import SMALL, World, damage, data, everything, fill, gaps, restart, segments
from tidegate.buffer.segment import PAGE_BYTES
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges


def test_a_damaged_byte_costs_its_block_and_is_told_once(world: World) -> None:
    asyncio.run(fill(world, 10))
    [path] = segments(world)
    damage(path, 4)

    async def run() -> tuple[list[int], list[Gap], list[tuple[Ranges, Why]]]:
        async with world.running() as buffer:
            for _ in range(3):
                kept = data(await everything(buffer))
            await buffer.flush()
            return (
                list(kept),
                gaps(await everything(buffer)),
                await buffer.gone("cloud", buffer.epoch, Ranges([(1, 10)])),
            )

    kept, told, gone = asyncio.run(run())

    assert [1, 2, 3, 4, 6, 7, 8, 9, 10] == kept
    assert [(Why.CORRUPT, ((5, 5),))] == [(gap.why, gap.frames) for gap in told]
    assert [(Ranges([(5, 5)]), Why.CORRUPT)] == gone


@pytest.mark.parametrize("page", range(2, 12))
def test_a_wiped_page_never_stops_the_reading_nor_gives_wrong_data(world: World, page: int) -> None:
    async def run() -> tuple[dict[int, object], list[tuple[Ranges, Why]]]:
        frames = [world.frame(value) for value in range(60)]
        async with world.running(commit_readings=40) as buffer:
            for frame in frames:
                await buffer.put(frame)
                await buffer.flush()
        [path] = segments(world)
        content = bytearray(path.read_bytes())
        content[PAGE_BYTES * page : PAGE_BYTES * (page + 1)] = bytes(PAGE_BYTES)
        path.write_bytes(content)
        async with world.running() as buffer:
            kept: dict[int, object] = {}
            for extent in buffer.extents():
                kept.update(data(await everything(buffer, extent.epoch)))
            epoch = path.stem.split("-")[0]
            assert all(frames[number - 1] == frame for number, frame in kept.items())
            return kept, await buffer.gone("cloud", epoch, Ranges([(1, 60)]))

    kept, gone = asyncio.run(run())
    numbers = Ranges((n, n) for n in kept)
    for ranges, _ in gone:
        for first, last in ranges:
            assert not numbers.within(first, last)
            numbers.add(first, last)

    assert Ranges([(1, 60)]) == numbers


def test_a_segment_of_which_nothing_is_good_is_put_aside_and_numbers_go_on(world: World) -> None:
    asyncio.run(fill(world, 120, **SMALL))
    second = segments(world)[1]
    second.write_bytes(b"rubbish" * 1000)
    told, kept, epoch, numbers = restart(world)
    [corrupt] = told
    [(first, last)] = corrupt.frames

    assert epoch == second.stem.split("-")[0]
    assert (Why.CORRUPT, "exact", 20 * (last - first + 1)) == (corrupt.why, corrupt.n_is, corrupt.n)
    assert sorted({*range(1, 121)} - {*range(first, last + 1)}) == sorted(kept)
    assert [122] == numbers
    assert 1 == len(list((world.folder / "quarantine").iterdir()))


def test_a_segment_that_is_missing_is_lost_and_said_so(world: World) -> None:
    asyncio.run(fill(world, 120, **SMALL))
    segments(world)[1].unlink()
    told, kept, _, numbers = restart(world)
    [(first, last)] = told[0].frames

    assert [Why.LOST] == [gap.why for gap in told]
    assert sorted({*range(1, 121)} - {*range(first, last + 1)}) == sorted(kept)
    assert [122] == numbers


def test_a_newest_segment_that_is_missing_never_lets_numbers_be_used_twice(world: World) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            await buffer.flush()
            return world.killed()

    killed = asyncio.run(run())
    [path] = segments(killed)
    for file in (killed.folder / "segments").iterdir():
        file.unlink()
    told, _, epoch, _ = restart(killed)

    assert epoch != path.stem.split("-")[0]
    assert Why.LOST in {gap.why for gap in told}


def test_a_lost_control_database_begins_anew_and_delivers_all_again(world: World) -> None:
    asyncio.run(fill(world, 30, **SMALL))
    (world.folder / "control.db").unlink()

    async def run() -> None:
        async with world.running() as buffer:
            await buffer.flush()
            older, current = buffer.extents()

            assert (1, 30) == (older.first, older.last)
            assert list(range(1, 31)) == list(data(await everything(buffer, older.epoch)))
            assert (1, Ranges()) == (buffer.since("cloud", older.epoch), buffer.cursor("cloud", older.epoch))
            assert (1, Ranges()) == (buffer.since("cloud", current.epoch), buffer.cursor("cloud", current.epoch))
            assert world.table.document == (await buffer.table(world.table.hash)).document
            assert 2 == world.clock.boot

    asyncio.run(run())


def test_a_control_database_with_a_flipped_bit_is_not_believed(world: World) -> None:
    asyncio.run(fill(world, 3))
    with closing(sqlite3.connect(world.folder / "control.db")) as db:
        db.execute("UPDATE epochs SET floor = 3")
        db.commit()
    told, kept, _, _ = restart(world)

    assert [1, 2, 3] == [n for n in kept if kept[n] is not None][:3]
    assert Why.EVICTED not in {gap.why for gap in told}


def test_a_cursor_with_a_flipped_bit_costs_duplicates_and_no_readings(world: World) -> None:
    async def run() -> Ranges:
        async with world.running() as buffer:
            for value in range(5):
                await buffer.put(world.frame(value))
            await buffer.flush()
            buffer.acknowledge("cloud", buffer.epoch, (1, 2))
        with closing(sqlite3.connect(world.folder / "control.db")) as db:
            db.execute("UPDATE cursors SET upto = 5")
            db.commit()
        async with world.running() as buffer:
            return buffer.cursor("cloud", buffer.epoch)

    assert Ranges() == asyncio.run(run())


def test_a_restored_older_image_is_noticed_by_its_cursors(world: World) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            image = world.killed()
            for value in range(5):
                await buffer.put(world.frame(value))
            await buffer.flush()
            buffer.acknowledge("cloud", buffer.epoch, (1, 6))
        return image

    image = asyncio.run(run())
    # Only the segments come back from the image; control.db knows better.
    for file in (world.folder / "segments").iterdir():
        file.unlink()
    for file in (image.folder / "segments").iterdir():
        (world.folder / "segments" / file.name).write_bytes(file.read_bytes())
    old = segments(world)[0].stem.split("-")[0]
    told, _, epoch, _ = restart(world)

    assert epoch != old
    assert told != []


def test_a_control_database_of_rubbish_is_put_aside(world: World) -> None:
    asyncio.run(fill(world, 3))
    (world.folder / "control.db").write_bytes(b"rubbish" * 1000)
    _, kept, _, numbers = restart(world)

    assert [1, 2, 3] == list(kept)[:3]
    assert [2] == numbers
    assert ["control.db.0"] == [p.name for p in (world.folder / "quarantine").iterdir()]
