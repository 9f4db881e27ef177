"""A buffer on a disk that fails, for faults.c: FOLDER CONTROL MODE FIRST LAST. Prints what became of it as JSON.

For each N of FIRST..LAST the disk works for N - 1 calls of the mode's kind and fails from then on, while frames are put
for a moment; then it works again, and the buffer has to be well within WELL_S.
"""

import asyncio
import contextlib
import json
import mmap
import sys
import time
from pathlib import Path
from struct import pack_into, unpack_from

from tests.buffer.world import World, everything
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.buffer.verify import verify
from tidegate.errors import BufferFault
from tidegate.model.gap import Why
from tidegate.proof import Ranges

WELL_S = 5.0
FAILING_S = 0.05
FRAMES = 8
WRITE_ENOSPC = 2  # The mode in which oldest segments may go.


class Disk:
    """The mapped file through which faults.c is steered: 16 bytes that are there already."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)

    def fail(self, mode: int, number: int) -> None:
        pack_into("<iiii", self._map, 0, 0, number - 1, 0, 0)
        pack_into("<i", self._map, 0, mode)

    def work(self) -> int:
        """Work again; how many calls failed."""
        pack_into("<i", self._map, 0, 0)
        return int(unpack_from("<i", self._map, 12)[0])


async def bad_moment(buffer: Buffer, world: World, disk: Disk, mode: int, number: int) -> dict[str, float]:
    """One fault, and how long it took until everything was committed after it."""
    disk.fail(mode, number)
    for value in range(FRAMES):
        await buffer.put(world.frame(1000 * number + value))
        await asyncio.sleep(FAILING_S / FRAMES)
    with contextlib.suppress(BufferFault):  # It says so, and a later try may help.
        await buffer.read(buffer.epoch, buffer.first, buffer.last, 4096)
    failed = disk.work()
    began_s = time.monotonic()
    async with asyncio.timeout(WELL_S):
        await buffer.flush()
    return {"number": number, "failed": failed, "well_s": time.monotonic() - began_s}


async def main(folder: Path, disk: Disk, mode: int, first: int, last: int) -> dict[str, object]:
    world = World(folder)
    said: dict[tuple[str, int], object] = {}

    def hear(committed: Committed) -> None:
        for number, frame in enumerate(committed.frames, committed.first):
            assert (committed.epoch, number) not in said
            said[committed.epoch, number] = frame

    async with world.running(segment_bytes=16 << 10, commit_interval_s=0.005) as buffer:
        buffer.listen(hear)
        moments = [await bad_moment(buffer, world, disk, mode, number) for number in range(first, last + 1)]
        kept: dict[tuple[str, int], object] = {}
        for extent in buffer.extents():
            found = await everything(buffer, extent.epoch)
            kept |= {(extent.epoch, number): frame for number, frame in found}
        evicted = Ranges()
        for ranges, why in await buffer.gone("cloud", buffer.epoch, Ranges([(1, buffer.last)])):
            assert (mode, why) == (WRITE_ENOSPC, Why.EVICTED)
            evicted.update(ranges)
    owed = {key for key in said if key[0] != buffer.epoch or not evicted.within(key[1], key[1])}
    right = all(kept.get(key) == said[key] for key in owed)
    put = sum(1 for frame in said.values() if frame.count)  # type: ignore[attr-defined]  # frames
    return {"moments": moments, "right": right, "put": put, "damage": verify(folder, running=False).damage}


if __name__ == "__main__":
    state, control, *numbers = sys.argv[1:]
    mode, first, last = map(int, numbers)
    print(json.dumps(asyncio.run(main(Path(state), Disk(Path(control)), mode, first, last))))
