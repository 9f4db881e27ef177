"""Servers that others have written (pyModbusTCP's, npm modbus-serial's, libmodbus') are read right, refusals too."""

import asyncio
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from select import select
from typing import Any

import pytest
from pyModbusTCP.server import DataBank, ModbusServer

from tidegate.clock import Clock
from tidegate.errors import NoAnswer
from tidegate.model.device import Group
from tidegate.model.frame import readings
from tidegate.model.status import BAD_CONFIGURATION_ERROR, GOOD
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus.driver import ModbusDriver

FOREIGN = Path(__file__).parent / "foreign"
PACKAGES = Path(__file__).parents[2] / "build" / "foreign"
INSTALL_DEADLINE_S, START_DEADLINE_S = 100.0, 10.0
UNIT = 17

# How the letters of each order lie on the wire, for two and for four registers; a register alone is swapped or not.
LETTERS = {
    "ABCD": ("AB", "ABCD", "ABCDEFGH"), "BADC": ("BA", "BADC", "BADCFEHG"),
    "CDAB": ("AB", "CDAB", "GHEFCDAB"), "DCBA": ("BA", "DCBA", "HGFEDCBA"),
}  # fmt: skip
NUMBERS: list[tuple[Type, str, int | float]] = [
    (Type.INT16, ">h", -2), (Type.UINT16, ">H", 0xFEDC), (Type.INT32, ">i", -(2**31) + 5),
    (Type.UINT32, ">I", 0xFEDCBA98), (Type.INT64, ">q", -(2**63) + 9), (Type.UINT64, ">Q", 0xFEDCBA9876543210),
    (Type.FLOAT32, ">f", 230.25), (Type.FLOAT64, ">d", -1.0e-300),
]  # fmt: skip
TEXT = "泵 Pump 7"
INPUTS = [0x8000 + place for place in range(140)]
COILS = [place % 3 == 0 for place in range(40)]
DISCRETE = [place % 7 == 2 for place in range(2100)]


def on_the_wire(data: bytes, order: str) -> bytes:
    """Big-endian bytes as a device of this order sends them."""
    letters = LETTERS[order][{2: 0, 4: 1, 8: 2}[len(data)]]
    return bytes(data["ABCDEFGH".index(letter)] for letter in letters)


def everything() -> tuple[bytes, list[Tag], list[object]]:
    """Holding registers with each type in each order, their tags, and what they are."""
    wire, tags, values = b"", [], list[object]()

    def add(data: bytes, kind: Type, value: object, **options: str) -> None:
        nonlocal wire
        tags.append(Tag(f"t{len(tags)}", kind, kind, f"HR{len(wire) // 2}", tuple(options.items())))
        values.append(value)
        wire += data

    for order in LETTERS:
        for kind, code, value in NUMBERS:
            add(on_the_wire(struct.pack(code, value), order), kind, value, order=order)
    add(b"\x12\x80", Type.INT8, -128)
    add(b"\x12\xff", Type.UINT8, 255)
    add(b"\x40\x00", Type.BOOL, True, bit="14")
    add(b"\xbf\xff", Type.BOOL, False, bit="14")
    add(b"\x00\x02", Type.BOOL, True)
    text = TEXT.encode().ljust(16, b"\0")
    add(text, Type.STRING, TEXT, length="16")
    swapped = b"".join(text[i : i + 2][::-1] for i in range(0, 16, 2))
    add(swapped, Type.STRING, TEXT, length="16", order="BADC")
    return wire, tags, values


WIRE, TAGS, VALUES = everything()
WORDS = [word for (word,) in struct.iter_unpack(">H", WIRE)]


