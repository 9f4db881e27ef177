"""What `status` says of the process itself."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.buffer.world import World
from tidegate.clock import Clock
from tidegate.health import Sources, memory_bytes, plain

BALLAST_BYTES = 32 << 20


async def look(folder: Path) -> dict[str, Any]:
    async with World(folder).running() as buffer:
        sources = Sources("g", "0", lambda: "c0ffee", 0, Clock(), lambda: (), buffer.status, lambda: ())
        said: dict[str, Any] = plain(sources.look())
        return said


def test_status_counts_the_tasks_of_the_loop(tmp_path: Path) -> None:
    async def main() -> tuple[int, int]:
        before = (await look(tmp_path / "a"))["tasks"]
        more = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
        after = (await look(tmp_path / "b"))["tasks"]
        for task in more:
            task.cancel()
        return before, after

    before, after = asyncio.run(main())

    assert before >= 1
    assert before + 3 == after


@pytest.mark.skipif(sys.platform != "linux", reason="where the system does not tell, it is 0")
def test_status_tells_the_memory_in_use() -> None:
    before = memory_bytes()
    ballast = bytearray(BALLAST_BYTES)
    for at in range(0, len(ballast), 4096):
        ballast[at] = 1

    assert before > 1 << 20
    assert BALLAST_BYTES // 2 < memory_bytes() - before < 2 * BALLAST_BYTES
