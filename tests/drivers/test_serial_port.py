"""Serial ports, as ptys: whole reads by the driver, one owner, a port that goes and comes, a dead unit on a line."""

import asyncio
import os
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fakes.machines import Sink
from tests.fakes.serial_line import Moves, PtyLine, framed, registers_of
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.errors import NoAnswer, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import readings
from tidegate_drivers.modbus.driver import ModbusDriver

DEADLINE_S = 10.0


def answer(question: bytes) -> Moves:
    """Units 1 to 9 are there; register n holds n + 256 × unit."""
    if question[0] > 9:
        return []
    return [(0.0, framed(registers_of(question, lambda address: address + 256 * question[0])))]


def unit(rig: Any, path: str, number: int = 1, **options: str) -> Device:
    made: Device = rig.device(f"rtu://{path}", rig.words(3), number, f"u{number}", **options)
    return made


def holder(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_units_of_a_line_are_read_one_after_the_other(rig: Any) -> None:
    async def main() -> None:
        async with PtyLine(answer) as line:
            made = [unit(rig, line.path, number) for number in (1, 2)]
            driver = ModbusDriver(made, Clock())
            await driver.open()
            found = [[r.value for r in readings(await driver.read(d.groups[0]), d.table)] for d in made]
            await driver.close()

            assert found == [[256, 257, 258], [512, 513, 514]]
            assert driver.connections == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("options", "speed", "bits"),
    [
        ({}, termios.B19200, 0),
        ({"baud": "9600", "parity": "8N1", "stop": "2"}, termios.B9600, termios.CSTOPB),
        ({"baud": "115200", "parity": "odd"}, termios.B115200, termios.PARODD),
    ],
    ids=["19200 8E1", "9600 8N2", "115200 8O1"],
)
def test_the_port_has_the_settings_of_its_devices(rig: Any, options: dict[str, str], speed: int, bits: int) -> None:
    """A pty keeps all of them but the parity bit itself."""

    async def main() -> None:
        async with PtyLine(answer) as line:
            driver = ModbusDriver([unit(rig, line.path, **options)], Clock())
            await driver.open()
            _, oflag, cflag, lflag, *speeds, _ = termios.tcgetattr(line._port)
            await driver.close()

            assert (oflag, lflag, speeds) == (0, 0, [speed, speed])
            assert cflag & (termios.CSTOPB | termios.PARODD) == bits

    asyncio.run(main())


def test_a_port_has_one_owner_and_is_free_when_it_is_closed(rig: Any) -> None:
    async def main() -> None:
        async with PtyLine(answer) as line:
            first, second = (ModbusDriver([unit(rig, line.path)], Clock()) for _ in range(2))
            await first.open()
            with pytest.raises(NotConnected, match="another program has it"):
                await second.open()

            assert rig.bad(await first.read(unit(rig, line.path).groups[0])) == []
            await first.close()
            await second.open()
            await second.close()

    asyncio.run(main())


def test_another_program_that_locks_the_port_is_told_of(rig: Any) -> None:
    script = "import fcntl, os, sys\nf = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)\nfcntl.flock(f, fcntl.LOCK_EX)\n"
    script += "print('locked', flush=True)\nsys.stdin.read()"

    async def main() -> None:
        async with PtyLine(answer) as line:
            command = [sys.executable, "-c", script, line.path]
            with holder(command) as other:
                assert other.stdout is not None
                assert other.stdout.readline() == b"locked\n"
                with pytest.raises(NotConnected, match="another program has it"):
                    await ModbusDriver([unit(rig, line.path)], Clock()).open()
                other.kill()

    asyncio.run(main())


@pytest.mark.parametrize(("kind", "why"), [("missing", "No such file"), ("file", "no serial port")])
def test_what_is_no_port_is_not_connected(rig: Any, tmp_path: Path, kind: str, why: str) -> None:
    async def main() -> None:
        path = tmp_path / "port"
        if kind == "file":
            path.touch()
        descriptors = os.listdir("/proc/self/fd")
        with pytest.raises(NotConnected, match=why):
            await ModbusDriver([unit(rig, str(path))], Clock()).open()

        assert len(os.listdir("/proc/self/fd")) == len(descriptors)

    asyncio.run(main())