@contextmanager
def py_modbus_tcp(host: str) -> Iterator[int]:
    """pyModbusTCP's server, in a thread."""
    bank = DataBank(len(COILS), False, len(DISCRETE), False, len(WORDS), 0, len(INPUTS), 0)
    bank.set_coils(0, COILS)
    bank.set_discrete_inputs(0, DISCRETE)
    bank.set_holding_registers(0, WORDS)
    bank.set_input_registers(0, INPUTS)
    server = ModbusServer(host, 0, no_block=True, ipv6=":" in host, data_bank=bank)
    server.start()
    try:
        yield server._service.server_address[1]
    finally:
        server.stop()


@contextmanager
def process(*command: str, **environment: str) -> Iterator[int]:
    """A server that is a process of its own and prints its port."""
    tables = (WIRE.hex(), "".join(f"{word:04x}" for word in INPUTS), bits(COILS), bits(DISCRETE))
    child = subprocess.Popen([*command, *tables], stdout=subprocess.PIPE, env={**os.environ, **environment})
    try:
        assert child.stdout is not None
        said = child.stdout.readline() if select([child.stdout], [], [], START_DEADLINE_S)[0] else b""

        assert said.strip().isdigit(), f"{command[0]} did not say its port: {said!r}"
        yield int(said)
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def bits(table: list[bool]) -> str:
    return "".join("01"[bit] for bit in table)


def modbus_serial(host: str) -> AbstractContextManager[int]:
    """The npm package modbus-serial, in its pinned version, which is fetched when it is not here yet."""
    packages, wanted = PACKAGES / "node_modules", FOREIGN / "package.json"
    here = PACKAGES / "package.json"
    if not here.exists() or here.read_text() != wanted.read_text():
        install()
    return process("node", str(FOREIGN / "server.js"), host, str(UNIT), NODE_PATH=str(packages))


