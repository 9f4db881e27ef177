"""The buffer as its neighbours use it: numbers, futures, listeners, pages, cursors, limits."""

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from tests.buffer.world import READINGS, World, data, everything, gaps
from tidegate.buffer.buffer import Committed
from tidegate.buffer.control import FILE
from tidegate.errors import Shed
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges


def told(device: str | None = "meter") -> Gap:
    return Gap(Why.DEVICE_DOWN, 1, 2, 3, "exact", device=device)


def test_numbers_start_at_one_and_have_no_holes(world: World) -> None:
    async def run() -> list[int]:
        async with world.running() as buffer:
            futures = [await buffer.put(world.frame(value)) for value in range(10)]
            return [await future for future in futures]

    assert list(range(1, 11)) == asyncio.run(run())


def test_what_was_put_is_read_back_bit_by_bit(world: World) -> None:
    async def run() -> None:
        frames = [world.frame(value) for value in range(300)]
        async with world.running(segment_bytes=16 << 10) as buffer:
            for frame in frames:
                await buffer.put(frame)
            await buffer.flush()

            assert dict(enumerate(frames, 1)) == data(await everything(buffer, bytes_max=5000))

    asyncio.run(run())


def test_listeners_hear_every_commit_in_order(world: World) -> None:
    async def run() -> list[Committed]:
        heard: list[Committed] = []
        async with world.running() as buffer:
            buffer.listen(heard.append)
            for value in range(5):
                await (await buffer.put(world.frame(value)))
        return heard

    heard = asyncio.run(run())
    numbers = [(c.first, c.last) for c in heard]

    assert [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)] == numbers


