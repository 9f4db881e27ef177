"""What a buffer keeps is for its user alone, also where nobody made its folder beforehand."""

import asyncio
from pathlib import Path

from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock


def test_a_state_folder_that_it_makes_is_for_its_user_alone(tmp_path: Path) -> None:
    state = tmp_path / "plant" / "state"

    async def run() -> None:
        buffer = await asyncio.to_thread(Buffer.open, BufferSettings(state), Clock(), [])
        await buffer.start()
        await buffer.close()

    asyncio.run(run())

    assert 0o700 == state.stat().st_mode & 0o777
