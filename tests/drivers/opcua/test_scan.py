"""`tidegate scan opc.tcp://...`: what a server offers, its certificate, and what is wrong with both."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from tests.drivers.opcua.peers import Peer, asyncua_server, node_opcua
from tidegate.acquire.survey import Found, Note
from tidegate.cli.main import group
from tidegate.errors import NotConnected
from tidegate_drivers.opcua.scan import certificate_lines, first_certificate, scan

POLICIES = ("None", "Basic256Sha256", "Aes256_Sha256_RsaPss")
URI = "urn:tidegate:test:server"


@pytest.fixture(scope="module", params=[asyncua_server, node_opcua])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder: Path = tmp_path_factory.mktemp("peer")
    with request.param(folder, policies=POLICIES, hostname="plc.invalid") as peer:
        yield peer


def told(peer: Peer) -> tuple[list[Found], list[str]]:
    found: list[object] = []
    asyncio.run(scan(peer.url, {}).run(found.append))
    return [one for one in found if isinstance(one, Found)], [one.text for one in found if isinstance(one, Note)]


def certificate(peer: Peer) -> x509.Certificate:
    assert peer.certificate is not None
    return x509.load_pem_x509_certificate(Path(peer.certificate).read_bytes())


def test_a_server_is_found_with_each_way_to_speak_to_it(peer: Peer) -> None:
    [found], notes = told(peer)

    assert peer.url == found.address
    assert f"uri {URI}" in found.said
    for policy, mode in (
        ("None", "no security"),
        ("Basic256Sha256", "SignAndEncrypt"),
        ("Aes256_Sha256_RsaPss", "SignAndEncrypt"),
    ):
        assert any(note.startswith(f"{policy}, {mode}: anonymous, user and password") for note in notes), notes
    assert any("anybody on the way" in note for note in notes)


def test_its_certificate_is_told_by_thumbprint_and_end(peer: Peer) -> None:
    shown = certificate(peer)
    _, notes = told(peer)
    thumbprint = shown.fingerprint(SHA1()).hex().upper()

    assert any(note.startswith(f"certificate {thumbprint} (SHA-1), valid until") for note in notes)


def test_a_host_that_can_not_be_resolved_is_said(peer: Peer) -> None:
    if "asyncua" in peer.wanted.pki:
        pytest.skip("asyncua's server names the address that it was asked at")
    _, notes = told(peer)

    assert "it calls itself plc.invalid, which can't be resolved here: the gateway uses 127.0.0.1" in notes


def test_an_end_that_comes_or_came_a_wrong_uri_and_a_wrong_host_are_said(peer: Peer) -> None:
    shown = certificate(peer)
    der, end = shown.public_bytes(Encoding.DER), shown.not_valid_after_utc

    assert 1 == len(certificate_lines(der, URI, "127.0.0.1", end - timedelta(days=90)))
    assert "ends in 9 days" in certificate_lines(der, URI, "127.0.0.1", end - timedelta(days=9, hours=1))[1]
    assert "ended 3 days ago" in certificate_lines(der, URI, "127.0.0.1", end + timedelta(days=2, hours=1))[1]
    wrong = certificate_lines(der, "urn:other", "10.0.0.9", end - timedelta(days=90))
    assert "not for urn:other" in wrong[1]
    assert "not for the host 10.0.0.9" in wrong[2]


def test_of_a_chain_the_first_certificate_is_the_servers(peer: Peer) -> None:
    der = certificate(peer).public_bytes(Encoding.DER)

    assert der == first_certificate(der + der)
    assert ["certificate 8843D7F92416211DE9EBB963FF4CE28125932878: it can't be read"] == certificate_lines(
        b"foobar", URI, "h", datetime.now(UTC)
    )


def test_the_command_asks_first_and_then_shows_it_all(peer: Peer) -> None:
    agreed = CliRunner().invoke(group, ["scan", peer.url, "--yes"])
    unasked = CliRunner().invoke(group, ["scan", peer.url])

    assert 0 == agreed.exit_code, agreed.output
    assert f"found   {peer.url}" in agreed.stdout
    assert f"tidegate browse {peer.url}" in agreed.stdout
    assert "No session is opened, no value is read" in unasked.output
    assert 2 == unasked.exit_code


def test_nobody_there_is_not_connected() -> None:
    with pytest.raises(NotConnected):
        asyncio.run(scan("opc.tcp://127.0.0.1:1", {}).run(lambda _: None))


@pytest.mark.parametrize(
    ("address", "wishes"),
    [("opc.tcp://", {}), ("tcp://127.0.0.1", {}), ("opc.tcp://h", {"units": "1"}), ("opc.tcp://h", {"timeout": "x"})],
)
def test_what_can_not_be_scanned_is_a_value_error(address: str, wishes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"host|begin|option|duration"):
        scan(address, wishes)
