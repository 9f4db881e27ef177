"""Modbus Security: a foreign TLS server is read; whoever does not prove who it is never gives a value."""

import asyncio
import datetime
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import ModbusTlsServer

from tidegate.clock import BUILT_US, Clock
from tidegate.errors import ConfigError, NotConnected
from tidegate.loop import new
from tidegate.model.device import Device, Group
from tidegate.model.frame import readings
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.modbus.driver import ModbusDriver

DEADLINE_S = 20.0
Told = TypeVar("Told")
Loop = Callable[[], asyncio.AbstractEventLoop]
NO_CERTIFICATE = {"tls_cert": "", "tls_key": ""}


@dataclass(frozen=True, slots=True)
class Papers:
    """PEM files of a plant: its authority, a device and a gateway with keys, another authority, and an old device."""

    ca: str
    device: str
    gateway: str
    key: str
    other_ca: str
    expired: str
    future: str


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    ca, other = trustme.CA(), trustme.CA()

    def written(name: str, *blobs: trustme.Blob) -> str:
        path = folder / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        path.chmod(0o600)
        return str(path)

    def issued(begins: datetime.timedelta, ends: datetime.timedelta) -> trustme.Blob:
        now = datetime.datetime.now(datetime.UTC)
        made = ca.issue_cert("127.0.0.1", not_before=now + begins, not_after=now + ends)
        return made.private_key_and_cert_chain_pem

    day = datetime.timedelta(days=1)
    gateway = ca.issue_cert("gateway-7")
    return Papers(
        written("ca.pem", ca.cert_pem),
        written("device.pem", ca.issue_cert("127.0.0.1", "::1", "press-1").private_key_and_cert_chain_pem),
        written("gateway.pem", *gateway.cert_chain_pems),
        written("gateway.key", gateway.private_key_pem),
        written("other.pem", other.cert_pem),
        written("expired.pem", issued(-10 * day, -day)),
        written("future.pem", issued(day, 10 * day)),
    )


def machine(papers: Papers, port: int, host: str = "127.0.0.1", **options: str) -> Device:
    at = f"[{host}]" if ":" in host else host
    tags = tuple(Tag(f"w{n}", Type.UINT16, Type.UINT16, f"HR{n}") for n in range(100))
    given = {"tls_ca": papers.ca, "tls_cert": papers.gateway, "tls_key": papers.key, "timeout": "5s"} | options
    group = Group("m1", "default", 1.0, DEADLINE_S, tuple(range(len(tags))))
    return Device("m1", "modbus", f"tls://{at}:{port}", 1, TagTable("m1", tags), (group,), given)


def presenting(certificate: str, least: ssl.TLSVersion, ca: str) -> ssl.SSLContext:
    """A server's side, which wants its client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = least
    context.load_cert_chain(certificate)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@asynccontextmanager
async def foreign(context: ssl.SSLContext, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Pymodbus' TLS server, whose register n holds n + 7; its port."""
    block = ModbusSequentialDataBlock(1, [n + 7 for n in range(200)])
    server = ModbusTlsServer(
        ModbusServerContext(ModbusDeviceContext(hr=block), True), address=(host, 0), sslctx=context
    )
    await server.listen()
    try:
        listening: Any = server.transport
        yield listening.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def run(story: Coroutine[Any, Any, Told], loop: Loop = new) -> Told:
    """A story, on the gateway's own event loop if no other is named."""
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(story)


async def read(driver: ModbusDriver, device: Device) -> list[object]:
    """One read over a new connection."""
    try:
        await driver.open()
        frame = await driver.read(device.groups[0])
        return [reading.value for reading in readings(frame, device.table)]
    finally:
        await driver.close()


def refusal(
    papers: Papers, certificate: str, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2, clock: Clock | None = None,
    **options: str,
) -> str:  # fmt: skip
    """What is said when a device with this certificate is opened and read."""

    async def main() -> str:
        async with foreign(presenting(certificate, version, papers.ca)) as port:
            device = machine(papers, port, **options)
            with pytest.raises(NotConnected) as raised:
                await read(ModbusDriver([device], clock or Clock()), device)
            return raised.value.what

    return run(main())


