"""Devices that dial in: each is who it registers as, strangers get nothing, and what is sent in between is no value."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.fakes.dtu import HEADER_BYTES, Dtu, free_port, rtu, tcp
from tests.fakes.serial_line import QUESTION_BYTES, framed
from tidegate.clock import Clock
from tidegate.errors import DriverError, NoAnswer, NotConnected
from tidegate.loop import new
from tidegate.model.device import Device, Group
from tidegate.model.frame import readings
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.settings import parse_device
from tidegate_drivers.modbus.switchboard import join, leave

DEADLINE_S = 30.0
TCP_QUESTION_BYTES = HEADER_BYTES + 6
BEAT = b"PING"


def meter(port: int, name: str = "m1", scheme: str = "rtu", host: str = "127.0.0.1", **options: str) -> Device:
    at = f"[{host}]" if ":" in host else host
    tags = tuple(Tag(f"w{n}", Type.UINT16, Type.UINT16, f"HR{n}") for n in range(4))
    given = {
        "allow": "127.0.0.0/8 ::1",
        "timeout": "2s",
        "heartbeat": BEAT.decode(),
        "registration": "dtu {id}",
    } | options
    group = Group(name, "default", 1.0, 5.0, (0, 1, 2, 3))
    return Device(
        name, "modbus", f"{scheme}+dial-in://{at}:{port}/{name}", 7, TagTable(name, tags), (group,), given | options
    )


async def values(driver: ModbusDriver, device: Device) -> list[object]:
    frame = await driver.read(device.groups[0])
    return [reading.value for reading in readings(frame, device.table)]


async def opening(driver: ModbusDriver) -> "asyncio.Task[None]":
    """The opening of a driver whose device has not called yet; its port is open."""
    task = asyncio.create_task(driver.open())
    await asyncio.sleep(0)
    return task


async def until(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - nothing tells it, and the test has a deadline
        await asyncio.sleep(0.01)


def sockets() -> int:
    """How many this process has open."""
    return sum(os.path.realpath(f"/proc/self/fd/{name}").rpartition("/")[2].startswith("socket:")
               for name in os.listdir("/proc/self/fd"))  # fmt: skip


def told(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story to its end; nothing of it may be left open."""

    async def main() -> None:
        before = sockets()
        async with asyncio.timeout(DEADLINE_S):
            await story()
            await until(lambda: sockets() <= before)
            await until(lambda: len(asyncio.all_tasks()) == 1)

    # The loop that the gateway runs on.
    with asyncio.Runner(loop_factory=new) as runner:
        runner.run(main())


def alone(device: Device, packet: bytes, answer: Callable[[bytes], list[bytes]], question_bytes: int,
          then: Callable[[ModbusDriver, Dtu], Coroutine[Any, Any, None]]) -> None:  # fmt: skip
    """A story of one device that has called and registered."""

    async def story() -> None:
        driver = ModbusDriver([device], Clock())
        port = int(device.address.rpartition(":")[2].partition("/")[0])
        host = "::1" if "[" in device.address else "127.0.0.1"
        opened = await opening(driver)
        try:
            async with Dtu(port, packet, answer, question_bytes, host) as dtu:
                await opened
                await then(driver, dtu)
        finally:
            await driver.close()

    told(story)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_each_of_several_callers_is_the_device_that_it_registers_as(host: str) -> None:
    async def story() -> None:
        port = free_port(host)
        devices = [meter(port, f"m{n}", host=host) for n in range(1, 6)]
        drivers = [ModbusDriver([device], Clock()) for device in devices]
        async with AsyncExitStack() as stack:
            for driver in drivers:
                stack.push_async_callback(driver.close)
            opened = [await opening(driver) for driver in drivers]
            for n in (5, 3, 1, 2, 4):
                await stack.enter_async_context(Dtu(port, f"dtu m{n}".encode(), rtu(100 * n), host=host))
            await asyncio.gather(*opened)
            read = await asyncio.gather(*map(values, drivers, devices))

        assert [[100 * n + i for i in range(4)] for n in range(1, 6)] == read

    try:
        free_port(host)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    told(story)


def with_beats(scheme: str) -> tuple[Callable[[bytes], list[bytes]], int]:
    """A device that says something before and behind each reply, and once more who it is."""

    def answer(question: bytes) -> list[bytes]:
        reply = rtu(40)(question)[0] if scheme == "rtu" else tcp(question, 40)
        return [BEAT, BEAT[:2], BEAT[2:] + b"dtu m1" + BEAT + reply + BEAT, b"dtu m1"]

    return answer, QUESTION_BYTES if scheme == "rtu" else TCP_QUESTION_BYTES


