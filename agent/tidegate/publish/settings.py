"""TargetSettings: where a target is, how it is reached, and the limits it is served with. It opens nothing."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tidegate.secret import Secret

PORTS = {"mqtt": 1883, "mqtts": 8883}
VERSIONS = ("5", "3.1.1")


@dataclass(frozen=True, slots=True)
class Address:
    """A broker: host, port, and whether TLS is spoken to it."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """The address in `mqtt://host[:port]` or `mqtts://host[:port]`; raises ValueError that says what is wrong."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS:
            raise ValueError(f"{url!r} begins with neither mqtt:// nor mqtts://")
        if not parts.hostname:
            raise ValueError(f"{url!r} names no host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("user and password have their own keys, not a place in the address")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(f"{url!r} has more than a host and a port")
        port = parts.port if parts.port is not None else PORTS[parts.scheme]
        if not 0 < port < 65536:
            raise ValueError(f"{url!r} has no usable port")
        return cls(parts.hostname, port, parts.scheme == "mqtts")

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
class TargetSettings:
    """One target, as configured. `url` is `mqtt://` or `mqtts://`; plain mqtt beyond loopback needs `insecure`.

    `window` bounds messages in flight, `message_bytes_max` a message's payload (the broker's own limits win when they
    are smaller). Past `live_lag_s` between commit and acknowledgement the live run ends and the rest becomes backlog.
    `puback_deadline_s` is how long the oldest message may stay unacknowledged before the connection counts as dead.
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
    keepalive_s: int = 20
    window: int = 16
    message_bytes_max: int = 262_144
    live_lag_s: float = 2.0
    head_interval_s: float = 5.0
    connect_deadline_s: float = 10.0
    puback_deadline_s: float = 20.0
    back_off_s_min: float = 1.0
    back_off_s_max: float = 60.0
    parked_probe_s: float = 300.0

    @property
    def address(self) -> Address:
        """The broker in `url`; raises ValueError."""
        return Address.parse(self.url)

    @property
    def exposed(self) -> bool:
        """Whether readings, user and password would cross a network in the clear."""
        return not self.address.tls and not self.address.loopback

    def client_id_of(self, gateway: str) -> str:
        """The MQTT client id: as configured, or `tidegate-<gateway>-<target>`."""
        return self.client_id or f"tidegate-{gateway}-{self.name}"
