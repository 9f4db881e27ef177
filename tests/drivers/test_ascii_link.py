"""A line that speaks ASCII, on virtual time and on a pty: what is taken, silences, echoes, late replies."""

import asyncio
import termios
from typing import Any

import pytest

from tests.drivers.test_rtu_link import DATA, TWO, Story, ask
from tests.fakes.serial_line import MemoryLine, Moves, PtyLine, Unit, in_ascii, out_of_ascii, registers_of
from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.errors import NoAnswer, NotConnected
from tidegate.model.frame import readings
from tidegate_drivers.modbus.abandoned import Abandoned
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.framing import ASCII
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.line_link import LineLink

LINE = Line(9600, "E", 1, 0.0, False, ASCII, 7)
BODY = bytes([7, 3, 4]) + DATA
REPLY = in_ascii(BODY)


def honest(question: bytes, first: int = 1) -> bytes:
    """A unit whose register n holds n + first."""
    return in_ascii(registers_of(out_of_ascii(question), lambda address: address + first))


def against(answer: Unit, story: Story, line: Line = LINE) -> None:
    async def main(clock: Clock) -> None:
        link = LineLink(clock, "the line", line, Abandoned(), False)
        await story(link, MemoryLine(link, answer))
        link.close()

    run_virtually(main)


@pytest.mark.parametrize(
    "moves",
    [
        [(0.01, REPLY)],
        [(0.01, b"\x00\xff:" + REPLY)],
        [(0.01, in_ascii(bytes([8, 3, 4]) + DATA) + REPLY)],
        [(0.01, REPLY[:5]), (0.02, REPLY)],
        [(0.01 * i, REPLY[i : i + 1]) for i in range(len(REPLY))],
        [(0.01, bytes(i % 251 for i in range(3000)) + REPLY)],
    ],
    ids=["clean", "noise before", "another unit's", "broken off and again", "in characters", "much noise"],
)
def test_the_reply_is_found_among_what_comes(moves: Moves) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert await ask(link) == DATA
        assert wire.asked[0][1] == in_ascii(b"\x07" + TWO)

    against(lambda question: moves, story)


@pytest.mark.parametrize("wrong", [REPLY.lower(), REPLY[:-2], in_ascii(b"\x08" + BODY[1:]), in_ascii(BODY[:-1]), BODY])
def test_what_is_no_reply_is_no_answer_and_leaves_the_line_open(wrong: bytes) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(NoAnswer, match="bytes came"):
            await ask(link)

        assert not link.closed

    against(lambda question: [(0.01, wrong)], story)


def test_the_longest_reply_is_found() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        data = await ask(link, pdu=bytes([3, 0, 0, 0, 125]), reply_bytes=250)

        assert data == b"".join(n.to_bytes(2, "big") for n in range(1, 126))

    against(lambda question: [(0.01, b"\x00" * 100 + honest(question))], story)


@pytest.mark.parametrize(
    ("line", "pause_s"), [(LINE, 38.5 / 9600), (Line(9600, "E", 1, 0.05, False, ASCII, 7), 0.05)],
    ids=["as for RTU", "turnaround"],
)  # fmt: skip
def test_between_a_reply_and_the_next_question_the_line_is_silent(line: Line, pause_s: float) -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        await ask(link)
        await ask(link)

        assert wire.asked[1][0] - wire.asked[0][0] == pytest.approx(0.01 + pause_s, abs=1e-4)

    against(lambda question: [(0.01, honest(question))], story, line)


@pytest.mark.parametrize("late_s", [0.21, 0.3, 0.45, 0.6, 1.0])
def test_a_late_reply_is_never_that_of_the_next_question(late_s: float) -> None:
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


@pytest.mark.parametrize("echo", [True, False])
def test_an_echo_is_no_reply(echo: bool) -> None:
    """17 to 24 coils at 0x0300 and on: a question that has the form of its own reply."""
    reply = in_ascii(bytes([7, 1, 3, 1, 2, 3]))

    async def story(link: LineLink, wire: MemoryLine) -> None:
        assert await ask(link, pdu=bytes.fromhex("0103000015"), reply_bytes=3) == bytes([1, 2, 3])

    line = Line(9600, "E", 1, 0.0, echo, ASCII, 7)
    against(lambda question: [(0.005, question), (0.01, reply)], story, line)


def test_a_line_that_should_echo_and_does_not_is_told() -> None:
    async def story(link: LineLink, wire: MemoryLine) -> None:
        with pytest.raises(NoAnswer, match="echo"):
            await ask(link)

    against(lambda question: [(0.01, honest(question))], story, Line(9600, "E", 1, 0.0, True, ASCII, 7))


def test_units_on_a_serial_port_are_read_in_ascii(rig: Any) -> None:
    async def main() -> None:
        async with PtyLine(lambda question: [(0.0, honest(question, 10))], ascii=True) as line:
            made = rig.device(f"ascii://{line.path}", rig.words(3), 7, "m1")
            driver = ModbusDriver([made], Clock())
            await driver.open()
            found = [r.value for r in readings(await driver.read(made.groups[0]), made.table)]
            speed = termios.tcgetattr(line._port)[5]
            await driver.close()

            assert found == [10, 11, 12]
            assert (line.asked, speed) == ([b":070300000003F3\r\n"], termios.B19200)

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["rts", "rts-inverted"])
def test_a_port_whose_driver_has_no_direction_control_says_so_and_what_to_do(rig: Any, mode: str) -> None:
    async def main() -> None:
        async with PtyLine(lambda question: []) as line:
            made = rig.device(f"rtu://{line.path}", rig.words(3), 7, "m1", rs485=mode)
            with pytest.raises(NotConnected, match=r"no RS-485 direction control .* leave rs485 empty"):
                await ModbusDriver([made], Clock()).open()

    asyncio.run(main())


def test_to_switch_off_what_a_port_does_not_have_is_no_error(rig: Any) -> None:
    async def main() -> None:
        async with PtyLine(lambda question: [(0.0, honest(question))], ascii=True) as line:
            made = rig.device(f"ascii://{line.path}", rig.words(3), 7, "m1", rs485="off")
            driver = ModbusDriver([made], Clock())
            await driver.open()

            assert rig.bad(await driver.read(made.groups[0])) == []
            await driver.close()

    asyncio.run(main())
