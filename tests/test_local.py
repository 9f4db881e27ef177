"""The local socket answers those who may read the state folder, and nobody else."""

import asyncio
import stat
from pathlib import Path

import pytest

from tidegate.errors import TidegateError
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


def test_a_disk_that_refuses_at_the_end_raises_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()

    async def run() -> None:
        async with answering(folder, {}):
            folder.rename(tmp_path / "moved")
            folder.write_bytes(b"what was a folder is none")

    asyncio.run(run())

    assert (tmp_path / "moved" / "agent.sock").exists()


def test_an_answer_may_take_its_time_and_its_refusal_is_an_answer(tmp_path: Path) -> None:
    async def slowly(what: str) -> str:
        await asyncio.sleep(0.01)
        if what == "no":
            raise TidegateError("it can't be, and this is why")
        return what

    async def run() -> object:
        async with answering(tmp_path, {"say": slowly}):
            said = await asyncio.to_thread(ask, tmp_path, "say", what="yes")
            with pytest.raises(AgentSilent, match="and this is why"):
                await asyncio.to_thread(ask, tmp_path, "say", what="no")
            with pytest.raises(AgentSilent, match="unexpected keyword"):
                await asyncio.to_thread(ask, tmp_path, "say", which="yes")
            return said

    assert asyncio.run(run()) == "yes"
