"""Modbus Security: whom the gateway believes, and who it says it is. It opens no connection.

Source: MODBUS/TCP Security Protocol Specification V2.1 §8 (mutual TLS 1.2 or later) and §9.2 (roles in certificates).
"""

import re
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path

from tidegate.clock import Clock, ClockState
from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate_drivers.modbus.address import Place
from tidegate_drivers.modbus.link import Link

FILES = ("tls_ca", "tls_cert", "tls_key")
OF_TLS = (*FILES, "tls_name")
FILE_BYTES_MAX = 1024 * 1024
# What OpenSSL calls a certificate that begins in the future, or has ended (X509_V_ERR in x509_vfy.h).
NOT_YET_VALID, EXPIRED = 9, 10
_KEY = re.compile(rb"-----BEGIN ([A-Z]+ )*PRIVATE[ ]KEY-----")
# What a device says in an alert, and what to do (RFC 8446 §6.2); OpenSSL's words for it.
ALERTS = {
    "CERTIFICATE_REQUIRED": "it wants the gateway's certificate: fill in tls_cert and tls_key",
    "HANDSHAKE_FAILURE": "it refused the handshake: it may want the gateway's certificate (tls_cert and tls_key), or "
    "have no TLS 1.2",
    "UNKNOWN_CA": "it does not know who issued the gateway's certificate: give it that authority",
    "BAD_CERTIFICATE": "it refused the gateway's certificate (tls_cert)",
    "UNSUPPORTED_CERTIFICATE": "it can't use the gateway's certificate (tls_cert): another kind of key may help",
    "CERTIFICATE_EXPIRED": "the gateway's certificate (tls_cert) has expired by the device's clock: renew it, or set "
    "that clock",
    "CERTIFICATE_REVOKED": "it says that the gateway's certificate (tls_cert) is revoked",
    "ACCESS_DENIED": "it grants the gateway's certificate no access: give its role one in the device",
    "PROTOCOL_VERSION": "it has no TLS 1.2",
}
# Some end the connection without an alert.
HUNG_UP = (
    "it hung up without a word: it may want the gateway's certificate (tls_cert, tls_key), or not know its authority, "
    "or speak no TLS at this port"
)
PLAIN = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE")


@dataclass(frozen=True, slots=True)
class Tls:
    """`ca` is who issues the device's certificate, `cert` and `key` are the gateway's own ("": none).

    `name` is whom the device's certificate must be for: a name or an IP address, mostly that of its address.
    """

    ca: str
    cert: str
    key: str
    name: str

    def context(self) -> ssl.SSLContext:
        """Made anew for each connection, so that renewed files are taken. Raises OSError, of which SSLError is one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cafile=self.ca)
        if self.cert:
            # A key with a passphrase would make OpenSSL ask at the terminal, and wait.
            context.load_cert_chain(self.cert, self.key, password=_no_passphrase)
        return context


class TlsLink(Link):
    """A link over TLS. A device that speaks TLS 1.3 refuses the gateway's certificate behind the handshake only."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has ended; an alert is put into words, and so is an end before anything was answered."""
        if isinstance(error, ssl.SSLError):
            error = OSError(alert_words(error))
        elif not self.mono_us:
            error = OSError(HUNG_UP)
        super().connection_lost(error)


def parse_tls(device: Device, options: Options, place: Place) -> Tls | None:
    """How a device is trusted and trusts; None, and a warning for each setting of it, where its place has no TLS."""
    given = {name: options.text(name) for name in OF_TLS}
    if not place.tls:
        for name in OF_TLS:
            if device.options.get(name, "").strip():
                options.wrong(name, "it means nothing without TLS", "Write tls:// in address, or leave it empty", False)
        return None
    if not given["tls_ca"]:
        what = "nothing says whose devices are to be believed"
        options.wrong("tls_ca", what, "Name the PEM file of the authority that issued the device's certificate")
    if bool(given["tls_cert"]) != bool(given["tls_key"]):
        empty = "tls_key" if given["tls_cert"] else "tls_cert"
        options.wrong(empty, "a certificate needs its key, and a key its certificate", "Fill in tls_cert and tls_key")
    elif not given["tls_cert"]:
        what = "the gateway has no certificate, and Modbus Security wants one of both sides"
        options.wrong("tls_cert", what, "Fill in tls_cert and tls_key, unless this device asks for none", False)
    return Tls(given["tls_ca"], given["tls_cert"], given["tls_key"], given["tls_name"] or place.host)


