"""Certificates and keys are looked into before anything connects: each fault names file, key and remedy."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from tests.fakes.shell import tidegate

AUTHORITY = trustme.CA()
NOW = datetime.now(UTC)
BODY = 'url = "mqtts://broker"\nca = "ca.pem"\ncert = "own.pem"\nkey = "own.key"\n'
DAY = timedelta(days=1)


def issue(folder: Path, begins: datetime = NOW - DAY, ends: datetime = NOW + 400 * DAY) -> None:
    made = AUTHORITY.issue_cert("gateway-7", not_before=begins, not_after=ends)
    (folder / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    (folder / "own.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    (folder / "own.key").write_bytes(made.private_key_pem.bytes())
    (folder / "own.key").chmod(0o600)


@pytest.fixture
def secured(place: Any) -> Any:
    """A configuration whose target has an authority, and a certificate with its key."""
    issue(place.folder)
    place.write("gateway.toml", place.path.read_text().replace('url = "mqtt://127.0.0.1:1883"\n', BODY))
    return place


def test_files_that_belong_together_are_accepted_without_a_word(secured: Any) -> None:
    assert secured.problems() == []


def test_certificate_and_key_may_be_one_file(secured: Any) -> None:
    secured.write("own.key", (secured.folder / "own.key").read_bytes() + (secured.folder / "own.pem").read_bytes())
    secured.change('cert = "own.pem"', 'cert = "own.key"')

    assert secured.problems() == []


def der(folder: Path) -> None:
    known = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes())
    (folder / "ca.pem").write_bytes(known.public_bytes(Encoding.DER))


def archive(folder: Path) -> None:
    key = serialization.load_pem_private_key((folder / "own.key").read_bytes(), None)
    own = x509.load_pem_x509_certificate((folder / "own.pem").read_bytes())
    data = pkcs12.serialize_key_and_certificates(b"x", key, own, None, NoEncryption())  # type: ignore[arg-type]  # RSA or EC
    (folder / "own.pem").write_bytes(data)


def lock(folder: Path) -> None:
    key = serialization.load_pem_private_key((folder / "own.key").read_bytes(), None)
    how = serialization.BestAvailableEncryption(b"hush")
    (folder / "own.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))


def strange(folder: Path) -> None:
    (folder / "own.key").write_bytes(AUTHORITY.issue_cert("other").private_key_pem.bytes())


def torn(folder: Path) -> None:
    text = (folder / "own.key").read_text().splitlines()
    (folder / "own.key").write_text("\n".join([*text[:2], *text[-1:]]))


def bad_base64(folder: Path) -> None:
    text = (folder / "own.pem").read_text().splitlines()
    (folder / "own.pem").write_text("\n".join([text[0], "MIIB", text[-1]]))


def replaced(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text) and None


@pytest.mark.parametrize(
    ("spoil", "key", "what", "remedy"),
    [
        (replaced("ca.pem", "name,type\n"), "ca", "ca.pem can't be used: it holds no certificate", "Name a PEM file"),
        (replaced("own.pem", " "), "cert", "own.pem can't be used: it holds no certificate", "Name a PEM file"),
        (replaced("own.key", " "), "key", "own.key holds no private key in PEM", "Name the PEM file"),
        (lambda f: (f / "ca.pem").unlink(), "ca", "ca.pem does not exist", "Correct the path"),
        (lambda f: (f / "own.key").unlink(), "key", "own.key does not exist", "Correct the path"),
        (der, "ca", "ca.pem is DER, not PEM", "openssl x509 -inform der"),
        (archive, "cert", "own.pem is PKCS #12, not PEM", "openssl pkcs12"),
        (bad_base64, "cert", "own.pem can't be used", "Name a PEM file"),
        (strange, "key", "own.key does not belong to the certificate", "Name the key that this certificate was made"),
        (torn, "key", "own.key can't be used", "Name a PEM file"),
        (lock, "key", "own.key is locked by a passphrase", "openssl pkey -in"),
        (lambda f: (f / "own.key").chmod(0o604), "key", "own.key (mode 0604)", "chmod 600"),
    ],
    ids=[
        "ca that is no PEM", "cert without a certificate", "key without a key", "no ca", "no key", "DER", "PKCS 12",
        "cert torn", "key of another", "key torn", "locked", "open to others",
    ],
)  # fmt: skip
def test_one_fault_in_a_file_is_one_problem_at_its_key(
    secured: Any, spoil: Callable[[Path], object], key: str, what: str, remedy: str
) -> None:
    spoil(secured.folder)
    (problem,) = secured.found()

    assert problem.fatal
    assert problem.key == f"target.{key}"
    assert what in problem.what.replace(f"{secured.folder}/", "")
    assert remedy in problem.remedy
    assert "hush" not in str(problem)


@pytest.mark.parametrize(
    ("begins", "ends", "what"),
    [
        (NOW - 9 * DAY, NOW - 2 * DAY - timedelta(hours=1), "expired on {ends:%Y-%m-%d}, 2 days ago"),
        (NOW + 3 * DAY + timedelta(hours=1), NOW + 9 * DAY, "is not valid before {begins:%Y-%m-%d}, in 3 days"),
        (NOW - DAY, NOW + DAY + timedelta(hours=1), "expires on {ends:%Y-%m-%d}, in 1 day"),
    ],
    ids=["expired", "not yet", "soon"],
)
def test_a_certificate_out_of_its_time_is_a_warning_with_days(
    secured: Any, begins: datetime, ends: datetime, what: str
) -> None:
    issue(secured.folder, begins, ends)
    (problem,) = secured.load().warnings

    assert problem.key == "target.cert"
    assert what.format(begins=begins, ends=ends) in problem.what


def test_a_key_that_this_user_may_not_read_is_said_so(secured: Any) -> None:
    (secured.folder / "own.key").chmod(0)
    checked = tidegate("check", "gateway.toml", cwd=secured.folder, held=True)

    assert (checked.returncode, checked.stderr) == (78, "")
    assert "gateway.toml:14 target.key: own.key may not be read by the user" in checked.stdout
    assert "Run this as the gateway's user" in checked.stdout
