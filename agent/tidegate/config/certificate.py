"""How long a certificate is valid, read from its DER bytes (RFC 5280, 4.1): the standard library decodes none alone."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

SEQUENCE, UTC_TIME, GENERALIZED_TIME, EXPLICIT_0 = 0x30, 0x17, 0x18, 0xA0
LONG_LENGTH = 0x80
LENGTH_BYTES_MAX = 4
CERTIFICATES_MAX = 500
BEGIN, END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


def validity(der: bytes) -> tuple[datetime, datetime]:
    """First and last moment of a certificate. Raises ValueError when the bytes are none."""
    certificate = _inside(der, SEQUENCE)
    parts = list(_elements(_inside(certificate, SEQUENCE)))
    if parts and parts[0][0] == EXPLICIT_0:
        parts = parts[1:]  # the version; it may be absent
    # serial number, algorithm, issuer, validity
    if len(parts) < 4 or parts[3][0] != SEQUENCE:
        raise ValueError("this is no certificate")
    times = list(_elements(parts[3][1]))
    if len(times) != 2:
        raise ValueError("a certificate without validity")
    return _moment(*times[0]), _moment(*times[1])


def validities(pem: Path) -> list[tuple[datetime, datetime]]:
    """Those of all certificates of a PEM file, in its order. Raises OSError, or ValueError when it holds none."""
    rest = pem.read_text(encoding="ascii", errors="replace")
    found: list[tuple[datetime, datetime]] = []
    while len(found) < CERTIFICATES_MAX and BEGIN in rest:
        text, _, rest = rest[rest.index(BEGIN) :].partition(END)
        found.append(validity(ssl.PEM_cert_to_DER_cert(text + END)))
    if not found:
        raise ValueError("it holds no certificate")
    return found


def _inside(data: bytes, tag: int) -> bytes:
    """The content of the first element, that must have this tag."""
    found, content = next(_elements(data), (0, b""))
    if found != tag:
        raise ValueError("this is no certificate")
    return content


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each element: tag, length in one byte or 0x80 + how many bytes, content."""
    at = 0
    while at + 2 <= len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= LONG_LENGTH:
            size = length - LONG_LENGTH
            if not 0 < size <= LENGTH_BYTES_MAX or at + size > len(data):
                raise ValueError("an element without a usable length")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
        if at + length > len(data):
            raise ValueError("an element that goes on past its end")
        yield tag, data[at : at + length]
        at += length


def _moment(tag: int, content: bytes) -> datetime:
    """YYMMDDHHMMSSZ until 2049, YYYYMMDDHHMMSSZ after it (RFC 5280, 4.1.2.5)."""
    text = content.decode("ascii")
    if tag == UTC_TIME:
        text = ("20" if int(text[:2]) < 50 else "19") + text
    elif tag != GENERALIZED_TIME:
        raise ValueError("a time that is none")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