def test_a_port_that_is_pulled_out_is_not_connected_at_once(rig: Any) -> None:
    async def main() -> None:
        async with PtyLine(lambda question: []) as line:
            made = unit(rig, line.path, timeout="30s")
            driver = ModbusDriver([made], Clock())
            await driver.open()
            reading = asyncio.ensure_future(driver.read(Group("u1", "g", 60.0, 60.0, (0, 1, 2))))
            await asyncio.sleep(0)
            line.unplug()
            with pytest.raises(NotConnected, match="is gone"):
                await asyncio.wait_for(reading, DEADLINE_S)
            await driver.close()

    asyncio.run(main())


def test_links_to_one_port_are_one_bus(rig: Any, tmp_path: Path) -> None:
    port, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    port.touch()
    link.symlink_to(port)

    assert ModbusDriver.bus(unit(rig, str(link))) == ModbusDriver.bus(unit(rig, str(port))) == str(port)


def test_what_is_still_in_the_port_when_a_question_is_asked_is_no_reply(rig: Any) -> None:
    async def main() -> None:
        async with PtyLine(lambda question: []) as line:
            made = unit(rig, line.path, timeout="50ms", baud="115200")
            driver = ModbusDriver([made], Clock())
            await driver.open()
            line.say(answer(framed(bytes([1, 3, 0, 0, 0, 3])))[0][1])
            with pytest.raises(NoAnswer):
                await driver.read(made.groups[0])
            await driver.close()

    asyncio.run(main())


async def until(true: Callable[[], Any]) -> None:
    """Wait for it, no longer than the deadline."""
    end_s = asyncio.get_running_loop().time() + DEADLINE_S
    while not true():
        assert asyncio.get_running_loop().time() < end_s
        await asyncio.sleep(0.01)


def polled(device: Device, interval_s: float) -> Device:
    group = Group(device.name, "default", interval_s, 1.0, (0, 1, 2))
    return Device(device.name, device.driver, device.address, device.unit, device.table, (group,), device.options)


def test_a_port_that_comes_back_is_read_again(rig: Any, tmp_path: Path) -> None:
    async def main() -> None:
        name, sink = tmp_path / "ttyUSB0", Sink()
        made = polled(unit(rig, str(name)), 0.05)
        poller = Poller([made], {"modbus": ModbusDriver}, sink, sink.gaps.append, Clock(), Random(1))
        async with PtyLine(answer) as line:
            name.symlink_to(line.path)
            running = asyncio.create_task(poller.run())
            await until(lambda: len(sink.of("u1")) > 2)
        name.unlink()
        await until(lambda: sink.of("u1", good=False))
        before = len(sink.of("u1"))
        async with PtyLine(answer) as line:
            name.symlink_to(line.path)
            await until(lambda: len(sink.of("u1")) > before + 2)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_a_dead_unit_leaves_the_others_of_its_line_their_pace(rig: Any) -> None:
    """After it was found dead it costs a tenth of the line, and the others miss next to nothing."""

    async def main() -> None:
        sink = Sink()
        async with PtyLine(answer) as line:
            made = [polled(unit(rig, line.path, number, timeout="100ms"), 0.2) for number in (1, 2, 3, 50)]
            poller = Poller(made, {"modbus": ModbusDriver}, sink, sink.gaps.append, Clock(), Random(1))
            running = asyncio.create_task(poller.run())
            await until(lambda: next(one for one in poller.status() if one.name == "u50").state == "down")
            before = {number: len(sink.of(f"u{number}")) for number in (1, 2, 3)}
            await asyncio.sleep(4.0)
            came = {number: len(sink.of(f"u{number}")) - before[number] for number in before}
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

            assert min(came.values()) >= 15, came
            assert sink.of("u50") == []

    asyncio.run(main())
