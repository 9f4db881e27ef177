"""Bad days of the buffer, by name: killed, power cut between two files, damaged bytes, lost files, cloned cards."""

import asyncio
import sqlite3
import zlib
from contextlib import closing

import pytest

from tests.buffer.world import NOW_US, SMALL, World, damage, data, everything, fill, restart, segments
from tidegate.buffer import lock
from tidegate.buffer.verify import verify
from tidegate.errors import BufferFault, BufferLocked
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges


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


@pytest.mark.parametrize(("ago_s", "reaches"), [(50, True), (70, False)], ids=["lasting", "long over"])
def test_a_crash_window_goes_on_from_a_loss_that_was_being_told(world: World, ago_s: int, reaches: bool) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            told_us = world.now_us - ago_s * 1_000_000
            buffer.tell(Gap(Why.DEVICE_DOWN, told_us - 9, told_us - 7, device="meter"))
            buffer.tell(Gap(Why.DEVICE_DOWN, told_us - 7, told_us, device="meter"))
            await (await buffer.put(world.frame(1)))
            return world.killed()

    killed = asyncio.run(run())
    last_us = killed.now_us
    window = restart(killed)[0][-1]

    assert Why.CRASH_WINDOW == window.why
    assert window.t0 == pytest.approx(last_us - (ago_s if reaches else 5) * 1_000_000, abs=1000)


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


def test_a_folder_that_can_not_be_used_is_said_by_name(world: World) -> None:
    world.folder.parent.mkdir(exist_ok=True)
    world.folder.write_text("a file")

    with pytest.raises(BufferFault, match="can't hold the buffer"):
        world.open()