def test_a_listener_that_fails_does_not_undo_the_commit(world: World) -> None:
    async def run() -> int:
        async with world.running() as buffer:
            buffer.listen(lambda committed: 1 // 0)
            return await (await buffer.put(world.frame(1)))

    assert 1 == asyncio.run(run())


def test_a_listener_that_ended_hears_no_more(world: World) -> None:
    async def run() -> list[Committed]:
        heard: list[Committed] = []
        async with world.running() as buffer:
            end = buffer.listen(heard.append)
            end()
            await (await buffer.put(world.frame(1)))
        return heard

    assert [] == asyncio.run(run())


def test_one_commit_takes_what_came_within_its_interval(world: World) -> None:
    async def run() -> int:
        async with world.running(commit_interval_s=0.05) as buffer:
            for value in range(50):
                await buffer.put(world.frame(value))
            await buffer.flush()
            return buffer.status().commits

    assert 1 == asyncio.run(run())


def test_enough_readings_are_committed_before_the_interval_ends(world: World) -> None:
    async def run() -> int:
        async with world.running(commit_interval_s=3600, commit_readings=3 * READINGS) as buffer:
            futures = [await buffer.put(world.frame(value)) for value in range(3)]
            return await asyncio.wait_for(futures[-1], 10)

    assert 3 == asyncio.run(run())


def test_a_gap_that_is_told_becomes_a_row_and_a_frame(world: World) -> None:
    async def run() -> list[Gap]:
        async with world.running() as buffer:
            buffer.tell(told())
            await (await buffer.put(world.frame(1)))
            return gaps(await everything(buffer))

    found = asyncio.run(run())

    assert [Gap(Why.DEVICE_DOWN, 1, 2, 3, "exact", device="meter", id=1)] == found


def test_a_gap_is_announced_although_no_reading_comes(world: World) -> None:
    async def run() -> int:
        async with world.running() as buffer:
            heard = asyncio.get_running_loop().create_future()
            buffer.listen(lambda committed: heard.set_result(committed.last))
            buffer.tell(told())
            return int(await asyncio.wait_for(heard, 10))

    assert 1 == asyncio.run(run())


def test_rows_of_the_ledger_are_numbered_over_restarts(world: World) -> None:
    async def run() -> list[int]:
        found: list[int] = []
        for _ in range(3):
            async with world.running() as buffer:
                buffer.tell(told())
                buffer.tell(told("other"))
                await buffer.flush()
                found = [gap.id for gap in gaps(await everything(buffer))]
        return found

    assert [1, 2, 3, 4, 5, 6] == asyncio.run(run())


def test_a_frame_without_room_is_shed_and_told(world: World) -> None:
    async def run() -> list[Gap]:
        async with world.running(
            queue_readings_max=READINGS, put_deadline_s=0.01, commit_interval_s=0.2, commit_readings=10**6
        ) as buffer:
            await buffer.put(world.frame(1))
            shed = await buffer.put(world.frame(2))
            with pytest.raises(Shed):
                await shed
            await buffer.flush()
            return gaps(await everything(buffer))

    [gap] = asyncio.run(run())

    assert (Why.SHED, READINGS, "exact", "meter") == (gap.why, gap.n, gap.n_is, gap.device)


def test_who_waits_for_room_comes_in_after_the_commit_in_order(world: World) -> None:
    async def run() -> list[int]:
        async with world.running(queue_readings_max=READINGS, put_deadline_s=10) as buffer:
            puts = [asyncio.create_task(buffer.put(world.frame(value))) for value in range(5)]
            return [await (await put) for put in puts]

    assert [1, 2, 3, 4, 5] == asyncio.run(run())


def test_giving_up_while_waiting_for_room_leaks_none(world: World) -> None:
    async def run() -> int:
        async with world.running(queue_readings_max=READINGS, put_deadline_s=10) as buffer:
            puts = [asyncio.create_task(buffer.put(world.frame(value))) for value in range(3)]
            await asyncio.sleep(0)
            puts[1].cancel()
            await buffer.flush()
            await asyncio.gather(*puts, return_exceptions=True)
            await buffer.flush()
            return buffer.status().queue_readings

    assert 0 == asyncio.run(run())


def test_a_frame_of_an_unknown_table_is_refused(world: World) -> None:
    async def run() -> None:
        frame = world.frame(1)
        async with world.running() as buffer:
            with pytest.raises(ValueError, match="tag table"):
                await buffer.put(replace(frame, table=b"unknown!"))

    asyncio.run(run())


def test_a_table_is_known_after_a_restart(world: World) -> None:
    async def run() -> bytes:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
        buffer = world.open()
        buffer._tables.clear()
        try:
            return (await buffer.table(world.table.hash)).document
        finally:
            await buffer.close()

    assert world.table.document == asyncio.run(run())


def test_a_table_that_was_never_used_is_a_key_error(world: World) -> None:
    async def run() -> None:
        async with world.running() as buffer:
            with pytest.raises(KeyError):
                await buffer.table(b"unknown!")

    asyncio.run(run())


def test_a_page_ends_at_its_bytes_but_holds_one_frame(world: World) -> None:
    async def run() -> tuple[int, int]:
        async with world.running() as buffer:
            for value in range(20):
                await buffer.put(world.frame(value))
            await buffer.flush()
            one = await buffer.read(buffer.epoch, 3, 20, 1)
            some = await buffer.read(buffer.epoch, 3, 20, 3000)
            return one.upto, len(some.frames)

    upto, count = asyncio.run(run())

    assert 3 == upto
    assert 1 < count < 18


def test_numbers_that_are_not_committed_yet_are_not_answered_for(world: World) -> None:
    async def run() -> tuple[int, int]:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            page = await buffer.read(buffer.epoch, 1, 100, 1 << 20)
            beyond = await buffer.read(buffer.epoch, 2, 100, 1 << 20)
            return page.upto, beyond.upto

    assert (1, 1) == asyncio.run(run())


def test_a_cursor_holds_what_was_acknowledged_over_a_restart(world: World) -> None:
    async def run() -> Ranges:
        async with world.running() as buffer:
            for value in range(20):
                await buffer.put(world.frame(value))
            await buffer.flush()
            buffer.acknowledge("cloud", buffer.epoch, (1, 5))
            buffer.acknowledge("cloud", buffer.epoch, Ranges([(8, 9), (12, 12)]))
        async with world.running() as buffer:
            return buffer.cursor("cloud", buffer.epoch)

    assert Ranges([(1, 5), (8, 9), (12, 12)]) == asyncio.run(run())


def test_numbers_that_were_never_given_can_not_be_acknowledged(world: World) -> None:
    async def run() -> Ranges:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            buffer.acknowledge("cloud", buffer.epoch, (1, 99))
            return buffer.cursor("cloud", buffer.epoch)

    assert Ranges([(1, 1)]) == asyncio.run(run())


def test_a_new_target_is_owed_what_comes_from_now_on(world: World) -> None:
    async def run() -> tuple[int, Ranges, int]:
        async with world.running("cloud") as buffer:
            for value in range(5):
                await buffer.put(world.frame(value))
        async with world.running("cloud", "plant") as buffer:
            return (
                buffer.since("plant", buffer.epoch),
                buffer.cursor("plant", buffer.epoch),
                buffer.since("cloud", buffer.epoch),
            )

    assert (6, Ranges([(1, 5)]), 1) == asyncio.run(run())


def test_renumbering_keeps_the_old_frames_in_the_old_epoch(world: World) -> None:
    async def run() -> None:
        async with world.running() as buffer:
            old = buffer.epoch
            await (await buffer.put(world.frame(1)))
            new = await buffer.renumber("seen elsewhere")
            number = await (await buffer.put(world.frame(2)))

            assert (new, 1) == (buffer.epoch, number)
            assert old != new
            assert [1] == list(data(await everything(buffer, old)))
            assert [(old, 1, 1), (new, 1, 1)] == [(e.epoch, e.first, e.last) for e in buffer.extents()]
            assert (1, Ranges()) == (buffer.since("cloud", new), buffer.cursor("cloud", new))

    asyncio.run(run())


def test_renumbering_moves_what_was_committed_since_under_numbers_of_others(world: World) -> None:
    async def run() -> None:
        async with world.running() as buffer:
            old = buffer.epoch
            for value in (1, 2, 3):
                await buffer.put(world.frame(value))
            buffer.tell(Gap(Why.DEVICE_DOWN, 5, 6, 7, "exact", device="meter"))
            await buffer.flush()
            kept = await everything(buffer)
            new = await buffer.renumber("seen elsewhere", 1)
            moved = await everything(buffer)

            assert [number for number, _ in moved] == [1, 2, 3, 4]
            assert list(data(moved).values()) == list(data(kept).values())
            assert [gap.why for gap in gaps(moved)] == [Why.DEVICE_DOWN]
            assert [(old, 1, 0), (new, 1, 4)] == [(e.epoch, e.first, e.last) for e in buffer.extents()]
            assert buffer.cursor("cloud", old).holes(1, 4).total == 0
            assert buffer.cursor("cloud", new).total == 0

    asyncio.run(run())


def test_two_brokers_that_have_seen_the_numbers_at_once_begin_one_numbering(world: World) -> None:
    async def run() -> None:
        async with world.running("cloud", "plant") as buffer:
            old = buffer.epoch
            for value in (1, 2, 3):
                await buffer.put(world.frame(value))
            await buffer.flush()
            one, other = await asyncio.gather(buffer.renumber("cloud", 2), buffer.renumber("plant", 1))
            await buffer.put(world.frame(4))
            await buffer.flush()

            assert one == other == buffer.epoch
            assert [old, one] == [extent.epoch for extent in buffer.extents()]
            assert [1, 2, 3] == [number for number, _ in await everything(buffer)]
        with closing(sqlite3.connect(world.folder / FILE)) as db:
            assert [old, one] == [epoch for (epoch,) in db.execute("SELECT epoch FROM epochs ORDER BY ordinal")]

    asyncio.run(run())


def test_status_counts_what_each_target_waits_for(world: World) -> None:
    async def run() -> None:
        async with world.running("cloud", "plant") as buffer:
            first = world.now_us + 1000
            for value in range(10):
                await buffer.put(world.frame(value))
            await buffer.flush()
            buffer.acknowledge("cloud", buffer.epoch, (1, 10))
            buffer.acknowledge("plant", buffer.epoch, (4, 5))
            status = buffer.status()

            assert (("cloud", 0), ("plant", 8)) == status.unacknowledged
            assert first == status.oldest_us
            assert (10 * READINGS, "", 0) == (status.readings, status.fault, status.queue_readings)

    asyncio.run(run())


def test_closing_commits_what_waits_and_refuses_the_rest(world: World) -> None:
    async def run() -> tuple[int, int]:
        buffer = world.open(commit_interval_s=3600)
        await buffer.start()
        future = await buffer.put(world.frame(1))
        await buffer.close()
        await buffer.close()
        late = await buffer.put(world.frame(2))
        with pytest.raises(Shed):
            await late
        async with world.running() as again:
            return await future, again.last

    assert (1, 1) == asyncio.run(run())


def test_closing_a_buffer_that_never_started_is_clean(world: World) -> None:
    async def run() -> int:
        await world.open().close()
        async with world.running() as buffer:
            return buffer.gaps

    assert 0 == asyncio.run(run())


@pytest.mark.parametrize("gap", [Gap(Why.SHED, 1 << 63, 1), Gap(Why.SHED, 1, 1, device="\ud800")], ids=["time", "name"])
def test_a_gap_that_no_row_can_hold_is_refused_where_it_comes_from(world: World, gap: Gap) -> None:
    async def run() -> int:
        async with world.running() as buffer:
            with pytest.raises(ValueError, match=r"64 bits|surrogates"):
                buffer.tell(gap)
            return await (await buffer.put(world.frame(1)))

    assert 1 == asyncio.run(run())
