"""What the doctor says of brokers: names, ports, TLS, and certificates that are wrong in each way."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from demo.broker import Mosquitto, free_port
from tidegate.doctor.broker import examine_brokers
from tidegate.doctor.finding import Finding, Level
from tidegate.publish.settings import TargetSettings

NOW = datetime.now(UTC)
AUTHORITY = trustme.CA()


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return tmp_path / "ca.pem"


@contextlib.contextmanager
def tls_server(folder: Path, begins_days: int = -1, ends_days: int = 365, name: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that shakes hands, with a certificate that is valid so long."""
    issued = AUTHORITY.issue_cert(
        name, not_before=NOW + timedelta(days=begins_days), not_after=NOW + timedelta(days=ends_days)
    )
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listening.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(accepted, server_side=True) as secure:
                        secure.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def asked(port: int, ca: Path | None, host: str = "127.0.0.1") -> list[Finding]:
    return examine_brokers([TargetSettings("cloud", f"mqtts://{host}:{port}", ca=ca)])


def test_a_broker_that_answers_is_well(broker: Mosquitto) -> None:
    (found,) = examine_brokers([TargetSettings("local", broker.url)])

    assert found == Finding("broker of local", Level.OK, f"{broker.url} answers (127.0.0.1)")


def test_a_port_where_nothing_listens_is_at_fault() -> None:
    (found,) = examine_brokers([TargetSettings("local", f"mqtt://127.0.0.1:{free_port()}")])

    assert found.level is Level.FAULT
    assert "Connection refused" in found.what
    assert found.remedy == "Start the broker there, or correct the port"


def test_a_name_that_does_not_exist_is_a_fault_of_dns() -> None:
    (found,) = examine_brokers([TargetSettings("cloud", "mqtts://no-such-broker.invalid")])

    assert found.level is Level.FAULT
    assert "DNS knows no no-such-broker.invalid" in found.what


def test_each_target_has_its_own_findings_in_their_order(broker: Mosquitto) -> None:
    targets = [TargetSettings("a", f"mqtt://127.0.0.1:{free_port()}"), TargetSettings("b", broker.url)]

    assert [f.about for f in examine_brokers(targets)] == ["broker of a", "broker of b"]


def test_tls_that_is_right_says_until_when(tmp_path: Path, authority: Path) -> None:
    with tls_server(tmp_path, ends_days=100) as port:
        found = asked(port, authority)

    assert [one.level for one in found] == [Level.OK] * 4
    assert found[-1].what == f"its certificate is valid until {NOW + timedelta(days=100):%Y-%m-%d}"


def test_a_certificate_that_ends_soon_is_a_warning(tmp_path: Path, authority: Path) -> None:
    with tls_server(tmp_path, ends_days=10) as port:
        found = asked(port, authority)[-1]

    assert (found.level, found.remedy) == (Level.WARNING, "Renew it before")


@pytest.mark.parametrize(
    ("days", "name", "trusted", "part", "remedy"),
    [
        ((-30, -1), "127.0.0.1", True, "expired", "Renew the broker's certificate"),
        ((5, 50), "127.0.0.1", True, "not yet valid: the clock", "Set the clock first"),
        ((-1, 50), "other.example", True, "mismatch", "Write in url the name"),
        (
            (-1, 50),
            "127.0.0.1",
            False,
            "unable to get local issuer",
            'Name the authority that signed it: ca = "ca.pem"',
        ),
    ],
    ids=["expired", "not yet valid", "another name", "another authority"],
)
def test_each_way_to_be_mistrusted_has_its_own_remedy(
    tmp_path: Path, authority: Path, days: tuple[int, int], name: str, trusted: bool, part: str, remedy: str
) -> None:
    with tls_server(tmp_path, *days, name) as port:
        found = asked(port, authority if trusted else None)[-1]

    assert found.level is Level.FAULT
    assert part in found.what
    assert found.remedy.startswith(remedy)


def test_a_port_that_speaks_no_tls_is_told(broker: Mosquitto) -> None:
    found = asked(broker.port, None)[-1]

    assert found.level is Level.FAULT
    assert found.what.startswith("no TLS: ")


def test_certificates_of_ours_that_end_are_told(tmp_path: Path, authority: Path, broker: Mosquitto) -> None:
    issued = AUTHORITY.issue_cert("gateway", not_before=NOW - timedelta(days=9), not_after=NOW - timedelta(days=2))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "gateway.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "gateway.key"))
    target = TargetSettings(
        "local", broker.url, ca=authority, cert=tmp_path / "gateway.pem", key=tmp_path / "gateway.key"
    )
    levels = {f.what.split(" ")[0]: f.level for f in examine_brokers([target])}

    assert levels == {"ca": Level.OK, "cert": Level.FAULT, broker.url: Level.OK}


def test_a_broker_that_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        (found,) = examine_brokers([TargetSettings("cloud", f"mqtts://127.0.0.1:{mute.getsockname()[1]}")], 0.3)

    assert found.level is Level.FAULT
    assert "within 0.3 s" in found.what


def test_fallbacks_are_reached_for_like_the_first_and_named(broker: Mosquitto) -> None:
    gone = f"mqtt://127.0.0.1:{free_port()}"
    found = examine_brokers([TargetSettings("local", broker.url, fallbacks=(gone,))])

    assert [(one.about, one.level) for one in found] == [
        ("broker of local", Level.OK),
        (f"broker of local, {gone}", Level.FAULT),
    ]


def test_a_proxy_that_is_not_there_is_named(broker: Mosquitto) -> None:
    proxy = f"http://127.0.0.1:{free_port()}"
    (found,) = examine_brokers([TargetSettings("local", broker.url, proxy=proxy)])

    assert found.level is Level.FAULT
    assert f"through the proxy {proxy}" in found.what


def test_a_broker_that_opens_no_websocket_is_told(broker: Mosquitto) -> None:
    found = examine_brokers([TargetSettings("local", broker.url.replace("mqtt://", "ws://"))])

    assert [one.level for one in found] == [Level.OK, Level.FAULT]
    assert "no WebSocket" in found[1].what
