"""Simulated devices are read by a client that others have written: mbpoll, over TCP and on a serial port."""

import asyncio
import re
import shutil
import struct
import subprocess
from collections.abc import Mapping

import pytest

from tests.fakes.serial_line import PtyLine, framed
from tidegate.profiles.simulated import Server, Simulated

LINE = re.compile(r"^\[(\d+)\]:\s+(\S+)", re.MULTILINE)
DEADLINE_S = 20.0
HOLDING, INPUT = 3, 4
UNIT = 7
WORDS = {10: 0x0000, 11: 0x7FFF, 12: 0x8000, 13: 0xFFFF, 14: 0x3039}
LONGS = (0, 123456789, -123456789, 0x7FFFFFFF, -0x80000000)
FLOATS = (0.0, 230.5, -0.125, 1.5e30, 5.0e-20)
# Where 32-bit numbers lie, the high word first.
LONGS_AT, FLOATS_AT = 100, 200


def device() -> Simulated:
    words: dict[tuple[int, int], int] = {}
    for function in (HOLDING, INPUT):
        words |= {(function, at): word for at, word in WORDS.items()}
        for at, layout, numbers in ((LONGS_AT, ">i", LONGS), (FLOATS_AT, ">f", FLOATS)):
            data = b"".join(struct.pack(layout, number) for number in numbers)
            words |= {(function, at + i): struct.unpack_from(">H", data, 2 * i)[0] for i in range(len(data) // 2)}
    return Simulated(lambda: words)


async def polled(*words: str) -> str:
    """What mbpoll says of one poll, and in what it ended when that is no success."""
    if not shutil.which("mbpoll"):
        pytest.fail("This test needs mbpoll: run `.ci/needs test`", pytrace=False)
    process = await asyncio.create_subprocess_exec(
        "mbpoll", "-0", "-1", "-a", str(UNIT), *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), DEADLINE_S)
    finally:
        if process.returncode is None:
            process.kill()
    return said.decode()


def over_tcp(*words: str) -> str:
    async def main() -> str:
        async with Server(device(), unit=UNIT) as server:
            return await polled("-m", "tcp", "-p", str(server.port), *words, "127.0.0.1")

    return asyncio.run(main())


def on_a_port(*words: str) -> str:
    simulated = device()

    def answer(question: bytes) -> list[tuple[float, bytes]]:
        if question[0] != UNIT or framed(question[:-2]) != question:
            return []
        return [(0.002, framed(question[:1] + simulated.reply(question[1:-2])))]

    async def main() -> str:
        async with PtyLine(answer) as line:
            # A pty has no parity.
            return await polled("-m", "rtu", "-b", "19200", "-P", "none", *words, line.path)

    return asyncio.run(main())


TRANSPORTS = pytest.mark.parametrize("poll", [over_tcp, on_a_port], ids=["TCP", "RTU"])
TABLES = pytest.mark.parametrize("table", ["3", "4"], ids=["input", "holding"])


def values(said: str) -> Mapping[int, str]:
    """What it printed, by address."""
    return {int(at): text for at, text in LINE.findall(said)}


@TRANSPORTS
@TABLES
def test_words_are_what_the_device_holds(poll: object, table: str) -> None:
    assert callable(poll)
    said = poll("-t", f"{table}:hex", "-r", "10", "-c", str(len(WORDS)))

    assert WORDS == {at: int(text, 16) for at, text in values(said).items()}, said


@TRANSPORTS
@TABLES
def test_whole_numbers_of_two_registers_are_what_the_device_holds(poll: object, table: str) -> None:
    assert callable(poll)
    said = poll("-B", "-t", f"{table}:int", "-r", str(LONGS_AT), "-c", str(len(LONGS)))

    assert list(LONGS) == [int(text) for text in values(said).values()], said


@TRANSPORTS
@TABLES
def test_floats_are_what_the_device_holds(poll: object, table: str) -> None:
    assert callable(poll)
    said = poll("-B", "-t", f"{table}:float", "-r", str(FLOATS_AT), "-c", str(len(FLOATS)))
    held = [f"{struct.unpack('>f', struct.pack('>f', number))[0]:g}" for number in FLOATS]

    assert held == [f"{float(text):g}" for text in values(said).values()], said


@TRANSPORTS
def test_coils_are_refused_as_a_function_that_the_device_does_not_have(poll: object) -> None:
    assert callable(poll)
    said = poll("-t", "0", "-r", "0")

    assert "Illegal function" in said


def test_another_unit_is_not_answered() -> None:
    async def main() -> str:
        async with Server(device(), unit=UNIT + 1) as server:
            return await polled("-o", "0.3", "-p", str(server.port), "-t", "4", "127.0.0.1")

    assert "timed out" in asyncio.run(main())
