"""A target's broker, step by step: its name, TCP, TLS, and how long certificates are valid. It says no word of MQTT."""

import errno
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tidegate.config.certificate import validities, validity
from tidegate.doctor.finding import Finding, fault, ok, warning
from tidegate.publish import way
from tidegate.publish.connector import tls_context
from tidegate.publish.settings import Address, Proxy, TargetSettings
from tidegate.publish.websocket import open_websocket

STEP_DEADLINE_S = 5.0
DEADLINE_S = 20.0
EXPIRY_WARNING = timedelta(days=30)
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
NOT_YET_VALID, EXPIRED = 9, 10
MISMATCHES = frozenset({62, 64})  # of a name, of an IP address
UNTRUSTED = frozenset({2, 18, 19, 20, 21})


def examine_brokers(targets: Sequence[TargetSettings], deadline_s: float = DEADLINE_S) -> list[Finding]:
    """What is to be said of each target, in their order. All are asked at the same time."""
    found: list[list[Finding]] = [[] for _ in targets]

    def work(at: int) -> None:
        found[at] = [*_files(targets[at]), *(one for url in targets[at].urls for one in _reach(targets[at], url))]

    # Nothing ends a DNS query: a thread that hangs must not keep the command from ending.
    threads = [threading.Thread(target=work, args=(at,), daemon=True) for at in range(len(targets))]
    for thread in threads:
        thread.start()
    late = datetime.now(UTC) + timedelta(seconds=deadline_s)
    for at, thread in enumerate(threads):
        thread.join(max(0.0, (late - datetime.now(UTC)).total_seconds()))
        if thread.is_alive():
            about = _about(targets[at], targets[at].url)
            found[at] = [fault(about, f"nothing came of it within {deadline_s:g} s", "Look at DNS and the network")]
    return [finding for findings in found for finding in findings]


def _about(target: TargetSettings, url: str) -> str:
    return f"broker of {target.name}" if url == target.url else f"broker of {target.name}, {url}"


def _reach(target: TargetSettings, url: str) -> Iterator[Finding]:
    about, address = _about(target, url), Address.parse(url)
    first = Proxy.parse(target.proxy) if target.proxy else address
    try:
        resolved = socket.getaddrinfo(first.host, first.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        how = "Correct the name, or the name server in /etc/resolv.conf"
        yield fault(about, f"DNS knows no {first.host} ({getattr(error, 'strerror', None) or error})", how)
        return
    where = ", ".join(sorted({str(entry[4][0]) for entry in resolved}))
    through = f" through the proxy {target.proxy}" if target.proxy else ""
    try:
        sock = way.connect(replace(target, url=url, fallbacks=()), STEP_DEADLINE_S)
    except (OSError, ValueError) as error:
        yield fault(about, f"no TCP connection to {url}{through} ({where}): {_said(error)}", _remedy(error))
        return
    with sock:
        sock.settimeout(STEP_DEADLINE_S)
        yield ok(about, f"{url} answers{through} ({where})")
        if address.tls:
            yield from _shake(replace(target, url=url), address, sock, about)
        elif address.path:
            yield _upgrade(address, sock, about)


def _upgrade(address: Address, link: socket.socket, about: str) -> Finding:
    try:
        open_websocket(link, address.host, address.port, address.path, STEP_DEADLINE_S)
    except (OSError, ValueError) as error:
        return fault(about, f"no WebSocket: {_said(error)}", "Write in url the path of the broker's WebSocket")
    return ok(about, f"a WebSocket opens at {address.path}")


def _shake(target: TargetSettings, address: Address, sock: socket.socket, about: str) -> Iterator[Finding]:
    try:
        context = tls_context(target)
    except (OSError, ValueError) as error:
        yield fault(about, f"ca, cert or key can't be used: {_said(error)}", "Name PEM files; a key without a password")
        return
    try:
        with context.wrap_socket(sock, server_hostname=address.host) as secure:
            yield ok(about, f"TLS: {secure.version()}, and its certificate is trusted")
            yield _expiry(about, "its certificate", validity(secure.getpeercert(True) or b"")[1])
            if address.path:
                yield _upgrade(address, secure, about)
    except ssl.SSLCertVerificationError as error:
        yield _mistrusted(about, error)
    except ssl.SSLError as error:
        how = "Is this its TLS port (8883)? Else it wants a certificate of ours: cert and key"
        yield fault(about, f"no TLS: {error.reason or error}", how)
    except (OSError, ValueError) as error:
        yield fault(about, f"no TLS: {_said(error)}", "Is this its TLS port (8883)?")


def _mistrusted(about: str, error: ssl.SSLCertVerificationError) -> Finding:
    code, said = error.verify_code, f"TLS: {error.verify_message}"
    if code == NOT_YET_VALID:
        return fault(about, f"{said}: the clock of this machine, or the broker's, is wrong", "Set the clock first")
    if code == EXPIRED:
        return fault(about, said, "Renew the broker's certificate (if this machine's clock is right)")
    if code in MISMATCHES:
        return fault(about, said, "Write in url the name that the certificate has")
    if code in UNTRUSTED:
        return fault(about, said, 'Name the authority that signed it: ca = "ca.pem"')
    return fault(about, said, "Have the broker's certificate put right")


def _files(target: TargetSettings) -> Iterator[Finding]:
    """The certificates of our own side."""
    for key, path in (("ca", target.ca), ("cert", target.cert)):
        if path is not None:
            yield _file(f"certificates of {target.name}", key, path)


def _file(about: str, key: str, path: Path) -> Finding:
    try:
        ends = [until for _, until in validities(path)]
    except (OSError, ValueError) as error:
        return fault(about, f"{key} = {path}: {_said(error)}", "Name a PEM file that holds a certificate")
    # Our certificate stands first, its chain follows. Of authorities, one that is valid may be enough.
    return _expiry(about, f"{key} = {path}", ends[0] if key == "cert" else max(ends))


def _expiry(about: str, whose: str, until: datetime) -> Finding:
    left, day = until - datetime.now(UTC), f"{until:%Y-%m-%d}"
    if left < timedelta(0):
        return fault(about, f"{whose} expired on {day}", "Renew it (if this machine's clock is right)")
    if left < EXPIRY_WARNING:
        return warning(about, f"{whose} expires on {day}, in {left.days} days", "Renew it before")
    return ok(about, f"{whose} is valid until {day}")


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _remedy(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
        return "Start the broker there, or correct the port"
    if isinstance(error, TimeoutError):
        return "Something drops the packets: look at the firewall, the route and the address"
    return "Look at the network of this machine: ip route, ip address"
