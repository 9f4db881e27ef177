"""A gateway's buffer, written as in life, for the recorder: FOLDER first|second. It writes down what it promised.

first   commits, seals, removals for the quota, cursors, gaps, a damaged segment salvaged, a new epoch, then a kill
second  goes on from there: a start that recovers and salvages, more of the same, and a clean end

Lines of `mark`, each written when it holds:  commit EPOCH NUMBER VALUE · ack EPOCH FIRST LAST (when it begins) ·
damage EPOCH FIRST LAST (numbers that may be lost from now on) · floor EPOCH NUMBER
"""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from tests.buffer.world import World, everything
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.model.gap import Gap, Why

FRAMES = 400
SEGMENT_BYTES = 12 << 10
QUOTA_BYTES = 1000 << 10


class Life:
    """One run of the buffer, with its marks."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "state")
        self._mark = os.open(folder / "mark", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def mark(self, *words: object) -> None:
        os.write(self._mark, (" ".join(map(str, words)) + "\n").encode())

    def hear(self, committed: Committed) -> None:
        for number, frame in enumerate(committed.frames, committed.first):
            value = int.from_bytes(frame.values[:8], "little") if frame.count else -1
            self.mark("commit", committed.epoch, number, value)

    def open(self) -> Buffer:
        changed = {"segment_bytes": SEGMENT_BYTES, "quota_bytes": QUOTA_BYTES, "cursor_interval_s": 0.01}
        buffer = self.world.open(commit_interval_s=0.001, commit_readings=100, **changed)
        buffer.listen(self.hear)
        return buffer

    async def pour(self, buffer: Buffer, start: int) -> None:
        for value in range(start, start + FRAMES):
            await buffer.put(self.world.frame(value))
            if value % 2 == 0:
                await buffer.flush()
            if value % 5 == 0 and buffer.last > 40:
                span = (max(1, buffer.last - 40), buffer.last - 30)
                self.mark("ack", buffer.epoch, *span)
                buffer.acknowledge("cloud", buffer.epoch, span, messages_max=1)
            if value % 40 == 0:
                buffer.tell(Gap(Why.DEVICE_DOWN, value, value + 1, device="meter"))
                self.mark("floor", buffer.epoch, buffer.first)

    def damage(self, whole: bool = False) -> None:
        """Flip a bit in a sealed segment of the middle, or (`whole`) make it longer, so that the next start sees it."""
        found = [p for p in (self.world.folder / "segments").iterdir() if p.name.endswith(".db")]
        sealed = sorted(p for p in found if not p.with_name(p.name + "-wal").exists())
        path = sealed[len(sealed) // 2]
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as db:
            first, last, data = db.execute(
                "SELECT first, last, data FROM blocks ORDER BY first LIMIT 1 OFFSET 3"
            ).fetchone()
        self.mark("damage", path.name.split("-")[0], first, last)
        content = path.read_bytes()
        file = os.open(path, os.O_WRONLY)
        at = content.index(data[:64]) + 32
        os.pwrite(file, bytes([content[at] ^ 0x10]), at)
        if whole:
            os.pwrite(file, b"more", len(content))
        os.fsync(file)
        os.close(file)


async def main(life: Life, run: str) -> None:
    start = 0 if run == "first" else 10_000
    buffer = life.open()
    await buffer.start()
    await life.pour(buffer, start)
    life.damage()
    await everything(buffer)
    await life.pour(buffer, start + FRAMES)
    if run == "first":
        await buffer.renumber("a rehearsal")
        await life.pour(buffer, start + 2 * FRAMES)
        life.damage(whole=True)
        os._exit(0)
    await buffer.close()


if __name__ == "__main__":
    asyncio.run(main(Life(Path(sys.argv[1])), sys.argv[2]))
