"""`tidegate sniff` on a line where a foreign client and a foreign server talk: it hears all, and writes nothing."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient

from tests.drivers.test_rtu_foreign import pymodbus_behind_tcp
from tests.fakes.serial_line import framed, in_ascii
from tidegate_drivers.modbus.heard import Frame, Kind, Noise
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.sniff import Sniff, listen
from tidegate_drivers.modbus.tally import Summary, Tally

HOST, UNIT = "127.0.0.1", 17
DEADLINE_S = 60.0
QUESTION, REPLY = framed(bytes.fromhex("070300000002")), framed(bytes.fromhex("07030443669A3C"))
LINE = Line(9600, "N", 1, 0.0, False)
PROGRAM = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "sniff"]


@asynccontextmanager
async def tapped() -> AsyncIterator[tuple[str, Callable[[bytes], None], Callable[[], bytes]]]:
    """A port on which a listener hears what `say` puts there, and what it wrote itself, which must be nothing."""
    ours, port = os.openpty()
    tty.setraw(port)
    os.set_blocking(ours, False)

    def written() -> bytes:
        try:
            return os.read(ours, 4096)
        except BlockingIOError:
            return b""

    def say(piece: bytes) -> None:
        # Where nobody listens yet, the port takes only so much.
        with suppress(BlockingIOError):
            os.write(ours, piece)

    try:
        yield os.ttyname(port), say, written
    finally:
        os.close(ours)
        os.close(port)


@asynccontextmanager
async def client_and_server(say: Callable[[bytes], None]) -> AsyncIterator[AsyncModbusTcpClient]:
    """pymodbus' client and pymodbus' server, RTU framed, with a tee between them that `say` is told everything by."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                say(data)
                writer.write(data)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async with pymodbus_behind_tcp(HOST) as address:
        ways: list[asyncio.Task[None]] = []

        async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = await asyncio.open_connection(HOST, int(address.rpartition(":")[2]))
            ways.extend(asyncio.create_task(carry(*way)) for way in ((reader, there[1]), (there[0], writer)))

        tee = await asyncio.start_server(join, HOST, 0)
        port = tee.sockets[0].getsockname()[1]
        client = AsyncModbusTcpClient(HOST, port=port, framer=FramerType.RTU, timeout=10)
        try:
            assert await client.connect()
            yield client
        finally:
            client.close()
            tee.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


def test_what_a_foreign_client_and_server_say_is_heard_and_nothing_is_written() -> None:
    async def main() -> None:
        heard: list[object] = []
        all_heard = asyncio.Event()

        def hear(one: object) -> None:
            heard.append(one)
            if sum(isinstance(one, Frame) for one in heard) == 44:
                all_heard.set()

        async with tapped() as (path, say, written):
            sniff = Sniff(path, [LINE], 0.0, 3.0)
            listening = asyncio.create_task(sniff.run(hear))
            await asyncio.sleep(0)  # The port is open from here on.
            async with client_and_server(say) as client:
                for at in range(20):
                    assert not (await client.read_holding_registers(at, count=2, device_id=UNIT)).isError()
                assert not (await client.write_register(3, 7, device_id=UNIT)).isError()
                assert (await client.read_holding_registers(60000, count=2, device_id=UNIT)).isError()
            async with asyncio.timeout(DEADLINE_S):
                await all_heard.wait()
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

            assert b"" == written()
        summary = sniff.summary()
        assert summary is not None
        [unit] = summary.units

        assert [Kind.QUESTION, Kind.REPLY] * 21 + [Kind.QUESTION, Kind.EXCEPTION] == [
            one.kind for one in heard if isinstance(one, Frame)
        ]
        assert (UNIT, 22, 22, 0, 0) == (unit.unit, unit.questions, unit.replies, unit.missing, unit.wrong_sums)
        assert {2: 1} == unit.exceptions
        assert (summary.unknown, summary.advice) == (0, "")

    asyncio.run(main())


def test_a_line_of_noise_is_told_to_have_other_settings() -> None:
    tally = Tally()
    tally.came(500)
    tally.count(Noise(0.0, b"\xff" * 32, 500))
    summary = tally.summary(LINE, 10.0, "19200 baud, 8E1")

    assert "other settings. Try 19200 baud, 8E1" in str(summary)


def test_a_silent_line_is_told() -> None:
    assert "Nothing was heard" in str(Tally().summary(LINE, 10.0, ""))


