"""Dead letters in the buffer: one target does not get a number, the others do; it is kept, and can be owed again."""

import asyncio
import json
from pathlib import Path

from click.testing import CliRunner

from tests.buffer.world import READINGS, World, everything, gaps
from tidegate.cli.buffer import command
from tidegate.model.gap import Why
from tidegate.proof import Ranges


async def bury(world: World, number: int) -> None:
    async with world.running("cloud", "mill") as buffer:
        for value in range(10):
            await buffer.put(world.frame(value))
        await buffer.flush()
        await buffer.letters.bury("cloud", buffer.epoch, number)
        await buffer.flush()


def test_a_dead_letter_closes_its_number_for_its_own_target_only(world: World) -> None:
    async def main() -> None:
        await bury(world, 4)
        async with world.running("cloud", "mill") as buffer:
            told = [gap for gap in gaps(await everything(buffer)) if gap.why is Why.DEAD_LETTER]
            asked = Ranges([(1, 10)])

            assert 4 in buffer.cursor("cloud", buffer.epoch)
            assert 4 not in buffer.cursor("mill", buffer.epoch)
            assert [(gap.frames, gap.targets, gap.n, gap.n_is) for gap in told] == [
                (((4, 4),), ("cloud",), READINGS, "exact")
            ]
            assert await buffer.gone("cloud", buffer.epoch, asked) == [(Ranges([(4, 4)]), Why.DEAD_LETTER)]
            assert await buffer.gone("mill", buffer.epoch, asked) == []
            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((4, 4),)]
            assert buffer.letters.kept("mill") == ()

    asyncio.run(main())


def test_a_dead_letter_that_is_sent_again_is_owed_over_restarts(world: World) -> None:
    async def main() -> None:
        await bury(world, 4)
        async with world.running("cloud", "mill") as buffer:
            assert await buffer.letters.resubmit("cloud") == [(buffer.epoch, 4, 4)]
            assert buffer.letters.kept() == ()
        async with world.running("cloud", "mill") as buffer:
            assert buffer.letters.kept() == ()
            assert 4 not in buffer.cursor("cloud", buffer.epoch)
            assert await buffer.gone("cloud", buffer.epoch, Ranges([(1, 10)])) == []
            buffer.acknowledge("cloud", buffer.epoch, (1, 10))
            assert 4 in buffer.cursor("cloud", buffer.epoch)

    asyncio.run(main())


def test_a_kill_leaves_the_dead_letter_and_its_cursor_or_neither(world: World) -> None:
    async def main() -> World:
        async with world.running("cloud", "mill") as buffer:
            for value in range(10):
                await buffer.put(world.frame(value))
            await buffer.flush()
            await buffer.letters.bury("cloud", buffer.epoch, 7)
            return world.killed()

    async def after(killed: World) -> None:
        async with killed.running("cloud", "mill") as buffer:
            assert [gap.frames for gap in buffer.letters.kept("cloud")] == [((7, 7),)]
            assert 7 in buffer.cursor("cloud", buffer.epoch)

    asyncio.run(after(asyncio.run(main())))


def test_the_command_shows_dead_letters_of_a_buffer_at_rest(world: World, tmp_path: Path) -> None:
    asyncio.run(bury(world, 4))
    ran = CliRunner().invoke(command, ["letters", str(world.folder)])
    found = json.loads(CliRunner().invoke(command, ["letters", "--json", str(world.folder)]).output)

    assert "cloud: number 4 of epoch" in ran.output
    assert "1 dead letter" in ran.output
    assert [gap["frames"] for gap in found] == [[[4, 4]]]


def test_a_damaged_buffer_is_still_proven_with_a_dead_letter_in_it(world: World) -> None:
    asyncio.run(bury(world, 4))
    ran = CliRunner().invoke(command, ["verify", str(world.folder)])

    assert 0 == ran.exit_code
    assert "proven" in ran.output