def install() -> None:
    """The packages of foreign/package.json under build/, where they stay."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.fail("This test needs node and npm: run `.ci/needs test`", pytrace=False)
    work = PACKAGES.with_name(f"foreign-{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy(FOREIGN / "package.json", work)
        command = ["npm", "install", "--omit=optional", "--no-package-lock", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=work, capture_output=True, text=True, timeout=INSTALL_DEADLINE_S, check=False
        )
        if done.returncode:
            pytest.fail(f"npm could not install modbus-serial: {done.stderr[-500:]}", pytrace=False)
        shutil.rmtree(PACKAGES, ignore_errors=True)
        work.rename(PACKAGES)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def libmodbus(host: str) -> AbstractContextManager[int]:
    """A small server on libmodbus, compiled when it is not here yet or has changed."""
    source, program = FOREIGN / "server.c", PACKAGES.with_name("libmodbus-server")
    if not Path("/usr/include/modbus/modbus.h").exists() or not shutil.which("gcc"):
        pytest.fail("This test needs libmodbus-dev and gcc: run `.ci/needs test`", pytrace=False)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(exist_ok=True)
        made = program.with_name(f"{program.name}-{os.getpid()}")
        command = ["gcc", "-Wall", "-Werror", "-I/usr/include/modbus", "-o", str(made), str(source), "-lmodbus"]
        subprocess.run(command, check=True, timeout=60)
        made.rename(program)
    return process(str(program), host, str(UNIT))


SERVERS: dict[str, Callable[[str], AbstractContextManager[int]]] = {
    "pyModbusTCP": py_modbus_tcp,
    "modbus-serial": modbus_serial,
    "libmodbus": libmodbus,
}
Serve = Callable[[str], AbstractContextManager[int]]
Story = Callable[[ModbusDriver, Group], Coroutine[Any, Any, None]]


@pytest.fixture(params=SERVERS.values(), ids=SERVERS.keys())
def foreign(request: pytest.FixtureRequest) -> Serve:
    """`with foreign(host) as port`: one of the servers, with the tables above."""
    served: Serve = request.param
    return served


def against(rig: Any, foreign: Serve, tags: list[Tag], story: Story, host: str = "127.0.0.1", **options: Any) -> None:
    async def main(port: int) -> None:
        place = f"[{host}]" if ":" in host else host
        made = rig.device(f"tcp://{place}:{port}", tags, **{"unit": UNIT, **options})
        driver = ModbusDriver([made], Clock())
        try:
            await driver.open()
            await story(driver, made.groups[0])
        finally:
            await driver.close()

    with foreign(host) as port:
        asyncio.run(main(port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("in_flight", ["1", "8"])
def test_every_type_in_every_order_is_what_it_is(rig: Any, foreign: Serve, host: str, in_flight: str) -> None:
    async def story(driver: ModbusDriver, group: Group) -> None:
        frame = await driver.read(group)

        assert [r.value for r in readings(frame, rig.device("tcp://x", TAGS).table)] == VALUES

    if host == "::1":
        if foreign is py_modbus_tcp:
            pytest.skip("pyModbusTCP 0.3.1 takes the address of an IPv6 client for one of IPv4, and hangs up")
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind((host, 0))
            except OSError:
                pytest.skip("this machine has no IPv6 loopback")
    # Few registers a request, so that there are many.
    against(rig, foreign, TAGS, story, host, in_flight=in_flight, registers_max="20")


def test_the_four_functions_read_four_tables_over_more_than_one_request(rig: Any, foreign: Serve) -> None:
    tags = [Tag(f"i{a}", Type.UINT16, Type.UINT16, f"IR{a}") for a in range(len(INPUTS))]
    tags += [Tag(f"c{a}", Type.BOOL, Type.BOOL, f"CO{a}") for a in range(len(COILS))]
    tags += [Tag(f"d{a}", Type.BOOL, Type.BOOL, f"DI{a}") for a in range(len(DISCRETE))]
    tags += [Tag("h0", Type.UINT16, Type.UINT16, "HR0")]

    async def story(driver: ModbusDriver, group: Group) -> None:
        for _ in range(2):
            frame = await driver.read(group)

            found = [r.value for r in readings(frame, rig.device("tcp://x", tags).table)]
            assert found == [*INPUTS, *COILS, *DISCRETE, WORDS[0]]

    against(rig, foreign, tags, story)


def test_what_is_in_no_table_is_refused_and_the_rest_is_good(rig: Any, foreign: Serve) -> None:
    end = len(WORDS)
    places = ["HR0", f"HR{end - 1}", f"HR{end}", "HR5000", "IR0", f"IR{len(INPUTS)}", "CO39", "CO40", "DI9000"]
    tags = [
        Tag(place, Type.BOOL, Type.BOOL, place) if place[0] in "CD" else Tag(place, Type.UINT16, Type.UINT16, place)
        for place in places
    ]

    async def story(driver: ModbusDriver, group: Group) -> None:
        for _ in range(2):
            frame = await driver.read(group)

            missing = [f"HR{end}", "HR5000", f"IR{len(INPUTS)}", "CO40", "DI9000"]
            expected = [BAD_CONFIGURATION_ERROR if place in missing else GOOD for place in places]
            assert rig.statuses(frame) == expected
            good = [r.value for r in readings(frame, rig.device("tcp://x", tags).table) if not r.status]
            assert good == [WORDS[0], WORDS[-1], INPUTS[0], COILS[39]]

    against(rig, foreign, tags, story)


def test_another_unit_is_silent_or_is_answered_under_its_own_id(rig: Any, foreign: Serve) -> None:
    silent = foreign is modbus_serial

    async def story(driver: ModbusDriver, group: Group) -> None:
        if silent:
            with pytest.raises(NoAnswer):
                await driver.read(group)
        else:
            assert not rig.bad(await driver.read(group))

    against(rig, foreign, rig.words(3), story, unit=UNIT + 1, timeout="300ms")


def test_many_polls_on_one_connection_stay_in_step(rig: Any, foreign: Serve) -> None:
    async def story(driver: ModbusDriver, group: Group) -> None:
        for _ in range(300):
            frame = await driver.read(group)

            assert [r.value for r in readings(frame, rig.device("tcp://x", TAGS).table)] == VALUES

    against(rig, foreign, TAGS, story)