def test_automatic_settings_are_those_under_which_frames_are_heard() -> None:
    async def main() -> Summary | None:
        notes: list[object] = []
        async with tapped() as (path, say, _):
            sniff = Sniff(path, [LINE, Line(19200, "E", 1, 0.0, False)], 0.0, DEADLINE_S)
            listening = asyncio.create_task(sniff.run(notes.append))
            async with asyncio.timeout(DEADLINE_S):
                while not any(isinstance(one, Frame) for one in notes):
                    say(QUESTION)
                    await asyncio.sleep(0.02)
                    say(REPLY)
                    await asyncio.sleep(0.02)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

            assert ["listening at 9600 baud, 8N1", "frames are heard at 9600 baud, 8N1"] == [
                str(one).removeprefix("note    ") for one in notes[:2]
            ]
        return sniff.summary()

    assert asyncio.run(main()) is not None


def test_a_line_of_ascii_is_heard() -> None:
    async def main() -> list[str]:
        async with tapped() as (path, say, _):
            process = await asyncio.create_subprocess_exec(
                *PROGRAM, f"ascii://{path}", "--baud", "9600", "--parity", "e", stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            reading = asyncio.create_task(process.stdout.readline())
            async with asyncio.timeout(DEADLINE_S):
                while not reading.done():
                    say(in_ascii(bytes.fromhex("070300000002")))
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGTERM)
                out, _ = await process.communicate()

            return [(await reading).decode(), *out.decode().splitlines()]

    lines = asyncio.run(main())

    assert "unit 7    question    3  read holding 0x0000, 2" in lines[0]
    assert lines[-1].startswith("9600 baud, 7E1, ASCII: ")


def test_the_command_prints_what_it_hears_and_a_summary_when_it_is_interrupted() -> None:
    async def main() -> list[str]:
        async with tapped() as (path, say, _):
            process = await asyncio.create_subprocess_exec(*PROGRAM, path, "--baud", "9600", stdout=subprocess.PIPE)
            assert process.stdout is not None
            reading = asyncio.create_task(process.stdout.readline())
            async with asyncio.timeout(DEADLINE_S):
                while not reading.done():
                    say(QUESTION)
                    await asyncio.sleep(0.05)
                    say(REPLY)
                    await asyncio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(DEADLINE_S):
                out, _ = await process.communicate()

            assert 0 == process.returncode
            return [(await reading).decode(), *out.decode().splitlines()]

    lines = asyncio.run(main())

    assert "read holding 0x0000, 2" in lines[0] or "holding 4366 9A3C" in lines[0]
    assert re.match(r"9600 baud, 8N1: \d+ bytes in ", lines[-1])
    assert lines[-2].startswith("unit 7 ")


def test_json_is_a_line_a_thing() -> None:
    async def main() -> str:
        async with tapped() as (path, say, _):
            words = ["--baud", "9600", "--json", "--seconds", "3s"]
            process = await asyncio.create_subprocess_exec(*PROGRAM, path, *words, stdout=subprocess.PIPE)
            done = asyncio.create_task(process.communicate())
            async with asyncio.timeout(DEADLINE_S):
                while not done.done():
                    say(QUESTION + REPLY)
                    await asyncio.sleep(0.1)
            return (await done)[0].decode()

    told = [json.loads(line) for line in asyncio.run(main()).splitlines()]

    assert {"frame", "summary"} <= {one["told"] for one in told}
    assert "0443669a3c" in {one.get("data") for one in told}


@pytest.mark.parametrize(
    ("address", "wishes", "what"),
    [
        ("/dev/ttyUSB0", {}, "say --baud"),
        ("/dev/ttyUSB0", {"baud": "9601"}, "choose of"),
        ("/dev/ttyUSB0", {"baud": "9600", "parity": "x"}, "choose of"),
        ("/dev/ttyUSB0", {"baud": "9600", "units": "1"}, "means nothing"),
        ("/dev/ttyUSB0", {"baud": "9600", "seconds": "3"}, "no duration"),
        ("tcp://127.0.0.1", {"baud": "9600"}, "no serial port"),
    ],
)
def test_what_can_not_be_listened_to_is_told(address: str, wishes: dict[str, str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        listen(address, wishes)


def test_a_port_that_is_not_there_is_told_without_a_summary() -> None:
    ran = subprocess.run([*PROGRAM, "/dev/ttyNONE9", "--baud", "9600"], capture_output=True, text=True)

    assert (1, "") == (ran.returncode, ran.stdout)
    assert ran.stderr.startswith("Listening to /dev/ttyNONE9 from 20")
    assert "/dev/ttyNONE9 can't be opened: No such file" in ran.stderr
