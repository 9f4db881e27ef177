"""What control.db knows of the clock at each start, so that early frames get their right time."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.buffer.board import Board
from tests.buffer.world import NOW_US, everything
from tidegate.buffer.buffer import Buffer
from tidegate.clock import ClockState, Known
from tidegate.model.identity import kernel_boot


def life(board: Board, story: "Callable[[Buffer], object]") -> None:
    async def main() -> None:
        async with board.running() as buffer:
            await buffer.put(board.frame(1))
            await buffer.flush()
            story(buffer)
            await buffer.put(board.frame(2))
            await buffer.flush()
            board.known_at_once = buffer.time_known(board.clock.boot)

    asyncio.run(main())


def known(board: Board, boot: int) -> Known | None:
    found: list[Known | None] = []

    async def main() -> None:
        async with board.running() as buffer:
            found.append(buffer.time_known(boot))

    asyncio.run(main())
    return found[0]


def right_us(moment: Known | None) -> int:
    """Which wall time monotonic zero was."""
    assert moment is not None
    return moment.wall_us - moment.mono_us


def test_the_first_commit_after_the_time_is_known_writes_it_down(tmp_path: Path) -> None:
    board = Board(tmp_path / "state")

    def ntp(buffer: Buffer) -> None:
        assert buffer.time_known(1) is None
        board.pass_s(10)
        board.synchronise()

    life(board, ntp)

    assert board.known_at_once is not None
    assert abs(right_us(known(board, 1)) - NOW_US) < 10_000


def test_a_start_of_the_same_machine_start_shares_what_a_later_one_learnt(tmp_path: Path) -> None:
    board = Board(tmp_path / "state")
    life(board, lambda _: board.pass_s(1))
    board.pass_s(5)
    life(board, lambda _: board.synchronise())

    assert kernel_boot()
    assert abs(right_us(known(board, 1)) - NOW_US) < 10_000


def test_another_start_of_the_machine_shares_nothing(tmp_path: Path) -> None:
    board = Board(tmp_path / "state")
    life(board, lambda _: board.synchronise())
    with closing(sqlite3.connect(board.folder / "control.db")) as db, db:
        db.execute("UPDATE boots SET kernel = 'another start'")
    board.ntp, board.mono_us = False, 40_000_000
    board.now_us = board.mono_us
    life(board, lambda _: board.pass_s(1))

    assert known(board, 2) is None


def test_a_start_whose_time_never_became_known_has_none(tmp_path: Path) -> None:
    board = Board(tmp_path / "state")
    life(board, lambda _: board.pass_s(1))

    assert known(board, 1) is None


def test_a_restart_without_ntp_goes_on_with_the_time_that_was_known(tmp_path: Path) -> None:
    board = Board(tmp_path / "state")
    life(board, lambda _: board.synchronise())
    board.ntp = False
    board.pass_s(60)
    seen: list[ClockState] = []
    life(board, lambda _: seen.append(board.clock.state))

    assert seen == [ClockState.SET]


def test_frames_on_disk_keep_the_time_that_they_were_taken_with(tmp_path: Path) -> None:
    board = Board(tmp_path / "state")
    life(board, lambda _: board.synchronise())

    async def main() -> None:
        async with board.running() as buffer:
            kept = dict(await everything(buffer))
            assert kept[1].gateway_us < NOW_US

    asyncio.run(main())
