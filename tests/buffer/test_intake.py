"""Room in memory, while the disk takes nothing: who polls is not made to wait again and again."""

import asyncio
from pathlib import Path

from tests.fakes.virtual_time import run_virtually
from tidegate.buffer.intake import Intake
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock

DEADLINE_S = 5.0


def waits(folder: Path, commit_between: bool) -> tuple[list[bool], float]:
    """Ten frames for which there is no room: whether each came in, and how long that took."""

    async def main(_: Clock) -> tuple[list[bool], float]:
        intake = Intake(BufferSettings(folder, queue_readings_max=20, put_deadline_s=DEADLINE_S))
        assert await intake.room(20, 100)
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        found = [await intake.room(20, 100) for _ in range(5)]
        if commit_between:
            intake.release(20, 100)
        found += [await intake.room(20, 100) for _ in range(5)]
        return found, loop.time() - begin_s

    return run_virtually(main)


def test_only_the_first_waits_while_nothing_is_committed(tmp_path: Path) -> None:
    assert ([False] * 10, DEADLINE_S) == waits(tmp_path, commit_between=False)


def test_after_a_commit_waiting_helps_again(tmp_path: Path) -> None:
    # One comes in, the next waits in vain, the others do not.
    assert ([False] * 5 + [True] + [False] * 4, 2 * DEADLINE_S) == waits(tmp_path, commit_between=True)
