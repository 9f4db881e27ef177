"""A line on virtual time: what is taken and what never, its silences, and that a late reply is nobody's answer."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.fakes.serial_line import MemoryLine, Moves, Unit, framed, registers_of
from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.errors import NoAnswer, NotConnected, Refused
from tidegate_drivers.modbus.abandoned import KEPT_S, Abandoned
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import Question

LINE = Line(19200, "E", 1, 0.0, False)
TWO = bytes.fromhex("0300000002")
DATA = bytes.fromhex("00010002")
REPLY = framed(bytes([7, 3, 4]) + DATA)
TIMEOUT_S = 0.2
Story = Callable[[LineLink, MemoryLine], Coroutine[Any, Any, None]]


def honest(question: bytes, first: int = 1) -> bytes:
    """A unit whose register n holds n + first."""
    return framed(registers_of(question, lambda address: address + first))


def against(answer: Unit, story: Story, line: Line = LINE, gives_up: bool = False) -> None:
    async def main(clock: Clock) -> None:
        link = LineLink(clock, "the line", line, Abandoned(), gives_up)
        wire = MemoryLine(link, answer)
        await story(link, wire)
        link.close()

        assert wire.ended

    run_virtually(main)


async def ask(link: LineLink, unit: int = 7, pdu: bytes = TWO, reply_bytes: int = 4) -> bytes:
    return await link.ask("m1", unit, pdu, reply_bytes, link.time() + TIMEOUT_S)


@pytest.mark.parametrize(
    "moves",
    [
        [(0.01, REPLY)],
        [(0.01, b"\x00\xff" + REPLY)],
        [(0.01, REPLY + b"\x00")],
        [(0.01, framed(bytes([8, 3, 4]) + DATA) + REPLY)],
        [(0.01, REPLY[:5]), (0.02, REPLY)],
        [(0.01 * i, REPLY[i : i + 1]) for i in range(len(REPLY))],
        [(0.01, bytes(i % 251 for i in range(2000)) + REPLY)],
    ],
    ids=["clean", "noise before", "noise behind", "another unit's", "broken off and again", "in bytes", "much noise"],
)
def test_the_reply_is_found_among_what_comes(moves: Moves) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert await ask(link) == DATA

    against(lambda question: moves, story)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        REPLY[:-1],
        REPLY[:-1] + bytes([REPLY[-1] ^ 1]),
        framed(bytes([8, 3, 4]) + DATA),
        framed(bytes([7, 4, 4]) + DATA),
        framed(bytes([7, 3, 2]) + DATA[:2]),
        framed(bytes([7, 3, 6]) + DATA + DATA[:2]),
        framed(bytes([7, 0x84, 2])),
        framed(bytes([0, 3, 4]) + DATA),
    ],
    ids=["nothing", "cut off", "wrong checksum", "other unit", "other function", "too short", "too long",
         "other exception", "unit 0"],
)  # fmt: skip
def test_nothing_else_is_ever_the_reply(reply: bytes) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(NoAnswer, match="unit 7") as raised:
            await ask(link)

        assert ("bytes came" in raised.value.what) == bool(reply)
        assert not link.closed

    against(lambda question: [(0.01, reply)] if reply else [], story)


def test_an_exception_is_a_refusal() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(Refused, match="illegal data address"):
            await ask(link)

    against(lambda question: [(0.01, framed(bytes([7, 0x83, 2])))], story)


def test_several_questions_are_asked_one_after_the_other_until_one_is_refused() -> None:
    def answer(question: bytes) -> Moves:
        return [(0.01, framed(bytes([7, 0x83, 2])) if question[3] == 2 else honest(question))]

    async def story(link: LineLink, wire: MemoryLine) -> None:
        questions = [Question(bytes([3, 0, address, 0, 1]), 2) for address in range(4)]
        replies, asked = link.ask_all("m1", 7, questions, TIMEOUT_S, link.time() + 5)
        with pytest.raises(Refused):
            await asked

        assert [reply[1] for reply in replies if isinstance(reply, tuple)] == [b"\x00\x01", b"\x00\x02"]
        assert (type(replies[2]), replies[3], len(wire.asked)) == (Refused, None, 3)

    against(answer, story)


@pytest.mark.parametrize(
    ("line", "pause_s"),
    [(LINE, 38.5 / 19200), (Line(115200, "N", 1, 0.0, False), 0.00175), (Line(9600, "N", 2, 0.05, False), 0.05)],
    ids=["three and a half characters", "fixed above 19200", "turnaround"],
)
def test_between_a_reply_and_the_next_question_the_line_is_silent(line: Line, pause_s: float) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        await ask(link)
        await ask(link)

        assert wire.asked[1][0] - wire.asked[0][0] == pytest.approx(0.01 + pause_s, abs=1e-4)

    against(lambda question: [(0.01, honest(question))], story, line)


def test_after_silence_nothing_is_asked_until_the_late_reply_can_have_passed() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, unit=8)

        assert await ask(link) == DATA
        assert wire.asked[1][0] >= 2 * TIMEOUT_S

    against(lambda question: [(0.01, honest(question))] if question[0] == 7 else [], story)


def test_when_the_late_reply_has_passed_the_line_is_free_and_nobody_got_it() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(NoAnswer):
            await ask(link, unit=8)

        assert await ask(link) == DATA
        assert wire.asked[1][0] == pytest.approx(TIMEOUT_S + 0.02, abs=0.005)

    against(lambda question: [(0.01 if question[0] == 7 else TIMEOUT_S + 0.02, honest(question))], story)


@pytest.mark.parametrize("late_s", [0.21, 0.3, 0.45, 0.6, 1.0])
def test_a_late_reply_is_never_that_of_the_next_question(late_s: float) -> None:
    """The unit answers in order; its first reply is old, and looks exactly like the second one."""
    asked = 0

    def answer(question: bytes) -> Moves:
        nonlocal asked
        asked += 1
        now = asyncio.get_running_loop().time()
        return [(max(late_s + 0.01 * asked - now, 0.01), honest(question, asked))]

    async def story(link: LineLink, wire: MemoryLine) -> None:
        for _ in range(8):
            try:
                data = await ask(link)
            except NoAnswer:
                continue
            break

        assert data == bytes([0, asked, 0, asked + 1])
        assert asked > 1

    against(answer, story)


def test_a_unit_that_answers_only_what_is_configured_comes_back_within_a_minute() -> None:
    asked = 0

    def answer(question: bytes) -> Moves:
        nonlocal asked
        asked += 1
        return [(0.01, honest(question))] if asked > 1 and question[1:6] == TWO else []

    async def story(link: LineLink, wire: MemoryLine) -> None:
        while True:
            try:
                await ask(link)
                break
            except NoAnswer:
                await asyncio.sleep(1.0)

        assert link.time() < KEPT_S + 5

    against(answer, story)


def test_a_second_reply_makes_the_next_one_suspect() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        await ask(link)
        await asyncio.sleep(0.05)
        await ask(link)

        assert [question[5] for _, question in wire.asked] == [2, 1, 2]

    against(lambda question: [(0.01, honest(question)), (0.02, honest(question))], story)


@pytest.mark.parametrize("echo", [True, False])
def test_an_echo_is_no_reply(echo: bool) -> None:
    """17 to 24 coils at 0x0300 and on: a question that has the form of its own reply."""
    pdu = bytes.fromhex("0103000015")
    reply = framed(bytes([7, 1, 3, 1, 2, 3]))

    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert await ask(link, pdu=pdu, reply_bytes=3) == bytes([1, 2, 3])

    against(lambda question: [(0.005, question), (0.01, reply)], story, Line(19200, "E", 1, 0.0, echo))


def test_a_line_that_should_echo_and_does_not_is_told() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(NoAnswer, match="echo"):
            await ask(link)

    against(lambda question: [(0.01, honest(question))], story, Line(19200, "E", 1, 0.0, True))


def test_a_line_that_is_never_silent_is_spoken_into_all_the_same() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        async def babble() -> None:
            while True:
                link.data_received(b"\x55")
                await asyncio.sleep(0.001)

        babbling = asyncio.create_task(babble())
        for _ in range(5):
            assert await ask(link) == DATA
        babbling.cancel()
        await asyncio.gather(babbling, return_exceptions=True)

    against(lambda question: [(0.01, REPLY)], story)


def test_a_cancelled_question_is_given_up_like_a_silent_one() -> None:
    asked = 0

    def answer(question: bytes) -> Moves:
        nonlocal asked
        asked += 1
        return [(0.05 if asked == 1 else 0.06, honest(question, asked))]

    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await ask(link)

        assert await ask(link) == bytes([0, asked, 0, asked + 1])

    against(answer, story)


def test_a_reply_that_was_due_when_a_line_closed_is_not_taken_on_the_next() -> None:
    async def main(clock: Clock) -> None:
        abandoned = Abandoned()
        first, second = (LineLink(clock, "the line", LINE, abandoned, True) for _ in range(2))
        MemoryLine(first, lambda question: [])
        asked = first.ask("m1", 7, TWO, 4, first.time() + TIMEOUT_S)
        first.close()
        with pytest.raises(NotConnected):
            await asked
        wire = MemoryLine(second, lambda question: [(0.01, honest(question))])

        assert await ask(second) == DATA
        assert [question[5] for _, question in wire.asked] == [1, 2]
        second.close()

    run_virtually(main)


def test_two_askers_at_a_time_are_the_callers_mistake() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        first = link.ask("m1", 7, TWO, 4, link.time() + TIMEOUT_S)
        with pytest.raises(RuntimeError, match="one asker"):
            link.ask("m1", 7, TWO, 4, link.time() + TIMEOUT_S)

        assert await first == DATA

    against(lambda question: [(0.01, REPLY)], story)


def test_a_line_that_goes_fails_its_question_at_once() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        asked = link.ask("m1", 7, TWO, 4, link.time() + TIMEOUT_S)
        link.connection_lost(OSError(5, "Input/output error"))
        with pytest.raises(NotConnected, match="Input/output error"):
            await asked
        with pytest.raises(NotConnected, match="the line is gone"):
            await ask(link)

        assert link.time() == 0.0
        wire.ended = True

    against(lambda question: [], story)


@pytest.mark.parametrize(("gives_up", "error"), [(True, NotConnected), (False, NoAnswer)])
def test_only_a_connection_is_given_up_over_silence(gives_up: bool, error: type[Exception]) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        for _ in range(2):
            with pytest.raises(NoAnswer):
                await ask(link)
        with pytest.raises(error):
            await ask(link)

    against(lambda question: [], story, gives_up=gives_up)
