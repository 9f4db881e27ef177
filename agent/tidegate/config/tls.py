"""Looks into the PEM files of a target before anything connects: what they hold, whether they fit, who may read them.

It opens no connection, and asks nobody for a passphrase.
"""

import re
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.config.certificate import validities
from tidegate.config.files import read_bounded
from tidegate.config.quantities import Unfit
from tidegate.errors import Problem

EXPIRY_WARNING = timedelta(days=30)
# Both formats begin with the tag of a sequence (X.690, 8.9); in PKCS #12 version 3 follows (RFC 7292, 4).
DER, PKCS12 = b"\x30", b"\x02\x01\x03"
_KEY = re.compile(rb"-----BEGIN ([A-Z]+ )*PRIVATE[ ]KEY-----")


class _Locked(Exception):
    """A key asked for its passphrase."""


def tls_problems(ca: Path | None, cert: Path | None, key: Path | None) -> Iterator[Problem]:
    """What is wrong with these files: `Problem.key` is ca, cert or key. A certificate out of its time is a warning."""
    if ca is not None:
        yield from _authorities(ca)
    found = [*(_certificate(cert) if cert else ()), *(_private(key) if key else ())]
    yield from found
    if cert and key and not any(problem.fatal for problem in found):
        yield from _pair(cert, key)


def _authorities(path: Path) -> Iterator[Problem]:
    try:
        spans = _spans(path)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except Unfit as unfit:
        yield Problem("", "ca", unfit.what, unfit.remedy)
    except (OSError, ValueError) as error:
        yield _unusable("ca", path, error)
    else:
        # One authority that is valid may be enough.
        yield from _timely("ca", path, *max(spans, key=lambda span: span[1]))


def _certificate(path: Path) -> Iterator[Problem]:
    try:
        spans = _spans(path)
    except Unfit as unfit:
        yield Problem("", "cert", unfit.what, unfit.remedy)
    else:
        # Ours stands first, its chain follows.
        yield from _timely("cert", path, *spans[0])


def _private(path: Path) -> Iterator[Problem]:
    try:
        data = read_bounded(path)
        mode = path.stat().st_mode
    except Unfit as unfit:
        yield Problem("", "key", unfit.what, unfit.remedy)
        return
    if not _KEY.search(data):
        remedy = "Name the PEM file that holds the key of cert"
        yield Problem("", "key", f"{path} holds no private key in PEM", remedy)
    if mode & stat.S_IRWXO:
        what = f"others may read the private key {path} (mode {stat.S_IMODE(mode):04o})"
        yield Problem("", "key", what, f"Run: chmod 600 {path}")


def _pair(cert: Path, key: Path) -> Iterator[Problem]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, _locked)
    except _Locked:
        what = f"the private key {key} is locked by a passphrase, and nobody is there to type it when the gateway runs"
        yield Problem(
            "", "key", what, f"Store it without one: openssl pkey -in {key} -out new.key && chmod 600 new.key"
        )
    except ssl.SSLError as error:
        if (error.reason or "").startswith("KEY_"):
            what = f"the private key {key} does not belong to the certificate {cert}"
            remedy = "Name the key that this certificate was made for; of a chain, the gateway's own stands first"
            yield Problem("", "key", what, remedy)
        else:
            yield _unusable("key", key, error)
    except (OSError, ValueError) as error:
        yield _unusable("key", key, error)


def _locked() -> str:
    """OpenSSL would ask at the terminal, and wait."""
    raise _Locked


def _spans(path: Path) -> list[tuple[datetime, datetime]]:
    """First and last moment of each certificate in a file. Raises Unfit."""
    data = read_bounded(path)
    if data.startswith(DER):
        if data[4:7] == PKCS12:
            how = f"Take certificate and key out of it: openssl pkcs12 -in {path} -nodes -out gateway.pem"
            raise Unfit(f"{path} is PKCS #12, not PEM", how)
        how = f"Write it as PEM: openssl x509 -inform der -in {path} -out {path.with_suffix('.pem')}"
        raise Unfit(f"{path} is DER, not PEM", how)
    try:
        return validities(path)
    except ValueError as error:
        how = "Name a PEM file: its certificate begins with -----BEGIN CERTIFICATE-----"
        raise Unfit(f"{path} can't be used: {error}", how) from None


def _timely(key: str, path: Path, begins: datetime, ends: datetime) -> Iterator[Problem]:
    now = datetime.now(UTC)
    if now < begins:
        what = f"{path} is not valid before {begins:%Y-%m-%d}, in {_days(begins - now)}"
        yield Problem("", key, what, "Set this machine's clock if it is wrong; else wait", fatal=False)
    elif now > ends:
        what = f"{path} expired on {ends:%Y-%m-%d}, {_days(now - ends)} ago"
        yield Problem("", key, what, "Renew it (if this machine's clock is right)", fatal=False)
    elif ends - now < EXPIRY_WARNING:
        what = f"{path} expires on {ends:%Y-%m-%d}, in {_days(ends - now)}"
        yield Problem("", key, what, "Renew it before", fatal=False)


def _days(span: timedelta) -> str:
    return "1 day" if span.days == 1 else f"{span.days} days" if span.days else "less than a day"


def _unusable(key: str, path: Path, error: Exception) -> Problem:
    reason = error.reason if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
    said = (reason or str(error)).replace("_", " ").lower()
    return Problem("", key, f"{path} can't be used: {said}", "Name a PEM file that openssl can read")
