"""What a person reads who wrote something wrong in [[target]]: one line in log and status, with what to do about it."""

import asyncio
import datetime
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from demo.broker import Mosquitto
from tests.fakes.buffer import MemoryBuffer
from tests.fakes.certificates import certificates
from tests.fakes.frames import table
from tests.fakes.mqtt_broker import DATA_LEAVES, ScriptedBroker, until
from tests.publish.conftest import Serving
from tests.publish.test_ways import listening
from tidegate.secret import Secret

METER = table()
NOW = datetime.datetime.now(datetime.UTC)
MONTH = datetime.timedelta(days=30)


def told(serving: Serving, caplog: pytest.LogCaptureFixture, url: str, **settings: Any) -> str:
    """What status says of a target of these settings, once it says something; the log says the same."""

    async def main() -> str:
        async with serving(url, MemoryBuffer.of(METER, 3), connect_deadline_s=3.0, **settings) as target:
            await until(lambda: target.status().why != "")
            return target.status().why

    why = asyncio.run(main())
    assert any(why in record.message for record in caplog.records)
    assert "\n" not in why
    return why


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[str]:
    """The address of a mosquitto that knows alice only, and lets her publish nothing."""
    (tmp_path / "passwords").touch(0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(tmp_path / "passwords"), "alice", "right"], check=True)
    (tmp_path / "access").write_text("user alice\ntopic read nothing\n")
    (tmp_path / "access").chmod(0o600)
    extra = ["allow_anonymous false", f"password_file {tmp_path}/passwords", f"acl_file {tmp_path}/access"]
    broker = Mosquitto(tmp_path / "guarded", extra="\n".join(extra))
    broker.start()
    yield broker.url
    broker.kill()


@pytest.mark.parametrize("mqtt", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("user", "password", "remedy"),
    [("", None, "set user and password"), ("alice", "wrong", "user 'alice' and its password"), ("bob", "x", "'bob'")],
    ids=["none", "wrong password", "unknown user"],
)
def test_a_wrong_user_or_password(
    serving: Serving, caplog: pytest.LogCaptureFixture, guarded: str, mqtt: str, user: str, password: str | None,
    remedy: str,
) -> None:  # fmt: skip
    secret = Secret(password) if password is not None else None
    why = told(serving, caplog, guarded, mqtt=mqtt, user=user, password=secret)

    assert "Not authorized (0x87)" in why
    assert remedy in why
    assert password is None or f" {password} " not in why


@pytest.mark.parametrize(
    ("code", "remedy"), [(0x86, "'me' and its password"), (0x85, "another client_id"), (0x84, '"3.1.1"')]
)
def test_another_refusal_of_connect(serving: Serving, caplog: pytest.LogCaptureFixture, code: int, remedy: str) -> None:
    async def main() -> str:
        async with (
            ScriptedBroker(connack=code) as broker,
            serving(broker.url, MemoryBuffer.of(METER, 3), user="me") as target,
        ):
            await until(lambda: target.status().why != "")
            return target.status().why

    why = asyncio.run(main())

    assert f"(0x{code:02X})" in why
    assert remedy in why


def test_a_topic_that_the_broker_denies(serving: Serving, caplog: pytest.LogCaptureFixture, guarded: str) -> None:
    why = told(serving, caplog, guarded, user="alice", password=Secret("right"))

    assert "0x87" in why
    assert "`tidegate topics`" in why


def test_data_that_the_broker_denies(serving: Serving) -> None:
    async def main() -> str:
        async with (
            ScriptedBroker(puback=lambda message: 0x87 if message.leaf in DATA_LEAVES else 0) as broker,
            serving(broker.url, MemoryBuffer.of(METER, 3)) as target,
        ):
            await until(lambda: target.status().why != "")
            return target.status().why

    assert "`tidegate topics`" in asyncio.run(main())


