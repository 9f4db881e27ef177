"""The quota: what goes, who is told, and that a full disk does not stop the buffer."""

import asyncio
import sqlite3
from contextlib import closing

from tests.buffer.world import READINGS, World, data, everything, gaps
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.buffer.verify import verify
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

QUOTA = {"segment_bytes": 32 << 10, "quota_bytes": 1 << 20, "commit_readings": 5 * READINGS}


async def pour(buffer: Buffer, world: World, count: int, start: int = 0) -> None:
    for value in range(start, start + count):
        await buffer.put(world.frame(value))
        if value % 100 == 99:
            await buffer.flush()
    await buffer.flush()


def closed(found: list[Gap], why: Why, epoch: str) -> Ranges:
    return Ranges(pair for gap in found if gap.why is why and gap.epoch == epoch for pair in gap.frames)


def test_the_quota_is_kept_and_every_removal_is_in_the_ledger(world: World) -> None:
    async def run() -> None:
        async with world.running(**QUOTA) as buffer:
            await pour(buffer, world, 6000)
            status = buffer.status()
            kept = data(await everything(buffer))
            gone = await buffer.gone("cloud", buffer.epoch, Ranges([(1, buffer.last)]))

            assert status.bytes_used <= status.quota_bytes
            assert buffer.first > 1
            assert min(kept) >= buffer.first
            assert [(Ranges([(1, buffer.first - 1)]), Why.EVICTED)] == gone
            assert Ranges([(1, buffer.first - 1)]) == buffer.cursor("cloud", buffer.epoch)

    asyncio.run(run())

    assert [] == verify(world.folder, running=False).damage


def test_every_removal_is_announced_and_counts_exactly(world: World) -> None:
    async def run() -> None:
        counts: dict[int, int] = {}
        rows: dict[int, Gap] = {}

        def hear(committed: Committed) -> None:
            numbered = list(enumerate(committed.frames, committed.first))
            counts.update({number: frame.count for number, frame in numbered})
            rows.update({gap.id: gap for gap in gaps(numbered)})

        async with world.running(**QUOTA) as buffer:
            buffer.listen(hear)
            await pour(buffer, world, 6000)
            held = [sum(counts[n] for a, b in gap.frames for n in range(a, b + 1)) for gap in rows.values()]

            assert Ranges([(1, buffer.first - 1)]) == closed(list(rows.values()), Why.EVICTED, buffer.epoch)
            assert held == [gap.n for gap in rows.values()]
            assert {"exact"} == {gap.n_is for gap in rows.values()}
            assert list(range(1, buffer.gaps + 1)) == sorted(rows)

    asyncio.run(run())


def test_what_every_target_has_goes_without_a_row(world: World) -> None:
    async def run() -> tuple[int, int]:
        async with world.running("cloud", "plant", **QUOTA) as buffer:
            for start in range(0, 6000, 500):
                await pour(buffer, world, 500, start)
                for target in ("cloud", "plant"):
                    buffer.acknowledge(target, buffer.epoch, (1, buffer.last))
            return buffer.first, buffer.gaps

    first, rows = asyncio.run(run())

    assert first > 1
    assert 0 == rows


def test_a_row_names_the_targets_and_the_numbers_that_they_miss(world: World) -> None:
    async def run() -> list[Gap]:
        told: list[Gap] = []
        async with world.running("cloud", "plant", **QUOTA) as buffer:
            buffer.listen(lambda committed: told.extend(gaps(list(enumerate(committed.frames)))))
            for start in range(0, 4000, 500):
                await pour(buffer, world, 500, start)
                buffer.acknowledge("plant", buffer.epoch, (1, buffer.last))
                buffer.acknowledge("cloud", buffer.epoch, (11, 13))
        return told

    first = asyncio.run(run())[0]
    (a, b), (c, d) = first.frames

    assert (Why.EVICTED, ("cloud",)) == (first.why, first.targets)
    assert (1, 10, 14) == (a, b, c)
    assert (d - 3) * READINGS == first.n


