"""Random lives of a buffer against a model of a dozen lines: put, tell, acknowledge, restart, kill, fill up."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.buffer.world import READINGS, World, data, everything, gaps
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.buffer.verify import verify
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

ACT = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 60)),
    st.tuples(st.just("put"), st.integers(300, 900)),
    st.tuples(st.just("tell"), st.integers(0, 3)),
    st.tuples(st.just("acknowledge"), st.integers(0, 400)),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("kill"), st.just(0)),
)
LIMITS = {"segment_bytes": 32 << 10, "quota_bytes": 768 << 10, "commit_interval_s": 0.001, "commit_readings": 200}


class Life:
    """A buffer that goes on through restarts and kills, and what must be true of it."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "state")
        self.kills = 0
        self.value = 0
        self.frames: dict[int, object] = {}
        self.counts: dict[int, int] = {}
        self.acknowledged = Ranges()
        self.rows: dict[int, Gap] = {}

    def hear(self, committed: Committed) -> None:
        numbered = list(enumerate(committed.frames, committed.first))
        assert not {number for number, _ in numbered} & set(self.frames)
        self.frames.update(numbered)
        self.counts.update({number: frame.count for number, frame in numbered})
        self.rows.update({gap.id: gap for gap in gaps(numbered)})

    async def open(self) -> Buffer:
        buffer = self.world.open(**LIMITS)
        buffer.listen(self.hear)
        await buffer.start()
        return buffer

    async def act(self, buffer: Buffer, act: str, amount: int) -> Buffer:
        if act == "put":
            for _ in range(amount):
                await buffer.put(self.world.frame(self.value))
                self.value += 1
        elif act == "tell":
            for _ in range(amount):
                buffer.tell(Gap(Why.DEVICE_DOWN, 1, 2, 1, "exact", device="meter"))
        elif act == "acknowledge":
            first = max(1, buffer.last - amount)
            last = min(buffer.last, first + amount // 2)
            if first <= last:
                buffer.acknowledge("cloud", buffer.epoch, (first, last))
                self.acknowledged.add(first, last)
        elif act == "restart":
            await buffer.close()
            buffer = await self.open()
        elif act == "kill":
            await buffer.flush()
            await buffer.gone("cloud", buffer.epoch, Ranges())
            self.kills += 1
            before, self.world = self.world, self.world.killed(str(self.kills))
            await buffer.close()
            shutil.rmtree(before.folder)
            buffer = await self.open()
        return buffer

    async def check(self, buffer: Buffer) -> None:
        await buffer.flush()
        found = await everything(buffer)
        numbers = Ranges([(1, buffer.last)]) if buffer.last else Ranges()
        gone = Ranges(pair for ranges, _ in await buffer.gone("cloud", buffer.epoch, numbers) for pair in ranges)
        evicted = Ranges(pair for gap in self.rows.values() for pair in gap.frames)

        assert set(self.frames) == set(range(1, buffer.last + 1))
        assert {n: f for n, f in self.frames.items() if n >= buffer.first} == dict(found)
        assert (Ranges([(1, buffer.first - 1)]) if buffer.first > 1 else Ranges()) == gone
        assert not [n for n in range(1, buffer.first) if n not in evicted and n not in self.acknowledged]
        assert not evicted.within(buffer.first, buffer.last)
        assert list(range(1, buffer.gaps + 1)) == sorted(self.rows)
        assert self.kills <= sum(1 for gap in self.rows.values() if gap.why is Why.CRASH_WINDOW) or not self.kills
        for gap in self.rows.values():
            if gap.why is Why.EVICTED:
                assert gap.n == sum(self.counts[n] for a, b in gap.frames for n in range(a, b + 1))
        assert all(frame.count in (0, READINGS) for frame in data(found).values())


@settings(max_examples=25, deadline=None)
@given(st.lists(ACT, min_size=3, max_size=25))
def test_any_life_keeps_the_promise(acts: list[tuple[str, int]]) -> None:
    async def run(folder: Path) -> None:
        life = Life(folder)
        buffer = await life.open()
        try:
            for act, amount in acts:
                buffer = await life.act(buffer, act, amount)
            await life.check(buffer)
        finally:
            await buffer.close()

        assert [] == verify(life.world.folder, running=False).damage

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder)))
