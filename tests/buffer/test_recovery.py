"""Bad days of the buffer, by name: killed, power cut between two files, damaged bytes, lost files, cloned cards."""

import asyncio
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from tests.buffer.world import NOW_US, World, damage, data, everything, gaps
from tidegate.buffer import lock
from tidegate.buffer.verify import verify
from tidegate.errors import BufferFault, BufferLocked
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

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


def test_a_second_process_is_turned_away_by_name(world: World) -> None:
    buffer = world.open()
    try:
        with pytest.raises(BufferLocked, match="pid"):
            world.open()
    finally:
        asyncio.run(buffer.close())


def test_the_lock_is_free_after_a_failed_start(world: World) -> None:
    asyncio.run(fill(world, 1))
    with closing(sqlite3.connect(world.folder / "control.db")) as db:
        db.execute("PRAGMA user_version = 9")

    with pytest.raises(BufferFault, match="newer"):
        world.open()
    held = lock.take(world.folder)
    assert held > 0


def test_boots_are_counted(world: World) -> None:
    boots = []
    for _ in range(3):
        asyncio.run(fill(world, 0))
        boots.append(world.clock.boot)

    assert [1, 2, 3] == boots


def test_a_wall_time_that_has_passed_is_remembered(world: World) -> None:
    asyncio.run(fill(world, 1))
    world.now_us = NOW_US - 1_000_000
    asyncio.run(world.open().close())

    assert "UNSET" == world.clock.state.name


def test_a_clean_restart_goes_on_and_has_no_gap(world: World) -> None:
    asyncio.run(fill(world, 3))
    told, kept, _, numbers = restart(world)

    assert ([], [1, 2, 3], [4]) == (told, list(kept), numbers)


def test_a_kill_loses_nothing_committed_and_tells_its_window(world: World) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            for value in range(5):
                await (await buffer.put(world.frame(value)))
            return world.killed()

    killed = asyncio.run(run())
    last_us = killed.now_us
    killed.now_us += 60_000_000
    told, kept, _, numbers = restart(killed)

    assert [(Why.CRASH_WINDOW, last_us - 5_000_000, killed.now_us - 1000)] == [(g.why, g.t0, g.t1) for g in told]
    assert ([1, 2, 3, 4, 5], [7]) == (list(kept), numbers)


def test_kills_before_the_first_commit_tell_one_window(world: World) -> None:
    async def run() -> World:
        async with world.running():
            return world.killed("1")

    killed = asyncio.run(run())
    for name in ("2", "3"):
        buffer = killed.open()
        killed, before = killed.killed(name), buffer
        asyncio.run(before.close())
    told, _, _, _ = restart(killed)

    assert [Why.CRASH_WINDOW] == [gap.why for gap in told]


def test_a_gap_frame_that_was_committed_is_not_announced_again(world: World) -> None:
    async def run() -> World:
        async with world.running(cursor_interval_s=3600) as buffer:
            buffer.tell(Gap(Why.DEVICE_DOWN, 1, 2))
            await buffer.flush()
            return world.killed()

    told, _, _, _ = restart(asyncio.run(run()))

    assert [Why.DEVICE_DOWN, Why.CRASH_WINDOW] == [gap.why for gap in told]


def test_a_segment_sealed_but_not_marked_is_taken_up(world: World) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            for value in range(3):
                await (await buffer.put(world.frame(value)))
            return world.killed()

    killed = asyncio.run(run())
    [path] = segments(killed)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode=DELETE")
    _, kept, _, numbers = restart(killed)

    assert ([1, 2, 3], [5]) == (list(kept), numbers)


def test_a_file_that_never_took_a_commit_is_removed(world: World) -> None:
    asyncio.run(fill(world, 2))
    [path] = segments(world)
    empty = path.with_name(path.name.replace("-1.db", "-3.db"))
    with closing(sqlite3.connect(empty)) as db:
        db.execute("PRAGMA journal_mode=WAL")
    told, kept, _, numbers = restart(world)

    assert ([], [1, 2], [3]) == (told, list(kept), numbers)