def test_plain_mqtt_to_a_port_for_tls(serving: Serving, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    with listening(tmp_path, "tls") as port:
        wait_for_port(port)
        why = told(serving, caplog, f"mqtt://127.0.0.1:{port}")

    assert "before it spoke MQTT" in why
    assert "mqtts://" in why


@pytest.mark.parametrize("scheme", ["mqtts", "wss"])
def test_tls_to_a_port_for_plain_mqtt(
    serving: Serving, caplog: pytest.LogCaptureFixture, broker: Mosquitto, scheme: str
) -> None:
    why = told(serving, caplog, f"{scheme}://127.0.0.1:{broker.port}", ca=certificates().authority)

    assert f"no TLS is spoken at port {broker.port}" in why


def test_a_websocket_to_a_port_for_plain_mqtt(
    serving: Serving, caplog: pytest.LogCaptureFixture, broker: Mosquitto
) -> None:
    why = told(serving, caplog, f"ws://127.0.0.1:{broker.port}")

    assert f"no WebSocket is served at port {broker.port}" in why


def test_a_name_that_nobody_knows(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    why = told(serving, caplog, "mqtts://broker.invalid")

    assert "broker.invalid" in why
    assert "name" in why or "DNS" in why


def test_a_port_at_which_nobody_listens(serving: Serving, caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        why = told(serving, caplog, f"mqtt://127.0.0.1:{port}")

    assert f"Connection refused: nothing listens at 127.0.0.1, port {port}" in why


def test_a_broker_that_wants_a_certificate(serving: Serving, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    made, other = certificates(), trustme.CA().issue_cert("stranger.example")
    other.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "stranger.pem"))
    with listening(tmp_path, "tls", "require_certificate true") as port:
        wait_for_port(port)
        url = f"mqtts://127.0.0.1:{port}"
        without = told(serving, caplog, url, ca=made.authority)
        strange = told(serving, caplog, url, ca=made.authority, cert=tmp_path / "stranger.pem")

    # Which of two sentences depends on whether its alert arrives before its reset.
    assert "`cert` and `key`" in without
    assert "our certificate" in strange


def test_a_key_of_another_certificate(serving: Serving, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    made, other = certificates(), trustme.CA().issue_cert("stranger.example")
    other.private_key_pem.write_to_path(str(tmp_path / "stranger.key"))
    with listening(tmp_path, "tls") as port:
        wait_for_port(port)
        why = told(
            serving, caplog, f"mqtts://127.0.0.1:{port}", ca=made.authority, cert=made.client,
            key=tmp_path / "stranger.key",
        )  # fmt: skip

    assert "`key` does not belong to `cert`" in why


def test_an_authority_that_is_no_certificate(
    serving: Serving, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("nothing")

    assert "name PEM files" in told(serving, caplog, "mqtts://127.0.0.1:1", ca=tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("name", "begins", "ends", "trusted", "remedy"),
    [
        ("127.0.0.1", -MONTH, MONTH, False, "does not know who signed it; name the authority's certificate in `ca`"),
        ("broker.example", -MONTH, MONTH, True, "it is not for 127.0.0.1; write in url the name that it is for"),
        ("127.0.0.1", -2 * MONTH, -MONTH, True, "renew the broker's certificate"),
        ("127.0.0.1", MONTH, 2 * MONTH, True, "look at the clock of this machine"),
    ],
    ids=["unknown authority", "another name", "expired", "not yet valid"],
)
def test_a_certificate_of_the_broker_that_is_no_good(
    serving: Serving, caplog: pytest.LogCaptureFixture, tmp_path: Path, name: str, begins: datetime.timedelta,
    ends: datetime.timedelta, trusted: bool, remedy: str,
) -> None:  # fmt: skip
    authority, stranger = trustme.CA(), trustme.CA()
    (authority if trusted else stranger).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_before=NOW + begins, not_after=NOW + ends).configure_cert(context)

    async def main() -> str:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
        url = f"mqtts://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, serving(url, MemoryBuffer.of(METER, 3), ca=tmp_path / "ca.pem") as target:
            await until(lambda: target.status().why != "")
            return target.status().why

    assert remedy in asyncio.run(main())


def wait_for_port(port: int) -> None:
    """Until a listener that starts beside the first one is there."""

    async def main() -> None:
        for _ in range(500):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
        raise AssertionError(f"nobody listens at {port}")

    asyncio.run(main())