def test_a_row_whose_frame_went_unseen_is_announced_again(world: World) -> None:
    async def run() -> list[int]:
        told: list[Gap] = []
        async with world.running(**QUOTA) as buffer:
            buffer.listen(lambda committed: told.extend(gaps(list(enumerate(committed.frames)))))
            buffer.tell(Gap(Why.DEVICE_DOWN, 1, 2, device="meter"))
            await pour(buffer, world, 6000)
        return [gap.id for gap in told if gap.why is Why.DEVICE_DOWN]

    times = asyncio.run(run())

    assert {1} == set(times)
    assert len(times) > 1


def test_an_older_epoch_goes_first_and_leaves_the_list(world: World) -> None:
    async def run() -> None:
        async with world.running(**QUOTA) as buffer:
            await pour(buffer, world, 500)
            old = buffer.epoch
            await buffer.renumber("seen elsewhere")
            await pour(buffer, world, 6000)

            assert [buffer.epoch] == [extent.epoch for extent in buffer.extents()]
            assert [(Ranges([(1, 500)]), Why.EVICTED)] == await buffer.gone("cloud", old, Ranges([(1, 500)]))
            old_epoch = old
        async with world.running(**QUOTA) as buffer:
            assert old_epoch not in {extent.epoch for extent in buffer.extents()}

    asyncio.run(run())


def test_reading_while_segments_go_never_gives_wrong_numbers(world: World) -> None:
    async def run() -> None:
        expected: dict[int, object] = {}
        async with world.running(**QUOTA) as buffer:
            buffer.listen(lambda c: expected.update(zip(range(c.first, c.last + 1), c.frames, strict=True)))
            pouring = asyncio.create_task(pour(buffer, world, 6000))
            at = 1
            while not pouring.done():
                page = await buffer.read(buffer.epoch, at, at + 400, 1 << 14)
                assert all(expected[number] == frame for number, frame in page.frames)
                await asyncio.sleep(0)
                at = page.upto + 1 if page.upto < buffer.last - 300 else max(1, buffer.first - 50)
            await pouring

            gone = await buffer.gone("cloud", buffer.epoch, Ranges([(1, buffer.last)]))
            assert [Why.EVICTED] == [why for _, why in gone]

    asyncio.run(run())


DAY_US = 86_400_000_000


async def age(world: World, acknowledged: bool, now_us: int) -> tuple[int, int]:
    """Fill two days' worth, move the clock, commit once more: the first number kept, and the rows of the ledger."""
    async with world.running(segment_bytes=32 << 10, keep_s=86_400) as buffer:
        await pour(buffer, world, 300)
        if acknowledged:
            buffer.acknowledge("cloud", buffer.epoch, (1, buffer.last))
        world.now_us = now_us
        await pour(buffer, world, 300, 300)
        return buffer.first, buffer.gaps


def test_age_removes_what_every_target_has_without_a_row(world: World) -> None:
    first, rows = asyncio.run(age(world, True, world.now_us + 2 * DAY_US))

    assert 200 < first <= 301
    assert 0 == rows


def test_age_never_removes_what_a_target_waits_for(world: World) -> None:
    assert (1, 0) == asyncio.run(age(world, False, world.now_us + 2 * DAY_US))


def test_age_removes_nothing_by_a_clock_that_is_not_believed(world: World) -> None:
    assert (1, 0) == asyncio.run(age(world, True, 0))


def test_many_gaps_that_were_delivered_do_not_crowd_out_data(world: World) -> None:
    async def run() -> int:
        async with world.running(**{**QUOTA, "quota_bytes": 2 << 20}) as buffer:
            for at in range(8000):
                buffer.tell(Gap(Why.DEVICE_DOWN, at, at, 1, "exact", device=f"meter{at % 100}"))
                if at % 500 == 499:
                    await buffer.put(world.frame(at))
                    await buffer.flush()
                    buffer.acknowledge("cloud", buffer.epoch, (1, buffer.last))
            await pour(buffer, world, 400)
            return buffer.first

    first = asyncio.run(run())
    with closing(sqlite3.connect(world.folder / "control.db")) as db:
        rows = db.execute("SELECT count(*) FROM ledger").fetchone()[0]

    assert first == 1
    assert rows < 3000
