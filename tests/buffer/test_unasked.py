"""Since when a broker was not asked for a head: a run that reached none leaves its numbers in doubt (formats §2 c)."""

import asyncio
import sqlite3
from contextlib import closing

from tests.buffer.world import World, data, everything
from tidegate.buffer.control import FILE

Doubt = tuple[str, int]


async def life(world: World, start: int, ask: tuple[str, ...] = ()) -> dict[str, Doubt]:
    """A run that commits three frames; what was in doubt at its start."""
    async with world.running("cloud", "plant") as buffer:
        doubt = {target: buffer.unasked(target) for target in ("cloud", "plant")}
        for target in ask:
            await buffer.asked(target)
        for value in range(start, start + 3):
            await buffer.put(world.frame(value))
        await buffer.flush()
        return doubt


def test_numbers_of_runs_that_reached_no_broker_stay_in_doubt(world: World) -> None:
    async def main() -> None:
        first = await life(world, 0, ask=("cloud", "plant"))
        second = await life(world, 3)
        third = await life(world, 6, ask=("plant",))
        fourth = await life(world, 9)

        assert [1, 4, 4, 4] == [doubt["cloud"][1] for doubt in (first, second, third, fourth)]
        assert [1, 4, 4, 10] == [doubt["plant"][1] for doubt in (first, second, third, fourth)]

    asyncio.run(main())


def test_a_kill_after_it_was_asked_does_not_make_its_own_head_a_strange_one(world: World) -> None:
    async def main() -> None:
        async with world.running() as buffer:
            await buffer.asked("cloud")
            await buffer.put(world.frame(1))
            await buffer.flush()
            killed = world.killed()
        async with killed.running() as buffer:
            assert buffer.last + 1 == buffer.unasked("cloud")[1] > 1

    asyncio.run(main())


def test_a_kill_before_it_was_asked_leaves_the_doubt(world: World) -> None:
    async def main() -> None:
        await life(world, 0, ask=("cloud", "plant"))
        async with world.running("cloud", "plant") as buffer:
            await buffer.put(world.frame(3))
            await buffer.flush()
            killed = world.killed()
        async with killed.running("cloud", "plant") as buffer:
            assert (buffer.epoch, 4) == buffer.unasked("cloud")
            new = await buffer.renumber("seen elsewhere", buffer.unasked("cloud")[1])

            assert 3 in {
                int.from_bytes(frame.values[:8], "little") for frame in data(await everything(buffer)).values()
            }
            assert (new, buffer.last + 1) == buffer.unasked("plant")

    asyncio.run(main())


def test_a_row_that_is_not_what_was_written_counts_for_nothing(world: World) -> None:
    async def main() -> None:
        await life(world, 0)
        with closing(sqlite3.connect(world.folder / FILE)) as db, db:
            assert db.execute("UPDATE unasked SET first = 2 WHERE target = 'cloud'").rowcount == 1
        doubt = await life(world, 3)

        assert (1, 4) == (doubt["plant"][1], doubt["cloud"][1])

    asyncio.run(main())
