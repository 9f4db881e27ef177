"""Who a unit is, asked through the driver: replies that say themselves how long they are, over TCP and over lines."""

import asyncio
from collections.abc import Callable

import pytest
from pymodbus import FramerType, ModbusDeviceIdentification
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from tests.fakes.asked import asking
from tests.fakes.serial_line import MemoryLine, Moves, PtyLine, framed
from tests.fakes.virtual_time import run_virtually
from tidegate.acquire.conversation import Conversation
from tidegate.clock import Clock
from tidegate.errors import NoAnswer
from tidegate.profiles.asking import Asker
from tidegate.profiles.simulated import Simulated
from tidegate.profiles.trial import stranger
from tidegate_drivers.modbus.abandoned import Abandoned
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.framing import RTU
from tidegate_drivers.modbus.identity import identity_question
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import OPEN

LINE = Line(19200, "E", 1, 0.0, False)
OBJECTS = b"\x2b\x0e\x01\x01\x00\x00\x02\x00\x04Acme\x01\x02M1"
SERVER_ID = b"\x11\x05M1-x\xff"
ASKED = {OBJECTS: bytes((43, 14, 1, 0)), SERVER_ID: bytes((17,))}
SAID = {"vendor_name": "Acme", "product_code": "M1", "major_minor_revision": "1.14"}


@pytest.mark.parametrize("function", [1, 2, 5, 6, 8, 15, 16, 22, 23, 43])
def test_what_is_not_about_who_a_unit_is_can_not_be_asked(function: int) -> None:
    with pytest.raises(ValueError, match="no question about who a unit is"):
        identity_question(bytes((function, 0, 0, 0, 1)))


@pytest.mark.parametrize("reply", ASKED, ids=["device id", "server id"])
@pytest.mark.parametrize(
    "moves",
    [
        lambda whole: [(0.01, whole)],
        lambda whole: [(0.01, b"\x07\x2b\x0e\xff" + whole + b"\x00")],
        lambda whole: [(0.001 * i, whole[i : i + 1]) for i in range(len(whole))],
        lambda whole: [(0.01, whole[:7]), (0.02, whole)],
    ],
    ids=["clean", "noise around", "in bytes", "broken off and again"],
)
def test_the_reply_of_a_line_ends_where_it_says(reply: bytes, moves: Callable[[bytes], Moves]) -> None:
    whole = framed(bytes([7]) + reply)

    async def main(clock: Clock) -> None:
        link = LineLink(clock, "the line", LINE, Abandoned(), False)
        MemoryLine(link, lambda question: moves(whole))

        assert await link.ask("m1", 7, ASKED[reply], OPEN, link.time() + 1.0) == reply[1:]
        link.close()

    run_virtually(main)


@pytest.mark.parametrize("reply", ASKED, ids=["device id", "server id"])
def test_no_reply_of_a_line_is_taken_with_a_wrong_bit(reply: bytes) -> None:
    whole = framed(bytes([7]) + reply)
    flipped = [bytes(b ^ (1 << bit if i == at else 0) for i, b in enumerate(whole)) for at in range(len(whole))
               for bit in range(8)]  # fmt: skip

    assert RTU.find(whole, 7, reply[0], OPEN) == (0, len(whole), whole[:-2])
    assert [RTU.find(wrong, 7, reply[0], OPEN) for wrong in flipped] == [None] * len(flipped)


def test_a_unit_that_never_says_who_it_is_costs_its_timeout_and_is_read_on() -> None:
    async def main(clock: Clock) -> None:
        link = LineLink(clock, "the line", LINE, Abandoned(), False)
        words = framed(bytes([7, 3, 2, 0, 9]))
        MemoryLine(link, lambda question: [(0.01, words)] if question[1] == 3 else [])
        with pytest.raises(NoAnswer):
            await link.ask("m1", 7, ASKED[OBJECTS], OPEN, link.time() + 0.2)

        assert await link.ask("m1", 7, bytes.fromhex("0300000001"), 2, link.time() + 1.0) == b"\x00\x09"
        link.close()

    run_virtually(main)


@pytest.mark.parametrize(("scheme", "framer"), [("tcp", FramerType.SOCKET), ("rtu+tcp", FramerType.RTU)])
def test_a_foreign_unit_says_who_it_is(scheme: str, framer: FramerType) -> None:
    async def main() -> tuple[object, object]:
        device = SimDevice(1, simdata=[SimData(0, values=[7, 8], datatype=DataType.REGISTERS)])
        says = ModbusDeviceIdentification(info_name={"VendorName": "Acme", "ProductCode": "M1",
                                                     "MajorMinorRevision": "1.14"})  # fmt: skip
        server = ModbusTcpServer(device, framer=framer, address=("127.0.0.1", 0), identity=says)
        await server.serve_forever(background=True)
        try:
            async with asking(server.transport.sockets[0].getsockname()[1], scheme=scheme) as asker:
                return await asker.device_id(), await asker.registers(3, 0, 2)
        finally:
            await server.shutdown()

    objects, registers = asyncio.run(main())

    assert objects == {0: "Acme", 1: "M1", 2: "1.14"}
    assert registers == (7, 8)


def test_a_unit_on_a_port_says_what_its_registers_hold() -> None:
    device = Simulated(lambda: {(4, 11): 340})

    async def main() -> object:
        async with PtyLine(lambda question: [(0.0, framed(question[:1] + device.reply(question[1:-2])))]) as line:
            meter = stranger("modbus", f"rtu://{line.path}", 7, {})
            async with Conversation(ModbusDriver([meter], Clock()), meter.name) as conversation:
                return await Asker(conversation.ask, 0.0).registers(4, 11, 1)

    assert asyncio.run(main()) == (340,)
