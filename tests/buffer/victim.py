"""A process to be killed: commits frames as fast as it can and prints what was confirmed. FOLDER START [FSIZE_KB]

With a third argument its files may grow to so many kilobytes only, from the 20th frame to the 40th: then the disk
"works again". Prints `fault` once when commits fail.
"""

import asyncio
import resource
import sys
from pathlib import Path

from tests.buffer.world import World
from tidegate.buffer.buffer import Committed

HARD = resource.getrlimit(resource.RLIMIT_FSIZE)[1]


async def main(folder: Path, start: int, limit_kb: int) -> None:
    world = World(folder)
    async with world.running(segment_bytes=64 << 10, commit_interval_s=0.002) as buffer:

        def hear(committed: Committed) -> None:
            for number, frame in enumerate(committed.frames, committed.first):
                value = int.from_bytes(frame.values[:8], "little") if frame.count else -1
                print(committed.epoch, number, value, flush=True)

        buffer.listen(hear)
        for value in range(start, start + 100_000):
            await buffer.put(world.frame(value))
            if value % 3 == 0:
                await asyncio.sleep(0.001)
            if value % 7 == 0:
                buffer.acknowledge("cloud", buffer.epoch, (max(1, buffer.last - 50), max(1, buffer.last - 20)))
            if limit_kb and value == start + 20:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_kb << 10, HARD))
            if limit_kb and value == start + 40:
                while not buffer.status().fault:  # noqa: ASYNC110  # nobody announces a fault
                    await asyncio.sleep(0.01)
                resource.setrlimit(resource.RLIMIT_FSIZE, (HARD, HARD))
                print("fault", flush=True)
            if limit_kb and value == start + 60:
                await buffer.flush()
                return


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0))
