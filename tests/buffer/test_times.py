"""What control.db knows of the clock at each start, so that early frames get their right time."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from tests.buffer.world import NOW_US, World, everything
from tidegate.buffer.buffer import Buffer
from tidegate.clock import Clock, ClockState, Known, Source
from tidegate.model.identity import kernel_boot

SINCE_START_US = 30_000_000


class Board(World):
    """A machine without a clock battery: its wall clock begins at 1970, and NTP comes when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.mono_us = SINCE_START_US
        self.now_us = self.mono_us
        self.ntp = False
        self.known_at_once: Known | None = None

    def new_clock(self) -> Clock:
        return Clock(lambda: self.now_us, self._mono, source=Source.NTP, kernel=lambda: self.ntp)

    def _mono(self) -> int:
        return self.mono_us

    def pass_s(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)
        self.mono_us += round(seconds * 1e6)

    def synchronise(self) -> None:
        self.now_us, self.ntp = NOW_US + self.mono_us, True


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
