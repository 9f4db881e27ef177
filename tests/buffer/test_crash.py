"""Since when a crash may have lost readings, when the clock of the run that died was not set."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.buffer.board import Board
from tests.buffer.world import NOW_US, everything, gaps
from tidegate.clock import BUILT_US
from tidegate.model.gap import Gap, Why
from tidegate.publish.restamp import restamp

DELAY_US = 5_000_000


def killed(board: Board, known_before: bool = False) -> Board:
    """A run of ten seconds with a frame at its end, killed; the time becomes known before that frame, or never."""

    async def main() -> Board:
        async with board.running() as buffer:
            await (await buffer.put(board.frame(1)))
            board.pass_s(10)
            if known_before:
                board.synchronise()
                await (await buffer.put(board.frame(2)))
                board.ntp = False
                board.now_us = board.mono_us
            await (await buffer.put(board.frame(3)))
            board.died_us = board.mono_us
            other = Board(board.folder.with_name("killed"))
            shutil.copytree(board.folder, other.folder)
            other.mono_us, other.now_us, other.died_us = board.mono_us, board.now_us, board.died_us
            return other

    return asyncio.run(main())


def window(board: Board, ntp_s: float | None = None) -> Gap:
    """The crash window as it is told by the next start; as it is sent `ntp_s` later, when NTP is there by then."""

    async def main() -> Gap:
        async with board.running() as buffer:
            await buffer.flush()
            if ntp_s is not None:
                board.pass_s(ntp_s)
                board.synchronise()
                await (await buffer.put(board.frame(9)))
            told = [(number, restamp(frame, buffer.time_known)) for number, frame in await everything(buffer)]
            [found] = [gap for gap in gaps(told) if gap.why is Why.CRASH_WINDOW]
            return found

    return asyncio.run(main())


def test_it_is_by_the_moment_at_which_that_run_knew_the_time(tmp_path: Path) -> None:
    board = killed(Board(tmp_path / "state"), known_before=True)
    board.pass_s(60)
    board.synchronise()
    found = window(board)

    assert found.t0 == pytest.approx(NOW_US + board.died_us - DELAY_US, abs=10_000)
    assert found.t1 == pytest.approx(board.now_us, abs=10_000)


def test_it_is_by_the_monotonic_clock_when_the_time_is_known_at_the_next_start(tmp_path: Path) -> None:
    board = killed(Board(tmp_path / "state"))
    board.pass_s(60)
    board.synchronise()
    found = window(board)

    assert found.t0 == pytest.approx(NOW_US + board.died_us - DELAY_US, abs=10_000)


def test_it_is_right_when_it_is_sent_though_the_time_came_after_it_was_told(tmp_path: Path) -> None:
    board = killed(Board(tmp_path / "state"))
    board.pass_s(60)
    found = window(board, ntp_s=30)

    assert found.t0 == pytest.approx(NOW_US + board.died_us - DELAY_US, abs=10_000)
    assert found.t1 == pytest.approx(NOW_US + board.died_us + 60_000_000, abs=10_000)


def test_of_another_start_of_the_machine_it_is_as_long_as_it_may_be(tmp_path: Path) -> None:
    board = killed(Board(tmp_path / "state"))
    with closing(sqlite3.connect(board.folder / "control.db")) as db, db:
        db.execute("UPDATE boots SET kernel = 'another start'")
    board.synchronise()
    found = window(board)

    assert (BUILT_US, True) == (found.t0, found.t1 >= NOW_US)
