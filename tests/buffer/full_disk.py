"""A process whose disk is too small: it mounts one of its own, fills it, and prints what it kept. FOLDER MEGABYTES

Run it within a mount namespace of its own (`unshare --mount`), so that the disk goes with it.
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.buffer.world import World, data, everything
from tidegate.buffer.verify import verify
from tidegate.model.frame import Frame
from tidegate.proof import Ranges

FRAMES = 16_000
FLUSH_DEADLINE_S = 30.0


async def main(world: World) -> dict[str, object]:
    expected: dict[int, Frame] = {}
    async with world.running(segment_bytes=256 << 10, commit_readings=400) as buffer:
        buffer.listen(lambda c: expected.update(zip(range(c.first, c.last + 1), c.frames, strict=True)))
        for value in range(FRAMES):
            await buffer.put(world.frame(value))
            if value % 100 == 99:
                try:
                    async with asyncio.timeout(FLUSH_DEADLINE_S):
                        await buffer.flush()
                except TimeoutError:
                    raise AssertionError(f"nothing is committed any more at {value}: {buffer.status()}") from None
        kept = data(await everything(buffer))
        return {
            "put": sum(1 for frame in expected.values() if frame.count),
            "right": all(expected[number] == frame for number, frame in kept.items()),
            "kept": len(kept),
            "gone": [
                [ranges.pairs, why]
                for ranges, why in await buffer.gone("cloud", buffer.epoch, Ranges([(1, buffer.last)]))
            ],
            "first": buffer.first,
        }


if __name__ == "__main__":
    disk = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={sys.argv[2]}m", "tmpfs", str(disk)], check=True)
    world = World(disk / "state")
    found = asyncio.run(main(world))
    print(json.dumps({**found, "damage": verify(world.folder, running=False).damage}))
