"""A restored image, as the buffer sees it: commits under numbers that were given elsewhere, then a new epoch. FOLDER

Meanwhile live frames go on. Lines of `mark`, each written when it holds: `commit EPOCH NUMBER VALUE`, and
`renumber EPOCH FIRST` when it begins. It ends as a kill would.
"""

import asyncio
import os
import sys
from pathlib import Path

from tests.buffer.world import World
from tidegate.buffer.buffer import Committed
from tidegate.model.gap import Gap, Why

BEFORE, SINCE = 6, 24
# A page is a few frames.
SETTINGS = {"renewal_bytes": 2000, "commit_interval_s": 0.001, "cursor_interval_s": 0.01}


async def main(folder: Path) -> None:
    mark = os.open(folder / "mark", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    world = World(folder / "state")

    def hear(committed: Committed) -> None:
        for number, frame in enumerate(committed.frames, committed.first):
            if frame.count:
                value = int.from_bytes(frame.values[:8], "little")
                os.write(mark, f"commit {committed.epoch} {number} {value}\n".encode())

    async def pour(start: int, count: int) -> None:
        for value in range(start, start + count):
            await buffer.put(world.frame(value))
            await buffer.flush()

    buffer = world.open(**SETTINGS)
    buffer.listen(hear)
    await buffer.start()
    await pour(0, BEFORE)
    first = buffer.last + 1
    await pour(100, SINCE)
    buffer.tell(Gap(Why.DEVICE_DOWN, 5, 6, 7, "exact", device="meter"))
    await buffer.flush()
    os.write(mark, f"renumber {buffer.epoch} {first}\n".encode())
    await asyncio.gather(buffer.renumber("seen elsewhere", first), pour(1000, SINCE))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
