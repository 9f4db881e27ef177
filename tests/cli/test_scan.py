"""`tidegate scan` asks a person before it asks machines, says what comes next, and keeps what it found when stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pyModbusTCP.server import DataBank, DataHandler, DeviceIdentification, ModbusServer

from demo.broker import free_port
from tests.fakes.shell import tidegate
from tidegate.cli.main import group
from tidegate.errors import NotConnected

DEADLINE_S = 60.0
PROGRAM = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "scan"]
PATIENT = ("--timeout", "2s", "--rate", "1000")


class Seeing(DataHandler):  # type: ignore[misc]  # the package has no types
    """Notes what is read."""

    def __init__(self) -> None:
        super().__init__(DataBank())
        self.reads = 0

    def read_h_regs(self, address: int, count: int, info: Any) -> Any:
        self.reads += 1
        return super().read_h_regs(address, count, info)


@pytest.fixture
def machine() -> Iterator[tuple[str, Seeing]]:
    """The address of a foreign server that says who it is, and what has been read of it."""
    port, seeing = free_port(), Seeing()
    name = DeviceIdentification(vendor_name=b"Nordpumpe", product_code=b"NP-7", major_minor_revision=b"2.4")
    server = ModbusServer("127.0.0.1", port, no_block=True, data_hdl=seeing, device_id=name)
    server.start()
    yield f"tcp://127.0.0.1:{port}", seeing
    server.stop()


def scan(*words: str) -> Result:
    return CliRunner().invoke(group, ["scan", *words])


def test_what_is_found_is_told_with_the_rows_and_commands_that_come_next(machine: tuple[str, Seeing]) -> None:
    address, _ = machine
    ran = scan(address, "--yes", *PATIENT)

    assert 0 == ran.exit_code, ran.output
    assert [
        f"found   {address}  unit 1  (function 3; it answers to every unit id alike)  "
        "vendor Nordpumpe; product NP-7; revision 2.4",
        "1 unit found",
        "-> For the device list; write its tag table, or a profile, into table:",
        "   name,table,address,unit",
        f"   device1,,{address},1",
        "-> To learn more of them:",
        f"   tidegate profile identify {address} --unit 1",
    ] == ran.stdout.splitlines()
    assert "which only reads" in ran.stderr


def test_the_command_that_comes_next_asks_the_machine_that_was_found(machine: tuple[str, Seeing]) -> None:
    address, _ = machine
    following = scan(address, "--yes", *PATIENT).stdout.splitlines()[-1].split()
    ran = CliRunner().invoke(group, [*following[1:], "--timeout", "10s"])

    # It is of no profile that ships.
    assert ("tidegate", 3) == (following[0], ran.exit_code), ran.output
    assert "Nordpumpe" in ran.output


def test_nothing_is_sent_where_nobody_can_agree(machine: tuple[str, Seeing]) -> None:
    address, seeing = machine
    ran = scan(address)

    assert (2, 0) == (ran.exit_code, seeing.reads)
    assert "give --yes" in ran.output


@pytest.mark.parametrize(("answer", "code", "read"), [(b"n\n", 1, False), (b"y\n", 0, True)])
def test_a_person_is_asked_first(machine: tuple[str, Seeing], answer: bytes, code: int, read: bool) -> None:
    address, seeing = machine
    ours, theirs = os.openpty()
    try:
        os.write(ours, answer)
        ran = subprocess.run(
            [*PROGRAM, address, *PATIENT], stdin=theirs, capture_output=True, text=True, timeout=DEADLINE_S
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert (code, read) == (ran.returncode, seeing.reads > 0)
    assert "Ask them now?" in ran.stderr


def test_nobody_there_is_told_by_the_exit_code() -> None:
    port = free_port()
    ran = scan(f"tcp://127.0.0.1:{port}", "--yes", *PATIENT)

    assert (1, "0 units found") == (ran.exit_code, ran.stdout.splitlines()[-1])
    assert f"no connection to 127.0.0.1:{port}: Connection refused. Check address and port" in ran.stdout


def test_json_is_one_document(machine: tuple[str, Seeing]) -> None:
    address, _ = machine
    ran = scan(address, "--yes", "--json", "--nameless", *PATIENT)
    told = json.loads(ran.stdout)

    assert (True, [address], []) == (told["whole"], [one["address"] for one in told["found"]], told["notes"])


def test_an_interrupted_scan_tells_what_it_has_found(machine: tuple[str, Seeing]) -> None:
    address, _ = machine
    words = ["--yes", "--all", "--units", "1-247", "--rate", "5", "--nameless", "--timeout", "5s"]
    process = subprocess.Popen([*PROGRAM, address, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE_S)

    assert 130 == process.returncode
    assert first.startswith(f"found   {address}  unit 1 ")
    assert "and it did not come to its end" in out
    assert "tidegate profile identify" in out


def test_ipv6_is_scanned() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as silent:
        port = silent.getsockname()[1]
        ran = scan(f"tcp://[::1]:{port}", "--yes", "--units", "1", "--timeout", "50ms")

    assert f"note    [::1]:{port} accepts connections, and none of unit 1 answers" in ran.stdout.splitlines()


def test_a_port_that_is_not_there_is_told() -> None:
    ran = scan("rtu:///dev/ttyNONE9", "--yes")

    assert isinstance(ran.exception, NotConnected)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("tcp://10.0.0.0/8",), "more than 4096; --large allows it"),
        (("tcp://10.0.0.1", "--units", "999"), "unit ids go from 0 to 255"),
        (("s7://10.0.0.1",), "known are: tcp://, rtu://, ascii://"),
        (("10.0.0.1",), "known are: tcp://"),
    ],
)
def test_what_can_not_be_scanned_is_told(words: tuple[str, ...], told: str, tmp_path: Path) -> None:
    ran = tidegate("scan", *words, "--yes", cwd=tmp_path)

    assert (2, True) == (ran.returncode, told in ran.stderr), ran.stderr
