"""What the buffer says of its progress: a commit that fails is tried again and moves, one that hangs stands still."""

import asyncio
from concurrent.futures import Executor, Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.fakes.virtual_time import run_virtually
from tidegate.buffer.committer import Committer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock
from tidegate.errors import BufferFault
from tidegate.model.gap import Gap, Why
from tidegate.notify import Notifier
from tidegate.watchdog import Watchdog

GAP = Gap(Why.DEVICE_DOWN, 0, 1, 1, "exact", device="m1")


class Disk(Executor):
    """A writer thread whose commits never come back, or all fail."""

    def __init__(self, error: BaseException | None) -> None:
        self._error = error

    def submit(self, *call: Any, **named: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        if self._error is not None:
            future.set_exception(self._error)
        return future


def still(disk: Disk, folder: Path) -> list[str]:
    async def main(clock: Clock) -> list[str]:
        state: Any = SimpleNamespace(
            settings=BufferSettings(folder), epoch="e", last=0, ledger=SimpleNamespace(waits=False)
        )
        writer: Any = SimpleNamespace(commit=None)
        committer = Committer(state, writer, disk, {})
        watchdog = Watchdog(Notifier({}), lambda: [committer.progress()], str)
        loop = asyncio.get_running_loop()
        committer.start(loop)
        assert watchdog.look(loop.time()) == []
        await asyncio.sleep(1000)
        assert watchdog.look(loop.time()) == []
        committer.tell(GAP)
        found = set()
        for _ in range(50):
            await asyncio.sleep(5)
            found |= set(watchdog.look(loop.time()))
        committer.stop()
        return sorted(found)

    return run_virtually(main)


def test_a_commit_that_hangs_in_the_disk_starves_the_watchdog(tmp_path: Path) -> None:
    assert ["commits"] == still(Disk(None), tmp_path)


def test_a_disk_that_refuses_for_minutes_does_not(tmp_path: Path) -> None:
    assert [] == still(Disk(BufferFault("no space")), tmp_path)