@pytest.mark.parametrize("loop", [new, asyncio.new_event_loop], ids=["the gateway's loop", "asyncio's loop"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_device_that_proves_who_it_is_is_read(papers: Papers, host: str, version: ssl.TLSVersion, loop: Loop) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6 loopback")

    async def main() -> list[object]:
        async with foreign(presenting(papers.device, version, papers.ca), host) as port:
            device = machine(papers, port, host)
            return await read(ModbusDriver([device], Clock()), device)

    assert [n + 7 for n in range(100)] == run(main(), loop)


def test_a_device_is_believed_by_the_name_that_tls_name_expects(papers: Papers) -> None:
    assert "is not for press-2: correct tls_name" in refusal(papers, papers.device, tls_name="press-2")


def test_an_authority_that_did_not_issue_it_vouches_for_nothing(papers: Papers) -> None:
    assert "is not to be believed" in refusal(papers, papers.device, tls_ca=papers.other_ca)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_device_that_wants_the_gateways_certificate_is_told_apart(papers: Papers, version: ssl.TLSVersion) -> None:
    assert "certificate (tls_cert, tls_key)" in refusal(papers, papers.device, version, **NO_CERTIFICATE)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("known", [True, False], ids=["no certificate", "unknown authority"])
def test_the_alert_of_a_device_is_put_into_words(papers: Papers, version: ssl.TLSVersion, known: bool) -> None:
    context = presenting(papers.device, version, papers.ca if known else papers.other_ca)

    def serve(listening: socket.socket) -> None:
        # OpenSSL's own server, since asyncio keeps its alert to itself.
        accepted, _ = listening.accept()
        accepted.settimeout(DEADLINE_S)
        tls = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        with pytest.raises(ssl.SSLError):
            tls.do_handshake()
        with socket.socket(fileno=tls.detach()) as plain:
            plain.settimeout(DEADLINE_S)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(4096):
                pass

    async def main(listening: socket.socket) -> str:
        device = machine(papers, listening.getsockname()[1], **(NO_CERTIFICATE if known else {}))
        served = asyncio.create_task(asyncio.to_thread(serve, listening))
        with pytest.raises(NotConnected) as raised:
            await read(ModbusDriver([device], Clock()), device)
        await served
        return raised.value.what

    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = run(main(listening))

    expected = (
        "want the gateway's certificate" if version is ssl.TLSVersion.TLSv1_2 else "wants the gateway's certificate"
    )

    assert (expected if known else "give it that authority") in said


def test_an_expired_certificate_is_refused_and_named_so(papers: Papers) -> None:
    assert "its certificate has expired: renew it" in refusal(papers, papers.expired)


def test_a_certificate_of_the_future_is_blamed_on_a_clock_that_is_not_set(papers: Papers) -> None:
    unset = Clock(wall=lambda: BUILT_US - 1)

    assert "by the gateway's clock, which is not set" in refusal(papers, papers.future, clock=unset)
    assert "its certificate is not valid yet: renew it" in refusal(papers, papers.future)


def test_a_device_without_tls_is_named_so(papers: Papers) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(bytes(64))
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            device = machine(papers, server.sockets[0].getsockname()[1])
            with pytest.raises(NotConnected, match="speaks no TLS"):
                await ModbusDriver([device], Clock()).open()

    run(main())


def test_files_on_a_disk_that_takes_its_time_hold_up_nobody_else(papers: Papers, tmp_path: Path) -> None:
    slow = tmp_path / "ca.pem"
    slow.write_bytes(Path(papers.ca).read_bytes())
    went_on = threading.Event()

    def feed() -> None:
        # Whoever opens a FIFO to read waits for this. Without others that go on it ends all the same, some time.
        went_on.wait(DEADLINE_S / 4)
        slow.write_bytes(b"none")

    async def main() -> bool:
        driver = ModbusDriver([machine(papers, 1, tls_ca=str(slow))], Clock())
        slow.unlink()
        os.mkfifo(slow)
        feeding = threading.Thread(target=feed)
        feeding.start()
        opening = asyncio.create_task(driver.open())
        for _ in range(3):
            await asyncio.sleep(0.01)
        waited = not opening.done()
        went_on.set()
        with pytest.raises(NotConnected, match="can't be used"):
            await opening
        feeding.join()
        return waited

    assert run(main())


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)


def test_half_a_handshake_ends_at_the_deadline_and_leaves_nothing_open(papers: Papers) -> None:
    ends: list[bytes] = []

    async def main() -> int:
        ended = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ends.append(await reader.read())
            writer.close()
            ended.set()

        async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
            device = machine(papers, server.sockets[0].getsockname()[1])
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(NotConnected, match="did not finish the TLS handshake within 5 s"):
                await ModbusDriver([device], Clock()).open()
            await asyncio.wait_for(ended.wait(), DEADLINE_S)
            await until(lambda: len(os.listdir("/proc/self/fd")) <= before)

    run(main())

    assert 1 == len(ends)


@pytest.mark.parametrize(
    ("options", "column", "said"),
    [
        ({"tls_ca": ""}, "tls_ca", "whose devices"),
        ({"tls_ca": "/nowhere.pem"}, "tls_ca", "no such file"),
        ({"tls_key": ""}, "tls_key", "needs its key"),
        ({"tls_key": "CA"}, "tls_key", "no private key"),
        ({"tls_key": "DEVICE"}, "tls_key", "does not belong"),
        ({"tls_cert": "KEY"}, "tls_cert", "can't be used"),
        ({"tls_ca": "KEY"}, "tls_ca", "no certificate"),
    ],
)
def test_files_that_do_not_fit_are_one_problem_with_its_column(
    papers: Papers, options: dict[str, str], column: str, said: str
) -> None:
    names = {"CA": papers.ca, "DEVICE": papers.device, "KEY": papers.key}
    device = machine(papers, 802, **{name: names.get(text, text) for name, text in options.items()})
    (problem,) = [problem for problem in ModbusDriver.check([device]) if problem.fatal]

    assert column == problem.column
    assert said in problem.what


def test_a_key_that_others_may_read_is_refused(papers: Papers, tmp_path: Path) -> None:
    key = tmp_path / "open.key"
    key.write_bytes(Path(papers.key).read_bytes())
    key.chmod(0o644)

    with pytest.raises(ConfigError, match=r"others may read the private key .*chmod 600"):
        ModbusDriver([machine(papers, 802, tls_key=str(key))], Clock())


def test_devices_of_one_bus_believe_the_same(papers: Papers) -> None:
    here = machine(papers, 802)
    there = replace(machine(papers, 802, tls_ca=papers.other_ca), name="m2", unit=2)
    (problem,) = ModbusDriver.check([here, there])

    assert ("m2", "address", True) == (problem.key, problem.column, problem.fatal)


def test_settings_of_tls_mean_nothing_over_plain_tcp(papers: Papers) -> None:
    plain = replace(machine(papers, 802), address="tcp://127.0.0.1:802")

    assert ["tls_ca", "tls_cert", "tls_key"] == [problem.column for problem in ModbusDriver.check([plain])]
