"""A process whose disk somebody else fills for a while: prints how many bytes the buffer took. FOLDER

Run it within a mount namespace of its own (`unshare --mount`), so that the disk goes with it.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.buffer.world import World
from tidegate.buffer.buffer import Buffer

SEGMENT_BYTES = 128 << 10
FRAMES = 6000  # About a megabyte.


async def pour(buffer: Buffer, world: World, start: int) -> int:
    for value in range(start, start + FRAMES):
        await buffer.put(world.frame(value))
        if value % 200 == 199:
            await buffer.flush()
    return buffer.status().bytes_used


async def main(disk: Path) -> dict[str, int]:
    world = World(disk / "state")
    async with world.running(segment_bytes=SEGMENT_BYTES, commit_readings=4000) as buffer:
        before = await pour(buffer, world, 0)
        foreign = disk / "foreign"
        # A fortieth stays free, which is less than a twentieth.
        foreign.write_bytes(bytes((40 << 20) - (2 << 20) - before - (1 << 20)))
        scarce = await pour(buffer, world, FRAMES)
        foreign.unlink()
        after = await pour(buffer, world, 2 * FRAMES)
        return {
            "before": before,
            "scarce": scarce,
            "after": after,
            "slack": 4 * SEGMENT_BYTES,
        }


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(disk)], check=True)
    print(json.dumps(asyncio.run(main(disk))))
