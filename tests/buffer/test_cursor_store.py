"""When cursors reach the disk: seldom, for the sake of the disk; at once where a kill would cost duplicates."""

import asyncio
import resource

from tests.buffer.world import World
from tidegate.proof import Ranges


def test_a_cursor_is_stored_at_once_past_a_window(world: World) -> None:
    async def run() -> int:
        async with world.running(cursor_interval_s=3600) as buffer:
            for value in range(20):
                await buffer.put(world.frame(value))
            await buffer.flush()
            for number in range(1, 9):
                buffer.acknowledge("cloud", buffer.epoch, (number, number), messages_max=8)
            assert 8 == buffer.unstored("cloud")
            # The writer works in order: when it has answered this, it has stored the cursor.
            await buffer.gone("cloud", buffer.epoch, Ranges())
            other = world.killed()
        async with other.running() as buffer:
            return buffer.cursor("cloud", buffer.extents()[0].epoch).reach(1)

    assert 8 == asyncio.run(run())


def test_a_cursor_that_the_disk_refused_is_stored_soon_after(world: World) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    async def run() -> int:
        async with world.running(cursor_interval_s=3600) as buffer:
            await (await buffer.put(world.frame(1)))
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
            try:
                buffer.acknowledge("cloud", buffer.epoch, (1, 1), messages_max=1)
                await buffer.gone("cloud", buffer.epoch, Ranges())
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            refused = buffer.unstored("cloud")
            async with asyncio.timeout(20):
                while buffer.unstored("cloud"):  # noqa: ASYNC110  # nobody announces it
                    await asyncio.sleep(0.01)
            return refused

    assert 1 == asyncio.run(run())