@pytest.mark.parametrize("scheme", ["rtu", "tcp"])
def test_heartbeats_between_replies_are_dropped(scheme: str) -> None:
    async def then(driver: ModbusDriver, dtu: Dtu) -> None:
        for _ in range(3):
            assert [40, 41, 42, 43] == await values(driver, device)

    device = meter(free_port(), scheme=scheme)
    answer, question_bytes = with_beats(scheme)
    alone(device, BEAT + b"dtu m1" + BEAT, answer, question_bytes, then)


@pytest.mark.parametrize(
    ("scheme", "at"), [*(("rtu", at) for at in range(1, 13)), *(("tcp", at) for at in range(1, 17))]
)
@pytest.mark.parametrize("split", [False, True], ids=["in one piece", "in pieces"])
def test_a_heartbeat_inside_a_reply_is_never_a_value(scheme: str, split: bool, at: int) -> None:
    def answer(question: bytes) -> list[bytes]:
        reply = rtu(40)(question)[0] if scheme == "rtu" else tcp(question, 40)
        pieces = [reply[:at], BEAT, reply[at:]]
        return pieces if split else [b"".join(pieces)]

    async def then(driver: ModbusDriver, dtu: Dtu) -> None:
        with pytest.raises(DriverError) as raised:
            await values(driver, device)

        assert isinstance(raised.value, NoAnswer) or scheme == "tcp"

    device = meter(free_port(), scheme=scheme, timeout="50ms")
    alone(device, b"dtu m1", answer, QUESTION_BYTES if scheme == "rtu" else TCP_QUESTION_BYTES, then)


def refused(packet: bytes, said: str, **options: str) -> None:
    """A caller that is not let in, and what the bus says of it."""

    async def story() -> None:
        device = meter(free_port(), **options)
        settings, _ = parse_device(device)
        assert settings is not None
        assert settings.call is not None
        post = await join(settings.place, settings.call)
        try:
            async with Dtu(settings.place.port, packet, rtu(0)) as dtu:
                await dtu.ended.wait()
            with pytest.raises(NotConnected, match="no call from m1 yet at ") as raised:
                await post.answer(0.01)
        finally:
            leave(post)

        assert said in raised.value.what

    told(story)


def test_junk_instead_of_a_registration_ends_the_call_and_is_named() -> None:
    refused(b"GET / HTTP/1.1\r\n\r\n", "with b'GET / HTTP/1.1\\r\\n\\r\\n', which no device registers with")


def test_an_address_that_is_not_allowed_is_not_even_listened_to() -> None:
    refused(b"dtu m1", "from an address that `allow` does not name", allow="10.0.0.0/8")


def test_who_does_not_register_in_time_is_ended() -> None:
    refused(b"dtu", "without saying in time who it is", registration_timeout="100ms")


def test_who_sends_heartbeats_without_end_instead_of_a_registration_is_ended() -> None:
    refused(BEAT * 2000, "bytes of heartbeats, and no registration")


def test_a_registration_in_pieces_is_one() -> None:
    async def story() -> None:
        port = free_port()
        device = meter(port, registration=r"REG,{id}\r\n")
        driver = ModbusDriver([device], Clock())
        opened = await opening(driver)
        async with Dtu(port, b"RE", rtu(9)) as dtu:
            for piece in (b"G,m", b"1\r", b"\n"):
                await asyncio.sleep(0.02)
                dtu.writer.write(piece)
            await opened

            assert [9, 10, 11, 12] == await values(driver, device)
            await driver.close()

    told(story)


def test_a_second_call_replaces_the_first() -> None:
    async def then(driver: ModbusDriver, first: Dtu) -> None:
        assert [1, 2, 3, 4] == await values(driver, device)
        async with Dtu(port, b"dtu m1", rtu(50)):
            await first.ended.wait()
            with pytest.raises(NotConnected, match="m1 called again"):
                await values(driver, device)
            await driver.open()

            assert [50, 51, 52, 53] == await values(driver, device)

    port = free_port()
    device = meter(port)
    alone(device, b"dtu m1", rtu(1), QUESTION_BYTES, then)


def test_a_call_between_two_openings_is_found_by_the_next() -> None:
    async def then(driver: ModbusDriver, first: Dtu) -> None:
        await driver.hang_up()
        await first.ended.wait()
        async with Dtu(port, b"dtu m1" + BEAT, rtu(50)) as second:
            await asyncio.sleep(0.05)
            second.writer.write(BEAT)
            await driver.open()

            assert [50, 51, 52, 53] == await values(driver, device)

    port = free_port()
    device = meter(port)
    alone(device, b"dtu m1", rtu(1), QUESTION_BYTES, then)


