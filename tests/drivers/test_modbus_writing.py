"""Values of every type in every order are put into devices of others and read back; what goes wrong is told."""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.drivers import test_modbus_foreign as tcp
from tests.drivers import test_rtu_foreign as line
from tests.fakes.serial_line import PtyLine, framed
from tidegate.clock import Clock
from tidegate.errors import NotConnected
from tidegate.model.device import Device
from tidegate.model.frame import readings
from tidegate.model.tag import Tag, Type
from tidegate.model.written import Result
from tidegate_drivers.modbus.driver import ModbusDriver

WITHIN_S = 10.0
# After the quiet that a line keeps behind a silent unit, and before the next question would be given up.
LATE_S = 1.05
# What can be written of the foreign servers' tags, and another value of each type than the one that they hold.
OTHERS: dict[Type, object] = {
    Type.INT16: -12345, Type.UINT16: 4711, Type.INT32: 123456789, Type.UINT32: 4000000000, Type.INT64: -(2**62) - 3,
    Type.UINT64: 2**63 + 11, Type.FLOAT32: Decimal("-0.375"), Type.FLOAT64: Decimal("12345.678"),
    Type.STRING: "阀 Valve", Type.BOOL: False,
}  # fmt: skip
WRITABLE = [
    (i, OTHERS[tag.raw])
    for i, tag in enumerate(tcp.TAGS)
    if tag.raw in OTHERS and not tag.option("bit") and tag.raw not in (Type.INT8, Type.UINT8)
]


def allowed(tags: list[Tag], **options: str) -> list[Tag]:
    """The same, that may be written."""
    return [replace(tag, access="write", options=(*tag.options, *options.items())) for tag in tags]


async def writes_each(driver: ModbusDriver, made: Device) -> None:
    """Each tag gets another value, which is confirmed and is what is read, and nothing else changes."""
    expected = list(tcp.VALUES)
    for index, value in WRITABLE:
        written = await driver.write(made.name, index, value, WITHIN_S)

        assert (made.table.tags[index].raw, written.result) == (made.table.tags[index].raw, Result.CONFIRMED), written

        expected[index] = float(value) if isinstance(value, Decimal) else value
    assert [r.value for r in readings(await driver.read(made.groups[0]), made.table)] == expected


@pytest.mark.parametrize("server", [tcp.py_modbus_tcp, tcp.libmodbus], ids=["pyModbusTCP", "libmodbus"])
@pytest.mark.parametrize("function", ["single", "multiple"])
def test_every_type_in_every_order_is_written_over_tcp(rig: Any, server: Any, function: str) -> None:
    async def main(port: int) -> None:
        tags = allowed(tcp.TAGS, write_function=function)
        made = rig.device(f"tcp://127.0.0.1:{port}", tags, unit=tcp.UNIT)
        driver = ModbusDriver([made], Clock())
        try:
            await driver.open()
            await writes_each(driver, made)
        finally:
            await driver.close()

    with server("127.0.0.1") as port:
        asyncio.run(main(port))


# The server of modbus-serial takes writes only where its user has written what they do.
LINES = [server for server in line.SERVERS if server is not line.modbus_serial_on_a_port]


@pytest.mark.parametrize("server", LINES, ids=[server.__name__ for server in LINES])
def test_every_type_in_every_order_is_written_on_a_line(rig: Any, server: Any) -> None:
    parity = {} if "tcp" in server.__name__ else {"parity": "N"}
    line.against(rig, server, allowed(tcp.TAGS), writes_each, **parity)


def test_what_a_device_does_not_have_is_refused_with_its_code(rig: Any) -> None:
    async def main(port: int) -> None:
        made = rig.device(f"tcp://127.0.0.1:{port}", allowed(rig.words(1, 5000)), unit=tcp.UNIT)
        driver = ModbusDriver([made], Clock())
        try:
            await driver.open()
            written = await driver.write(made.name, 0, 5, WITHIN_S)
        finally:
            await driver.close()

        assert (written.result, written.code) == (Result.REFUSED, 2), written

    with tcp.libmodbus("127.0.0.1") as port:
        asyncio.run(main(port))


Story = Callable[[ModbusDriver, Device, Any], Coroutine[Any, Any, None]]
ONE = [Tag("t", Type.UINT16, Type.UINT16, "HR7", access="write")]


class Holder:
    """A device of one register on TCP, which answers writes with `reply(request)`; b"": not, None: it hangs up."""

    def __init__(self, reply: Callable[[bytes], bytes | None], keeps: bool = True) -> None:
        self._reply, self._keeps = reply, keeps
        self.held = 1
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await reader.read(260):
            self.asked.append(request)
            pdu = request[7:]
            if pdu[0] == 3:
                answer: bytes | None = b"\x03\x02" + struct.pack(">H", self.held)
            else:
                self.held = struct.unpack(">H", pdu[-2:])[0] if self._keeps else self.held
                answer = self._reply(pdu)
            if answer is None:
                break
            if answer:
                writer.write(request[:4] + struct.pack(">H", len(answer) + 1) + request[6:7] + answer)
        writer.close()


