"""The certificate of a server of the tests, made once in its PKI folder and kept, and others like it."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEY_BITS = 2048
LIFE = timedelta(days=365)


def own_certificate(folder: Path, uri: str, names: tuple[str, ...], life: timedelta = LIFE) -> tuple[Path, Path]:
    """Paths of certificate and private key (PEM), as they lie in the folder or new: self-signed, for these names."""
    certificate, private = folder / "certificate.pem", folder / "private.pem"
    if certificate.exists() and private.exists():
        return certificate, private
    folder.mkdir(parents=True, exist_ok=True)
    key = rsa.generate_private_key(65537, KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, uri.rpartition(":")[2])])
    now = datetime.now(UTC)
    begin = min(now - timedelta(hours=1), now + life - timedelta(hours=1))
    alternatives: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    for one in names:
        try:
            alternatives.append(x509.IPAddress(ip_address(one)))
        except ValueError:
            alternatives.append(x509.DNSName(one))
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return certificate, private
