"""Replies that others talk into: a line goes on at once, and what comes all the same is never taken for another."""

import asyncio

from tests.drivers.test_rtu_link import DATA, LINE, REPLY, Story, ask, honest
from tests.fakes.serial_line import MemoryLine, Moves, Unit, framed
from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.errors import NoAnswer
from tidegate_drivers.modbus.abandoned import Abandoned
from tidegate_drivers.modbus.delays import Delays
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.line_link import SPOILED_S, LineLink

BROKEN = REPLY[:-1] + bytes([REPLY[-1] ^ 1])
DELAY_S = 0.01


def against(answer: Unit, story: Story, line: Line = LINE) -> Delays:
    delays = Delays()

    async def main(clock: Clock) -> None:
        link = LineLink(clock, "the line", line, Abandoned(), False, delays)
        wire = MemoryLine(link, answer)
        await story(link, wire)
        link.close()

    run_virtually(main)
    return delays


async def told(link: LineLink, unit: int = 7) -> str:
    try:
        await ask(link, unit)
    except NoAnswer as error:
        return error.what
    return "answered"


def spoiling(nth: int, moves: Moves) -> Unit:
    """Answers after DELAY_S, but the nth question with these moves."""
    asked = 0

    def answer(question: bytes) -> Moves:
        nonlocal asked
        asked += 1
        return moves if asked == nth else [(DELAY_S, honest(question))]

    return answer


def test_a_spoiled_reply_costs_the_line_hundredths_of_a_second_and_not_the_timeout() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert "answered" == await told(link)
        begin = link.time()
        assert "spoiled" in await told(link)
        assert link.time() - begin < 2 * SPOILED_S
        assert "answered" == await told(link)
        assert link.time() - begin < 3 * SPOILED_S

    delays = against(spoiling(2, [(DELAY_S, BROKEN)]), story)

    assert {"m1": 1} == delays.spoiled


def test_a_reply_behind_noise_is_waited_for_as_long_as_its_unit_may_take() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert "answered" == await told(link)
        assert DATA == await ask(link)

    against(spoiling(2, [(0.001, b"\x55\x00"), (2 * DELAY_S, REPLY)]), story)


def test_of_a_unit_that_never_answered_nobody_knows_what_is_late() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert DATA == await ask(link)

    against(spoiling(1, [(0.001, b"\x55\x00"), (0.15, REPLY)]), story)


def test_behind_tcp_the_rest_of_a_reply_may_take_any_time() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert "answered" == await told(link)
        assert DATA == await ask(link)

    against(spoiling(2, [(DELAY_S, REPLY[:4]), (0.15, REPLY[4:])]), story, Line(0, "N", 1, 0.0, False))


def test_a_reply_that_comes_after_it_was_taken_for_spoiled_is_not_the_next_ones() -> None:
    late = [(DELAY_S, b"\x55\x00\x55"), (0.12, framed(bytes([7, 3, 4, 0, 99, 0, 99])))]

    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert "answered" == await told(link)
        assert "spoiled" in await told(link)
        await asyncio.sleep(0.02)
        assert DATA == await ask(link)
        # It was asked something shorter first.
        assert 4 == len(wire.asked)

    against(spoiling(2, late), story)
