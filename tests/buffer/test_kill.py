"""A real process, really killed: what it said was committed is there, and no number is used twice."""

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from tests.buffer.world import World, data, everything, gaps
from tidegate.buffer.verify import verify
from tidegate.model.gap import Gap, Why

ROOT = Path(__file__).parent.parent.parent
KILLS = 8
FRAMES_A_RUN = 1_000_000


def run_victim(folder: Path, *arguments: int, kill_after_s: float = 0.0) -> list[str]:
    """What a victim printed until it was killed (0: until it ended)."""
    command = [sys.executable, "-m", "tests.buffer.victim", str(folder), *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        lines = []
        if kill_after_s:
            lines.append(victim.stdout.readline())
            time.sleep(kill_after_s)
            victim.send_signal(signal.SIGKILL)
        lines += victim.stdout.read().splitlines()
    return [line.strip() for line in lines if line.endswith("\n") or len(line.split()) == 3 or line == "fault"]


def numbers(lines: list[str]) -> dict[int, int]:
    """Values by number, of lines that are whole."""
    found = {}
    for line in lines[:-1]:
        if line != "fault":
            _, number, value = line.split()
            assert int(number) not in found
            found[int(number)] = int(value)
    return found


async def look(world: World) -> tuple[dict[int, int], list[Gap]]:
    async with world.running() as buffer:
        await buffer.flush()
        found = await everything(buffer)
        values = {n: int.from_bytes(frame.values[:8], "little") for n, frame in data(found).items()}
        return values, gaps(found)


def test_what_was_confirmed_survives_every_kill(world: World) -> None:
    random = Random(7)
    confirmed: dict[int, int] = {}
    for kill in range(KILLS):
        lines = run_victim(world.folder, kill * FRAMES_A_RUN, kill_after_s=random.uniform(0.01, 0.25))
        said = numbers(lines)

        assert not set(said) & set(confirmed)
        confirmed.update(said)
        assert [] == verify(world.folder, running=False).damage
    values, told = asyncio.run(look(world))

    assert {n: v for n, v in confirmed.items() if v >= 0} == {n: v for n, v in values.items() if n in confirmed}
    assert KILLS == len({gap.id for gap in told if gap.why is Why.CRASH_WINDOW})
    assert len(confirmed) > 50
    for kill in range(KILLS):
        mine = [value for value in values.values() if value // FRAMES_A_RUN == kill]
        assert list(range(kill * FRAMES_A_RUN, kill * FRAMES_A_RUN + len(mine))) == mine


def test_a_disk_that_refuses_for_a_while_costs_nothing(world: World) -> None:
    lines = run_victim(world.folder, 0, 8)
    values, told = asyncio.run(look(world))

    assert "fault" in lines
    assert list(range(61)) == list(values.values())
    assert [] == told
    assert [] == verify(world.folder, running=False).damage
