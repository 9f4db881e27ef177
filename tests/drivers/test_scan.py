"""Scans find the units of foreign servers, on TCP and on lines, take nothing else for one, and never write."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from pyModbusTCP.server import ModbusServer

from demo.broker import free_port
from tests.drivers.test_rtu_foreign import OF_ALL, libmodbus_on_a_port
from tests.fakes.serial_line import Moves, PtyLine, framed, registers_of
from tidegate.acquire.survey import Found, Note, Progress
from tidegate.clock import Clock
from tidegate.errors import NotConnected
from tidegate.profiles.simulated import Server, Simulated
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.scan import scan

DEADLINE_S = 90.0
# Loaded machines answer late; who is there always does at once otherwise.
PATIENT = {"timeout": "2s", "rate": "1000"}
READS = {1, 2, 3, 4, 17, 43}


async def scanned(address: str, **wishes: str) -> tuple[list[Found], list[str]]:
    """What a scan finds, and what it notes."""
    told: list[object] = []
    async with asyncio.timeout(DEADLINE_S):
        await scan(address, {**PATIENT, **wishes}).run(told.append)
    return [one for one in told if isinstance(one, Found)], [one.text for one in told if isinstance(one, Note)]


def units_of(units: dict[int, bytes]) -> Callable[[bytes], Moves]:
    """Units on a line: each answers every question at once with a body, or with a register when that is empty."""

    def answer(question: bytes) -> Moves:
        if question[0] not in units:
            return []
        return [(0.0, framed(units[question[0]] or registers_of(question, lambda at: at)))]

    return answer


@pytest.fixture
def ignorant() -> Iterator[int]:
    """The port of a foreign server that looks at no unit id."""
    port = free_port()
    server = ModbusServer("127.0.0.1", port, no_block=True)
    server.start()
    yield port
    server.stop()


def test_a_server_that_looks_at_no_unit_id_is_one_machine(ignorant: int) -> None:
    [one], notes = asyncio.run(scanned(f"tcp://127.0.0.1:{ignorant}"))

    assert (f"tcp://127.0.0.1:{ignorant}", 1, []) == (one.address, one.unit, notes)
    assert "answers to every unit id" in one.proof


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_only_units_that_are_there_are_found_behind_a_gateway_that_answers_for_the_rest(host: str) -> None:
    async def main() -> None:
        data = [SimData(0, values=[1, 2, 3], datatype=DataType.REGISTERS)]
        devices = [SimDevice(unit, simdata=data) for unit in (5, 17)]
        server = ModbusTcpServer(devices, address=(host, 0))
        await server.serve_forever(background=True)
        try:
            port = server.transport.sockets[0].getsockname()[1]
            written = f"[{host}]" if ":" in host else host
            found, _ = await scanned(f"tcp://{written}:{port}", units="1-20")
        finally:
            await server.shutdown()

        assert [5, 17] == [one.unit for one in found]
        assert {f"tcp://{written}:{port}"} == {one.address for one in found}

    asyncio.run(main())


def test_a_unit_that_refuses_is_there_and_says_who_it_is() -> None:
    async def main() -> None:
        device = Simulated(dict, even=frozenset({3}), objects={0: "ACME\x1b[2J", 1: "Meter 7"})
        async with Server(device, unit=7) as server:
            [one], _ = await scanned(f"tcp://127.0.0.1:{server.port}", units="6-8", timeout="500ms")

        assert (7, "function 3, exception 3") == (one.unit, one.proof)
        assert ("vendor ACME[2J", "product Meter 7") == one.said
        assert f"tidegate profile identify tcp://127.0.0.1:{server.port} --unit 7" == one.next

    asyncio.run(main())


def test_of_many_addresses_those_that_accept_are_found(ignorant: int) -> None:
    found, notes = asyncio.run(scanned(f"tcp://127.0.0.0/29:{ignorant}"))

    assert [f"tcp://127.0.0.1:{ignorant}"] == [one.address for one in found]
    assert [] == notes


@pytest.mark.parametrize(("code", "found"), [(2, [1]), (10, []), (11, [])])
def test_an_exception_for_every_unit_is_a_machine_unless_it_says_that_nobody_is_there(
    code: int, found: list[int]
) -> None:
    class Refusing(Simulated):
        def reply(self, request: bytes) -> bytes:
            return bytes((request[0] | 0x80, code))

    async def main() -> None:
        async with Server(Refusing(dict)) as server:
            ones, _ = await scanned(f"tcp://127.0.0.1:{server.port}", units="1-3")

            assert found == [one.unit for one in ones]

    asyncio.run(main())


def test_an_address_that_accepts_and_never_answers_is_noted() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found, [note] = await scanned(f"tcp://127.0.0.1:{port}", units="1-2", timeout="50ms")
        server.close()

        assert [] == found
        assert "accepts connections, and none of units 1 to 2 answers" in note

    asyncio.run(main())


def test_an_address_that_speaks_something_else_is_no_unit() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP ready and willing\r\n")

    async def main() -> None:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        found, _ = await scanned(f"tcp://127.0.0.1:{port}", units="1-2", timeout="50ms")
        server.close()

        assert [] == found

    asyncio.run(main())


@OF_ALL
def test_units_of_foreign_servers_are_found_on_lines_as_the_driver_reads_them(rig: Any, server: Any) -> None:
    async def main() -> None:
        async with server("127.0.0.1") as address:
            # libmodbus takes the next frame for the answer of an absent unit: the one that is there is asked first.
            # pymodbus answers for absent ones.
            settings = {} if "tcp" in address else {"baud": "19200", "parity": "n"}
            units = "17,20" if server is libmodbus_on_a_port else "17"
            [one], _ = await scanned(address, units=units, **settings)

            # The rows that are advised for the device list, as they are.
            made = rig.device(one.address, rig.words(2), unit=one.unit, deadline_s=10.0, **one.options)
            driver = ModbusDriver([made], Clock())
            await driver.open()
            frame = await driver.read(made.groups[0])
            await driver.close()

        assert (address, 17, [0, 0]) == (one.address, one.unit, rig.statuses(frame))
        assert settings == {name: one.options[name] for name in settings}

    asyncio.run(main())


def test_a_line_is_asked_by_reads_only_under_settings_until_somebody_answers() -> None:
    async def main() -> None:
        async with PtyLine(units_of({3: b"", 9: b"\x09\x83\x02"})) as line:
            wishes = {"units": "1-10", "nameless": "true", "timeout": "300ms"}
            found, _ = await scanned(f"rtu://{line.path}", **wishes)

            assert [(3, "function 3"), (9, "function 3, exception 2")] == [(one.unit, one.proof) for one in found]
            assert [{"baud": "9600", "parity": "n"}] * 2 == [one.options for one in found]
            assert {one[1] for one in line.asked} <= READS
            assert list(range(1, 11)) == [one[0] for one in line.asked]

    asyncio.run(main())


def test_a_line_of_an_echo_and_of_noise_has_no_units() -> None:
    async def main() -> None:
        async with PtyLine(lambda question: [(0.0, question + b"\x55\xaa\x01\x83")]) as line:
            wishes = {"units": "1-5", "nameless": "true", "timeout": "20ms", "baud": "9600", "parity": "n"}
            found, [note] = await scanned(f"rtu://{line.path}", **wishes)

        assert [] == found
        assert "bytes came, and no reply" in note

    asyncio.run(main())


def test_a_unit_that_answers_when_the_next_is_asked_already_is_found_as_slow() -> None:
    def answer(question: bytes) -> Moves:
        return [(0.3, framed(registers_of(question, lambda at: at)))] if question[0] == 2 else []

    async def main() -> None:
        async with PtyLine(answer) as line:
            wishes = {"units": "1-5", "nameless": "true", "timeout": "200ms", "baud": "9600", "parity": "n"}
            [one], _ = await scanned(f"rtu://{line.path}", **wishes)

        assert 2 == one.unit
        assert "slowly" in one.proof

    asyncio.run(main())


def test_no_more_questions_are_asked_a_second_than_allowed(ignorant: int) -> None:
    async def main() -> None:
        began_s = time.monotonic()
        await scanned(f"tcp://127.0.0.1:{ignorant}", units="1-8", rate="10", all="true", nameless="true")

        # A connection, the unit id that no device has, and eight units.
        assert time.monotonic() - began_s >= 0.9

    asyncio.run(main())


def test_a_notice_names_the_most_that_is_asked() -> None:
    made = scan("rtu:///dev/ttyUSB0", {"units": "1-10", "baud": "9600", "timeout": "1s", "ask": "3,4"})

    assert "9600 baud, 8N1, 9600 baud, 8E1: units 1 to 10, by function 3 and 4, which only reads" in made.notice[0]
    assert "At most 40 questions, 20 a second at most: at most 41 s" in made.notice[1]
    assert "keeps it locked, and the scan is refused" in made.notice[2]


def test_progress_never_says_more_than_the_most() -> None:
    told: list[object] = []

    async def main() -> None:
        async with PtyLine(units_of({2: b""})) as line:
            wishes = {"units": "1-3", "nameless": "true", "timeout": "50ms", "baud": "9600", "parity": "n"}
            await scan(f"rtu://{line.path}", wishes).run(told.append)

    asyncio.run(main())

    assert [1, 2, 3] == [one.done for one in told if isinstance(one, Progress)][:3]
    assert all(one.done <= one.most for one in told if isinstance(one, Progress))


def test_a_port_that_another_program_has_is_refused() -> None:
    async def main() -> None:
        async with PtyLine(units_of({})) as line:
            first = asyncio.create_task(scanned(f"rtu://{line.path}", units="1-9", timeout="10s"))
            await asyncio.sleep(0)
            with pytest.raises(NotConnected, match="another program has it"):
                await scanned(f"rtu://{line.path}", units="1")
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("address", "wishes", "what"),
    [
        ("tcp://127.0.0.1", {"ask": "6"}, "none of them writes"),
        ("tcp://127.0.0.1", {"baud": "9600"}, "--baud means nothing"),
        ("rtu:///dev/x", {"units": "0-3"}, "calls all units"),
        ("tcp://127.0.0.1", {"rate": "0"}, "choose 0.1 to 1000"),
        ("tcp://127.0.0.1", {"timeout": "1h"}, "choose 0.02 s to 10 s"),
        ("tcp://127.0.0.1", {"timeout": "1"}, "no duration"),
    ],
)
def test_what_can_not_be_scanned_is_told(address: str, wishes: dict[str, str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        scan(address, wishes)