def test_a_flood_of_strangers_is_bounded_and_keeps_no_device_out() -> None:
    async def story() -> None:
        port = free_port()
        device = meter(port, registration_timeout="2min")
        driver = ModbusDriver([device], Clock())
        opened = await opening(driver)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(driver.close)
            strangers = [await stack.enter_async_context(Dtu(port, b"", rtu(0))) for _ in range(100)]
            await until(lambda: sum(not stranger.ended.is_set() for stranger in strangers) <= 16)
            await stack.enter_async_context(Dtu(port, b"dtu m1", rtu(7)))
            await opened

            assert [7, 8, 9, 10] == await values(driver, device)

    told(story)


def test_the_port_is_open_as_long_as_one_bus_needs_it() -> None:
    async def story() -> None:
        port = free_port()
        drivers = [ModbusDriver([meter(port, name)], Clock()) for name in ("m1", "m2")]
        opened = [await opening(driver) for driver in drivers]
        opened[0].cancel()
        await asyncio.gather(opened[0], return_exceptions=True)
        await drivers[0].close()
        async with Dtu(port, b"dtu m2", rtu(0)):
            await opened[1]
            await drivers[1].close()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncio.open_connection("127.0.0.1", port)

    told(story)


def test_a_port_that_another_has_is_named() -> None:
    async def story() -> None:
        async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
            driver = ModbusDriver([meter(server.sockets[0].getsockname()[1])], Clock())
            with pytest.raises(NotConnected, match="address already in use; see which program"):
                await driver.open()
            await driver.close()

    told(story)


def columns(*devices: Device) -> Sequence[str | None]:
    return [problem.column for problem in ModbusDriver.check(devices)]


@pytest.mark.parametrize(
    ("scheme", "options", "column"),
    [
        ("rtu", {"allow": ""}, "allow"),
        ("rtu", {"allow": "10.0.0.1/8"}, "allow"),
        ("rtu", {"allow": "mobile"}, "allow"),
        ("rtu", {"registration": r"\q"}, "registration"),
        ("rtu", {"registration": "hex:123"}, "registration"),
        ("rtu", {"registration": "x" * 129}, "registration"),
        ("rtu", {"heartbeat": "hex:07"}, "heartbeat"),
        ("rtu", {"heartbeat": "hex:0703 02"}, "heartbeat"),
        ("rtu", {"heartbeat": "hex: FF " + framed(bytes.fromhex("0703020005")).hex()}, "heartbeat"),
        ("ascii", {"heartbeat": ":07"}, "heartbeat"),
        ("tcp", {"heartbeat": "hex:FEFE"}, "heartbeat"),
        ("tcp", {"heartbeat": "hex:0102 0000"}, "heartbeat"),
        ("rtu", {"heartbeat": "dtu"}, "heartbeat"),
        ("rtu", {"registration_timeout": "1h"}, "registration_timeout"),
    ],
)
def test_what_can_not_be_is_one_problem_with_its_column(scheme: str, options: dict[str, str], column: str) -> None:
    assert [column] == columns(meter(4001, scheme=scheme, **options))


def test_devices_of_one_port_can_be_told_apart() -> None:
    assert [] == columns(meter(4001, "m1"), meter(4001, "m2"), meter(4002, "m11", allow="::1"))
    assert ["registration"] == columns(meter(4001, "m1"), meter(4001, "m11"))
    assert ["registration"] == columns(meter(4001, "m1", registration="X"), meter(4001, "n2", registration="X"))
    assert ["allow"] == columns(meter(4001, "m1"), meter(4001, "m2", allow="::1"))


@pytest.mark.parametrize(
    "address",
    ["dial-in://0.0.0.0:4001/m1", "rtu+dial-in://:4001/m1", "rtu+dial-in://0.0.0.0/m1", "rtu+dial-in://0.0.0.0:4001",
     "rtu+dial-in://0.0.0.0:0/m1", "rtu+dial-in://999.0.0.1:4001/m1", "tcp+dial-in://box:4001/m1"],
)  # fmt: skip
def test_an_address_says_where_to_listen_how_replies_are_framed_and_who_calls(address: str) -> None:
    with pytest.raises(ValueError, match=r"dial-in|port"):
        ModbusDriver.bus(Device("m1", "modbus", address, 1, TagTable("m1", ()), (), {}))
