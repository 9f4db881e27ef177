"""The local socket answers those who may read the state folder, and nobody else."""

import asyncio
import stat
from pathlib import Path

import pytest

from tidegate.local import SOCKET_NAME, AgentSilent, answering, ask


def test_a_word_is_answered_even_from_a_deep_folder(tmp_path: Path) -> None:
    folder = tmp_path / ("deep" * 20) / ("er" * 40)
    folder.mkdir(parents=True)

    async def run() -> object:
        async with answering(folder, {"status": lambda: {"ok": 1}}):
            assert stat.S_IMODE((folder / SOCKET_NAME).stat().st_mode) == 0o600
            return await asyncio.to_thread(ask, folder, "status")

    assert asyncio.run(run()) == {"ok": 1}
    assert not (folder / SOCKET_NAME).exists()


def test_an_unknown_word_is_told_the_known_ones(tmp_path: Path) -> None:
    async def run() -> None:
        async with answering(tmp_path, {"status": dict}):
            await asyncio.to_thread(ask, tmp_path, "reboot")

    with pytest.raises(AgentSilent, match="I answer status"):
        asyncio.run(run())


def test_silence_says_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(AgentSilent, match="Is it running"):
        ask(tmp_path, "status")
