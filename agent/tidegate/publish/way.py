"""The way to a broker: one TCP connection, from a chosen address or interface, through a proxy where there is one.

All of it blocks; it runs in a target's connect thread. It speaks neither TLS nor MQTT.
"""

import socket
import struct
import time
from base64 import b64encode
from ipaddress import ip_address

from tidegate.publish.settings import Proxy, TargetSettings

# Not in the socket module of every platform; what Linux calls it.
SO_BINDTODEVICE = 25
ANSWER_BYTES_MAX = 8192
SOCKS_NO_PASSWORD, SOCKS_PASSWORD, SOCKS_NOTHING_FITS = 0, 2, 0xFF
SOCKS_TEXT_BYTES_MAX = 255
# RFC 1928, 6
SOCKS_REFUSALS = {
    1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "it took too long", 7: "command not supported", 8: "address type not supported",
}  # fmt: skip


def connect(settings: TargetSettings, deadline_s: float) -> socket.socket:
    """A connected socket to the target's broker. `deadline_s` bounds each step. Raises OSError or ValueError."""
    address = settings.address
    if not settings.proxy:
        return _tcp(address.host, address.port, settings.source, deadline_s)
    proxy = Proxy.parse(settings.proxy)
    sock = _tcp(proxy.host, proxy.port, settings.source, deadline_s)
    # For all that the proxy says: one that gives a byte now and then must not hold the thread.
    end_s = time.monotonic() + deadline_s
    try:
        if proxy.kind == "http":
            _ask_http(sock, settings, end_s)
        else:
            _ask_socks(sock, settings, end_s)
    except struct.error as error:
        sock.close()
        raise OSError(0, f"the proxy {settings.proxy} answered with what is not SOCKS: {error}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def is_interface(source: str) -> bool:
    """Whether a `source` names an interface of this machine, not an address."""
    try:
        ip_address(source)
    except ValueError:
        return True
    return False


def _tcp(host: str, port: int, source: str, deadline_s: float) -> socket.socket:
    """Tries every address of a name in turn. Raises OSError of the last one."""
    if not source or not is_interface(source):
        return socket.create_connection((host, port), deadline_s, (source, 0) if source else None)
    fault = OSError(0, f"{host} has no address")
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(deadline_s)
            sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, source.encode() + b"\0")
            sock.connect(where)
        except OSError as error:
            sock.close()
            fault = OSError(error.errno, f"{error.strerror or error} (from {source})")
        else:
            return sock
    raise fault


def _credentials(settings: TargetSettings) -> tuple[bytes, bytes]:
    password = settings.proxy_password
    return settings.proxy_user.encode(), password.reveal().encode() if password is not None else b""


def _ask_http(sock: socket.socket, settings: TargetSettings, end_s: float) -> None:
    """HTTP CONNECT (RFC 9110, 9.3.6)."""
    address = settings.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    asked = f"CONNECT {host}:{address.port} HTTP/1.1\r\nHost: {host}:{address.port}\r\n"
    if settings.proxy_user:
        asked += f"Proxy-Authorization: Basic {b64encode(b':'.join(_credentials(settings))).decode()}\r\n"
    sock.sendall(asked.encode() + b"\r\n")
    # Byte by byte: what follows the empty line is not the proxy's any more.
    said = bytearray()
    while not said.endswith(b"\r\n\r\n"):
        if len(said) > ANSWER_BYTES_MAX:
            raise OSError(0, f"the proxy {settings.proxy} does not come to the end of its answer")
        said += _exactly(sock, 1, settings, end_s)
    first = said.split(b"\r\n", 1)[0].decode("latin-1")
    version, _, status = first.partition(" ")
    if not version.startswith("HTTP/1.") or not status.startswith("2"):
        raise OSError(0, f"the proxy {settings.proxy} refused: {first[:100]!r}")


def _ask_socks(sock: socket.socket, settings: TargetSettings, end_s: float) -> None:
    """SOCKS5 (RFC 1928) with or without user and password (RFC 1929). The proxy resolves the broker's name."""
    address, where = settings.address, f"the proxy {settings.proxy}"
    user, password = _credentials(settings)
    host = address.host.encode("idna") if not address.host.isascii() else address.host.encode()
    if max(len(user), len(password), len(host)) > SOCKS_TEXT_BYTES_MAX:
        raise ValueError(f"{where} takes user, password and host of at most {SOCKS_TEXT_BYTES_MAX} bytes")
    methods = bytes([SOCKS_NO_PASSWORD, SOCKS_PASSWORD] if user else [SOCKS_NO_PASSWORD])
    sock.sendall(bytes([5, len(methods)]) + methods)
    version, method = _exactly(sock, 2, settings, end_s)
    if version != 5 or method not in methods:
        raise OSError(0, f"{where} wants a user" if method == SOCKS_NOTHING_FITS else f"{where} does not speak SOCKS5")
    if method == SOCKS_PASSWORD:
        sock.sendall(bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        if _exactly(sock, 2, settings, end_s)[1] != 0:
            raise OSError(0, f"{where} refused user or password")
    try:
        ip = ip_address(address.host)
        asked = bytes([1 if ip.version == 4 else 4]) + ip.packed
    except ValueError:
        asked = bytes([3, len(host)]) + host
    sock.sendall(bytes([5, 1, 0]) + asked + struct.pack("!H", address.port))
    version, refusal, _, kind = _exactly(sock, 4, settings, end_s)
    if version != 5 or refusal:
        raise OSError(0, f"{where} refused: {SOCKS_REFUSALS.get(refusal, f'code {refusal}')}")
    # Its own address and port, which mean nothing to us.
    length = {1: 4, 4: 16}.get(kind) or _exactly(sock, 1, settings, end_s)[0]
    _exactly(sock, length + 2, settings, end_s)


def _exactly(sock: socket.socket, count: int, settings: TargetSettings, end_s: float) -> bytes:
    data = b""
    while len(data) < count:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            raise OSError(0, f"the proxy {settings.proxy} does not come to the end of its answer")
        sock.settimeout(left_s)
        more = sock.recv(count - len(data))
        if not more:
            raise OSError(0, f"the proxy {settings.proxy} hung up")
        data += more
    return data