def against(rig: Any, holder: Holder, story: Story, tags: list[Tag] = ONE, **options: Any) -> None:
    async def main() -> None:
        server = await asyncio.start_server(holder.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        made = rig.device(f"tcp://127.0.0.1:{port}", tags, **{"timeout": "500ms", **options})
        driver = ModbusDriver([made], Clock())
        try:
            await driver.open()
            await story(driver, made, holder)
        finally:
            await driver.close()
            server.close()

    asyncio.run(main())


def same(pdu: bytes) -> bytes:
    return pdu[:5]


@pytest.mark.parametrize(
    ("reply", "keeps", "result", "code"),
    [
        (same, True, Result.CONFIRMED, 0),
        (same, False, Result.DIFFERS, 0),
        (lambda pdu: pdu[:3] + b"\0\0", True, Result.UNKNOWN, 0),
        (lambda pdu: b"\x06\0\x08" + pdu[3:5], True, Result.UNKNOWN, 0),
        (lambda pdu: pdu[:5] + b"\0", True, Result.UNKNOWN, 0),
        (lambda pdu: bytes((pdu[0] | 0x80, 2)), False, Result.REFUSED, 2),
        (lambda pdu: bytes((pdu[0] | 0x80, 5)), True, Result.UNKNOWN, 5),
        (lambda pdu: bytes((pdu[0] | 0x80, 11)), True, Result.UNKNOWN, 11),
        (lambda pdu: b"", True, Result.UNKNOWN, 0),
        (lambda pdu: None, True, Result.UNKNOWN, 0),
    ],
    ids=[
        "done", "said done and not", "other value", "other address", "too long", "refused", "still working",
        "behind a gateway", "silent", "hung up",
    ],
)  # fmt: skip
def test_what_became_of_it_is_told_and_it_is_sent_once(
    rig: Any, reply: Callable[[bytes], bytes | None], keeps: bool, result: Result, code: int
) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        written = await driver.write(made.name, 0, 777, WITHIN_S)

        assert (written.result, written.code) == (result, code), written
        assert [request[7:] for request in holder.asked if request[7] != 3] == [bytes([6, 0, 7, 3, 9])]

    against(rig, Holder(reply, keeps), story)


def test_without_reading_back_the_device_is_believed(rig: Any) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        written = await driver.write(made.name, 0, 777, WITHIN_S)

        assert written.result is Result.ACCEPTED
        assert len(holder.asked) == 1

    against(rig, Holder(same, keeps=False), story, allowed(ONE, readback="off"))


def test_it_is_read_back_when_the_device_has_had_its_time(rig: Any) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        begun_s = asyncio.get_running_loop().time()
        written = await driver.write(made.name, 0, 777, WITHIN_S)

        assert written.result is Result.CONFIRMED
        assert asyncio.get_running_loop().time() - begun_s >= 0.3

    against(rig, Holder(same), story, allowed(ONE, readback="300ms"))


@pytest.mark.parametrize(
    "value", [70000, -1, "1.5", "x", True], ids=["too large", "negative", "half", "no number", "truth"]
)
def test_what_the_register_can_not_hold_is_never_sent(rig: Any, value: object) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        assert (await driver.write(made.name, 0, value, WITHIN_S)).result is Result.FORBIDDEN
        assert holder.asked == []

    against(rig, Holder(same), story)


def test_a_tag_without_write_access_is_never_written(rig: Any) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        assert (await driver.write(made.name, 0, 1, WITHIN_S)).result is Result.FORBIDDEN
        assert holder.asked == []

    against(rig, Holder(same), story, [replace(ONE[0], access="read")])


def test_a_write_without_time_is_not_sent(rig: Any) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        assert (await driver.write(made.name, 0, 1, 0.0)).result is Result.EXPIRED
        assert holder.asked == []

    against(rig, Holder(same), story)


def test_on_a_connection_that_has_ended_nothing_is_sent(rig: Any) -> None:
    async def story(driver: ModbusDriver, made: Device, holder: Holder) -> None:
        await driver.write(made.name, 0, 1, WITHIN_S)
        with pytest.raises(NotConnected):
            await driver.write(made.name, 0, 2, WITHIN_S)

        assert len(holder.asked) == 1

    against(rig, Holder(lambda pdu: None), story)


def test_on_a_line_a_late_reply_of_one_write_does_not_confirm_the_next(rig: Any) -> None:
    """The first reply comes late, and the second write is never done: it looks the same on the wire."""
    came: list[bytes] = []
    busy_until_s = 0.0

    def answer(question: bytes) -> list[tuple[float, bytes]]:
        nonlocal busy_until_s
        body, now_s = question[:-2], asyncio.get_running_loop().time()
        if body[1] == 3:
            # Units answer in the order of what they were asked.
            busy_until_s = max(now_s, busy_until_s) + 0.01
            return [(busy_until_s - now_s, framed(body[:2] + bytes([2 * body[5]]) + bytes(2 * body[5])))]
        came.append(body)
        busy_until_s = now_s + LATE_S
        return [(LATE_S, framed(body))] if len(came) == 1 else []

    async def main() -> None:
        async with PtyLine(answer) as port:
            tags = allowed(ONE, readback="off")
            made = rig.device(f"rtu://{port.path}", tags, parity="N", timeout="200ms")
            driver = ModbusDriver([made], Clock())
            await driver.open()
            first = await driver.write(made.name, 0, 777, WITHIN_S)
            second = await driver.write(made.name, 0, 777, WITHIN_S)
            await driver.close()

            assert first.result is Result.UNKNOWN
            assert second.result is Result.UNKNOWN, second

    asyncio.run(main())
