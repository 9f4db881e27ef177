"""`tidegate buffer` as a person meets it: a buffer at rest, killed, damaged, and one that an agent holds."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.buffer.world import READINGS, World, damage, everything, gaps
from tidegate.cli.buffer import command
from tidegate.errors import BufferFault
from tidegate.health import plain
from tidegate.local import answering
from tidegate.model.gap import Why


def tidegate(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


async def fill(world: World, count: int) -> None:
    async with world.running(segment_bytes=16 << 10) as buffer:
        for value in range(count):
            await buffer.put(world.frame(value))
            await buffer.flush()
        buffer.acknowledge("cloud", buffer.epoch, (1, 10))


def newest(world: World) -> Path:
    return max((world.folder / "segments").glob("*.db"), key=lambda p: int(p.stem.split("-")[1]))


def test_verify_proves_a_buffer_at_rest(world: World) -> None:
    asyncio.run(fill(world, 100))
    ran = tidegate("verify", str(world.folder))

    assert 0 == ran.exit_code
    assert f"100 frames, {100 * READINGS:,} readings" in ran.output
    assert "proven" in ran.output


def test_verify_names_what_is_damaged_and_exits_1(world: World) -> None:
    asyncio.run(fill(world, 100))
    damage(newest(world), 0)
    ran = tidegate("verify", str(world.folder), "--json")
    found = json.loads(ran.output)

    assert 1 == ran.exit_code
    assert found["damaged"]
    assert newest(world).name in found["damage"][0]


@pytest.mark.parametrize("asked", ["status", "verify"])
def test_a_buffer_that_this_user_may_not_open_is_said_without_a_traceback(world: World, asked: str) -> None:
    asyncio.run(fill(world, 10))
    (world.folder / "lock").unlink()
    (world.folder / "lock").mkdir()  # refused to root too
    with pytest.raises(BufferFault, match=r"lock: .+ Run this as the gateway's user"):
        CliRunner().invoke(command, [asked, str(world.folder)], catch_exceptions=False)


def test_verify_sees_a_segment_that_is_missing(world: World) -> None:
    asyncio.run(fill(world, 100))
    newest(world).unlink()
    ran = tidegate("verify", str(world.folder))

    assert 1 == ran.exit_code
    assert "listed and missing" in ran.output


def test_verify_sees_a_control_database_that_is_missing(world: World) -> None:
    asyncio.run(fill(world, 1))
    (world.folder / "control.db").unlink()
    ran = tidegate("verify", str(world.folder))

    assert 1 == ran.exit_code
    assert "control.db is missing" in ran.output


def test_verify_proves_what_a_killed_agent_left(world: World) -> None:
    async def run() -> World:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            return world.killed()

    ran = tidegate("verify", str(asyncio.run(run()).folder))

    assert 0 == ran.exit_code
    assert "1 frame, " in ran.output


def test_verify_changes_nothing_that_the_next_start_needs(world: World) -> None:
    async def run() -> int:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            killed = world.killed()
        tidegate("verify", str(killed.folder))
        async with killed.running() as buffer:
            await buffer.flush()
            return buffer.last

    assert 2 == asyncio.run(run())


def test_verify_of_a_running_agent_says_what_it_leaves_out(world: World) -> None:
    async def run() -> Result:
        async with world.running(segment_bytes=16 << 10) as buffer:
            for value in range(60):
                await buffer.put(world.frame(value))
                await buffer.flush()
            return await asyncio.to_thread(tidegate, "verify", str(world.folder))

    ran = asyncio.run(run())

    assert 0 == ran.exit_code
    assert "an agent runs" in ran.output
    assert "1 segment, " in ran.output
    assert "proven in part" in ran.output


def test_status_of_a_buffer_at_rest(world: World) -> None:
    asyncio.run(fill(world, 100))
    ran = tidegate("status", str(world.folder), "--json")
    found = json.loads(ran.output)

    assert (0, False, True) == (ran.exit_code, found["running"], found["clean"])
    assert [1, 100, [["cloud", 90]]] == [found["epochs"][0][key] for key in ("first", "last", "waiting")]
    assert "cloud: 90 frames waiting" in tidegate("status", str(world.folder)).output


def test_status_of_a_running_agent_is_asked_for(world: World) -> None:
    async def run() -> Result:
        async with world.running() as buffer:
            await (await buffer.put(world.frame(1)))
            answer = {"buffer": plain(buffer.status())}
            async with answering(world.folder, {"status": lambda: answer}):
                return await asyncio.to_thread(tidegate, "status", str(world.folder))

    ran = asyncio.run(run())

    assert 0 == ran.exit_code, ran.output
    assert "numbers 1..1" in ran.output
    assert "cloud: 1 frame waiting" in ran.output


@pytest.mark.parametrize("act", ["status", "verify"])
def test_a_folder_without_a_buffer_is_left_as_it_is(tmp_path: Path, act: str) -> None:
    ran = tidegate(act, str(tmp_path))

    assert isinstance(ran.exception, BufferFault)
    assert [] == list(tmp_path.iterdir())


def test_salvage_keeps_what_is_good_and_says_what_is_lost(world: World) -> None:
    asyncio.run(fill(world, 100))
    path = newest(world)
    first = int(path.stem.split("-")[1])
    damage(path, 2)
    ran = tidegate("salvage", str(world.folder))

    assert 1 == ran.exit_code
    assert f"lost numbers: {first + 2}..{first + 2}" in ran.output
    assert 0 == tidegate("verify", str(world.folder)).exit_code
    assert "0 damaged segments" in tidegate("salvage", str(world.folder)).output


def test_what_a_command_salvaged_is_announced_at_the_next_start(world: World) -> None:
    asyncio.run(fill(world, 100))
    damage(newest(world), 2)
    tidegate("salvage", str(world.folder))

    async def run() -> list[Why]:
        async with world.running() as buffer:
            await buffer.flush()
            return [gap.why for gap in gaps(await everything(buffer))]

    assert [Why.CORRUPT] == asyncio.run(run())


def test_scrub_of_a_buffer_at_rest_says_what_would_help(world: World) -> None:
    asyncio.run(fill(world, 100))

    assert 0 == tidegate("scrub", str(world.folder)).exit_code

    damage(newest(world), 2)
    ran = tidegate("scrub", str(world.folder))

    assert 1 == ran.exit_code
    assert "tidegate buffer salvage" in ran.output


def test_scrub_asks_a_running_agent_which_salvages(world: World) -> None:
    asyncio.run(fill(world, 100))
    damage(newest(world), 2)

    async def run() -> Result:
        async with world.running() as buffer:
            answers = {
                "status": lambda: {"buffer": plain(buffer.status())},
                "scrub": lambda: plain(buffer.scrub()),
            }
            async with answering(world.folder, answers):
                return await asyncio.to_thread(tidegate, "scrub", str(world.folder))

    ran = asyncio.run(run())

    assert 1 == ran.exit_code, ran.output
    assert "1 damaged, 1 salvaged" in ran.output
    assert 0 == tidegate("verify", str(world.folder)).exit_code
