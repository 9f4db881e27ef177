"""TargetSettings: where a target is, how it is reached, and the limits it is served with. It opens nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import SplitResult, urlsplit

from tidegate.secret import Secret

PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
PROXY_PORTS = {"http": 3128, "socks5": 1080}
WEBSOCKET_PATH = "/mqtt"
VERSIONS = ("5", "3.1.1")
# The name that IANA has for MQTT over TLS: a broker that shares port 443 with a web server tells them apart by it.
ALPN_MQTT = "mqtt"
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Address:
    """A broker: host, port, whether TLS is spoken to it, and the path where it is spoken to through a WebSocket."""

    host: str
    port: int
    tls: bool
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """The address in `mqtt[s]://host[:port]` or `ws[s]://host[:port][/path]`.

        Raises ValueError that says what is wrong.
        """
        parts, host, port = _split(url, PORTS)
        websocket = parts.scheme in ("ws", "wss")
        if (parts.path not in ("", "/") and not websocket) or parts.query or parts.fragment:
            raise ValueError(f"{url!r} has more than a host and a port")
        if not (parts.path.isascii() and parts.path.isprintable()) or " " in parts.path:
            raise ValueError(f"{url!r} has letters in its path that an address can't hold")
        path = (parts.path if len(parts.path) > 1 else WEBSOCKET_PATH) if websocket else ""
        return cls(host, port, parts.scheme in ("mqtts", "wss"), path)

    @property
    def loopback(self) -> bool:
        """Whether the broker is on this box, so that nothing crosses a network."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            # A name may be anywhere, whatever it begins with.
            return False


@dataclass(frozen=True, slots=True)
class Proxy:
    """What stands between us and a broker: an HTTP proxy that does CONNECT, or a SOCKS5 one. It resolves names."""

    kind: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """The proxy in `http://host[:port]` or `socks5://host[:port]`; raises ValueError that says what is wrong."""
        parts, host, port = _split(url, PROXY_PORTS)
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"{url!r} has more than a host and a port")
        return cls(parts.scheme, host, port)


def _split(url: str, ports: Mapping[str, int]) -> tuple[SplitResult, str, int]:
    """Parts, host and port of an address of one of these schemes; raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ports:
        *others, last = [f"{scheme}://" for scheme in ports]
        raise ValueError(f"{url!r} begins with none of {', '.join(others)} and {last}")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("user and password have their own keys, not a place in the address")
    port = parts.port if parts.port is not None else ports[parts.scheme]
    if not 0 < port < 65536:
        raise ValueError(f"{url!r} has no usable port")
    return parts, parts.hostname, port


@dataclass(frozen=True, slots=True)
class TargetSettings:
    """One target, as configured. `url` as Address has it; mqtt and ws in the clear beyond loopback need `insecure`.

    `fallbacks` are brokers that are tried in this order when `url` is not there; `return_s` is how often a target that
    uses one of them looks whether `url` is back. `source` is an address of this machine, or one of its interfaces.
    `window` bounds messages in flight, `message_bytes_max` a message's payload (the broker's own limits win when they
    are smaller), `messages_s_max` and `bytes_s_max` what is sent a second (None: no limit).
    Past `live_lag_s` between commit and acknowledgement the live run ends and the rest becomes backlog.
    A link that died without a word is noticed within `puback_deadline_s` when messages are in flight, else within two
    `keepalive_s`.
    """

    name: str
    url: str
    prefix: str = "tidegate"
    user: str = ""
    password: Secret | None = None
    insecure: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    mqtt: str = "5"
    client_id: str = ""
    fallbacks: tuple[str, ...] = ()
    return_s: float = 60.0
    alpn: str = ""
    proxy: str = ""
    proxy_user: str = ""
    proxy_password: Secret | None = None
    source: str = ""
    keepalive_s: int = 8
    window: int = 16
    message_bytes_max: int = 262_144
    messages_s_max: float | None = None
    bytes_s_max: int | None = None
    live_lag_s: float = 2.0
    head_interval_s: float = 5.0
    connect_deadline_s: float = 10.0
    puback_deadline_s: float = 16.0
    back_off_s_min: float = 1.0
    back_off_s_max: float = 60.0
    parked_probe_s: float = 300.0

    @property
    def address(self) -> Address:
        """The broker in `url`; raises ValueError."""
        return Address.parse(self.url)

    @property
    def urls(self) -> tuple[str, ...]:
        """All brokers, in the order in which they are tried."""
        return (self.url, *self.fallbacks)

    @property
    def exposed(self) -> bool:
        """Whether readings, user and password would cross a network in the clear. Raises ValueError."""
        addresses = [Address.parse(url) for url in self.urls]
        return any(not address.tls and not address.loopback for address in addresses)

    @property
    def alpn_names(self) -> list[str]:
        """What is said in TLS to be spoken inside: as configured, `mqtt` at port 443, else nothing."""
        address = self.address
        if self.alpn:
            return [self.alpn]
        return [ALPN_MQTT] if address.port == HTTPS_PORT and not address.path else []

    def client_id_of(self, gateway: str) -> str:
        """The MQTT client id: as configured, or `tidegate-<gateway>-<target>`."""
        return self.client_id or f"tidegate-{gateway}-{self.name}"