def test_a_removal_whose_unlink_was_cut_off_is_carried_out(world: World) -> None:
    asyncio.run(fill(world, 40, **SMALL))
    first = segments(world)[0]
    content = first.read_bytes()
    with closing(sqlite3.connect(world.folder / "control.db")) as db:
        [(last,)] = db.execute("SELECT last FROM segments WHERE first = 1").fetchall()
        [(ordinal, epoch)] = db.execute("SELECT ordinal, epoch FROM epochs").fetchall()
        crc32 = zlib.crc32(f"{ordinal}\n{epoch}\n{last + 1}".encode())
        db.execute("UPDATE epochs SET floor = ?, crc32 = ?", (last + 1, crc32))
        db.execute("DELETE FROM segments WHERE first = 1")
        db.commit()
    first.write_bytes(content)
    told, kept, _, _ = restart(world)

    assert not first.exists()
    assert [] == told
    assert last + 1 == min(kept)


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
                await buffer.gone(buffer.epoch, Ranges([(1, 10)])),
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
        content[4096 * page : 4096 * (page + 1)] = bytes(4096)
        path.write_bytes(content)
        async with world.running() as buffer:
            kept: dict[int, object] = {}
            for extent in buffer.extents():
                kept.update(data(await everything(buffer, extent.epoch)))
            epoch = path.stem.split("-")[0]
            assert all(frames[number - 1] == frame for number, frame in kept.items())
            return kept, await buffer.gone(epoch, Ranges([(1, 60)]))

    kept, gone = asyncio.run(run())
    numbers = Ranges((n, n) for n in kept)
    for ranges, _ in gone:
        for first, last in ranges:
            assert not numbers.within(first, last)
            numbers.add(first, last)

    assert Ranges([(1, 60)]) == numbers


def test_a_newest_segment_that_can_not_be_proven_begins_a_new_epoch(world: World) -> None:
    async def run() -> World:
        async with world.running(**SMALL) as buffer:
            for value in range(40):
                await buffer.put(world.frame(value))
                await buffer.flush()
            return world.killed()

    killed = asyncio.run(run())
    newest = segments(killed)[-1]
    with closing(sqlite3.connect(newest)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damage(newest, 0)
    first = int(newest.stem.split("-")[1])
    old = newest.stem.split("-")[0]
    told, kept, epoch, numbers = restart(killed)
    corrupt = next(gap for gap in told if gap.why is Why.CORRUPT)

    assert epoch != old
    assert (old, ((first, 40),)) == (corrupt.epoch, corrupt.frames)
    assert set(range(1, first)) == {n for n in kept if n < first}
    assert [3] == numbers
    assert [] == verify(killed.folder, running=False).damage


def test_a_damaged_older_segment_is_put_aside_and_numbers_go_on(world: World) -> None:
    asyncio.run(fill(world, 120, **SMALL))
    second = segments(world)[1]
    with open(second, "ab") as file:
        file.write(b"more")
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


def test_another_box_numbers_anew_and_drains_the_old(world: World) -> None:
    async def run() -> None:
        async with world.running() as buffer:
            for value in range(5):
                await buffer.put(world.frame(value))
            await buffer.flush()
            old = buffer.epoch
            buffer.acknowledge("cloud", old, (1, 2))
        world.box = "another box"
        async with world.running() as buffer:
            assert old != buffer.epoch
            assert 0 == buffer.last
            assert Ranges([(1, 2)]) == buffer.cursor("cloud", old)
            assert [1, 2, 3, 4, 5] == list(data(await everything(buffer, old)))

    asyncio.run(run())


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


def test_a_folder_that_can_not_be_used_is_said_by_name(world: World) -> None:
    world.folder.parent.mkdir(exist_ok=True)
    world.folder.write_text("a file")

    with pytest.raises(BufferFault, match="can't hold the buffer"):
        world.open()