def check_files(device: Device, tls: Tls) -> list[Problem]:
    """What is wrong with the files now."""
    found = [("tls_ca", *wrong) for wrong in [_authority(tls.ca)] if wrong] if tls.ca else []
    if tls.cert and tls.key:
        looked = [("tls_cert", _unread(tls.cert)), ("tls_key", _key(tls.key))]
        unread = [(name, *wrong) for name, wrong in looked if wrong]
        pair = None if unread else _pair(tls.cert, tls.key)
        found += unread or ([pair] if pair else [])
    return [Problem("", device.name, what, remedy, device.row, column) for column, what, remedy in found]


def handshake_words(error: ssl.SSLError | ConnectionError, tls: Tls, clock: Clock) -> str:
    """Why a handshake failed, and what to do about it."""
    if isinstance(error, ConnectionError):
        return HUNG_UP
    if not isinstance(error, ssl.SSLCertVerificationError):
        return alert_words(error)
    if error.verify_code in (NOT_YET_VALID, EXPIRED):
        when = "is not valid yet" if error.verify_code == NOT_YET_VALID else "has expired"
        if clock.state is ClockState.UNSET:
            return f"its certificate {when} by the gateway's clock, which is not set: {clock.words}"
        return f"its certificate {when}: renew it (if the gateway's clock is right)"
    if "mismatch" in error.verify_message.lower():
        return f"its certificate is not for {tls.name}: correct tls_name or the address, or the device's certificate"
    return f"its certificate is not to be believed ({error.verify_message}): tls_ca must hold who issued it"


def alert_words(error: Exception) -> str:
    """What a TLS error means: the device's alert, or that it speaks no TLS."""
    reason = getattr(error, "reason", None) or str(error)
    for name, words in ALERTS.items():
        if name in reason:
            return words
    if any(name in reason for name in PLAIN):
        return "what answers there speaks no TLS: tcp:// may be meant, or another port"
    return f"TLS failed: {reason.replace('_', ' ').lower()}"


def _unread(path: str) -> tuple[str, str] | None:
    """What is wrong with a file before anybody looks inside."""
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_BYTES_MAX:
            return f"{path} is no file of certificates", "Name a PEM file"
        with open(path, "rb"):
            return None
    except PermissionError:
        return f"{path} may not be read", "Run this as the gateway's user, or let the user who runs it read it"
    except OSError as error:
        return f"{path} can't be read: {(error.strerror or str(error)).lower()}", "Correct the path, or make the file"


def _authority(path: str) -> tuple[str, str] | None:
    wrong = _unread(path)
    if wrong:
        return wrong
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (OSError, ValueError):
        return f"{path} holds no certificate in PEM", "Name a file that begins with -----BEGIN CERTIFICATE-----"
    return None


def _key(path: str) -> tuple[str, str] | None:
    wrong = _unread(path)
    if wrong:
        return wrong
    if not _KEY.search(Path(path).read_bytes()):
        return f"{path} holds no private key in PEM", "Name the PEM file that holds the key of tls_cert"
    mode = stat.S_IMODE(Path(path).stat().st_mode)
    if mode & stat.S_IRWXO:
        return f"others may read the private key {path} (mode {mode:04o})", f"Run: chmod 600 {path}"
    return None


def _pair(cert: str, key: str) -> tuple[str, str, str] | None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password=_no_passphrase)
    except PermissionError:
        what = f"the private key {key} is locked by a passphrase, and nobody is there to type it when the gateway runs"
        return "tls_key", what, f"Store it without one: openssl pkey -in {key} -out new.key && chmod 600 new.key"
    except ssl.SSLError as error:
        if (error.reason or "").startswith("KEY_"):
            what = f"the private key {key} does not belong to the certificate {cert}"
            return "tls_key", what, "Name its own key; of a chain, the gateway's certificate stands first"
        return "tls_cert", f"{cert} with {key} can't be used", "Name PEM files that openssl can read"
    except (OSError, ValueError):
        return "tls_cert", f"{cert} with {key} can't be used", "Name PEM files that openssl can read"
    return None


def _no_passphrase() -> str:
    raise PermissionError("it is locked by a passphrase")
