"""Validity of certificates, held against what the cryptography library reads, and bytes that are no certificate."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config.certificate import validities, validity

AUTHORITY = trustme.CA()


def issued(until: datetime) -> bytes:
    made = AUTHORITY.issue_cert("localhost", not_before=datetime(2020, 1, 2, tzinfo=UTC), not_after=until)
    return made.cert_chain_pems[0].bytes()


@pytest.mark.parametrize("year", [2021, 2049, 2050, 2099])
def test_both_ways_to_write_a_time_are_read(tmp_path: Path, year: int) -> None:
    until = datetime(year, 11, 24, 16, 30, 5, tzinfo=UTC)
    (tmp_path / "one.pem").write_bytes(issued(until))

    assert validities(tmp_path / "one.pem") == [(datetime(2020, 1, 2, tzinfo=UTC), until)]


def test_it_agrees_with_another_reader() -> None:
    pem = AUTHORITY.cert_pem.bytes()
    known = x509.load_pem_x509_certificate(pem)
    from_here = validity(known.public_bytes(Encoding.DER))

    assert from_here == (known.not_valid_before_utc, known.not_valid_after_utc)


def test_all_certificates_of_a_file_are_found_in_their_order(tmp_path: Path) -> None:
    years = (2030, 2028, 2040)
    pems = [issued(datetime(year, 1, 1, tzinfo=UTC)) for year in years]
    (tmp_path / "chain.pem").write_bytes(b"words before\n" + b"\n".join(pems))

    assert [until.year for _, until in validities(tmp_path / "chain.pem")] == list(years)


def test_a_file_without_a_certificate_says_so(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("nothing of the kind")

    with pytest.raises(ValueError, match="holds no certificate"):
        validities(tmp_path / "key.pem")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_refused_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (whatever is wrong with them)
        validity(data)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_byte_changed_gives_a_validity_or_a_refusal(at: int, byte: int) -> None:
    known = x509.load_pem_x509_certificate(AUTHORITY.cert_pem.bytes()).public_bytes(Encoding.DER)
    changed = bytearray(known)
    changed[at % len(changed)] = byte
    try:
        begin, end = validity(bytes(changed))
    except ValueError:
        return

    assert begin.tzinfo is UTC
    assert end.tzinfo is UTC
