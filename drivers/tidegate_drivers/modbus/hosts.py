"""Addresses of a scan into hosts: one, a network, a range. It resolves no names and opens nothing."""

import ipaddress
import re
from dataclasses import dataclass

from tidegate_drivers.modbus.address import PORT, parse_place

HOSTS_MAX = 4096
# Nobody waits for more than this.
HOSTS_LARGE_MAX = 1 << 20
MANY = re.compile(r"tcp://(\d+\.\d+\.\d+\.\d+)(?:/(\d{1,2})|-(\d+(?:\.\d+\.\d+\.\d+)?))(?::(\d{1,5}))?/?")
HOW_TO_WRITE = "write tcp://10.0.0.7, tcp://10.0.0.0/28:502, tcp://10.0.0.5-20, tcp://[fd00::7] or rtu:///dev/ttyUSB0"


@dataclass(frozen=True, slots=True)
class Hosts:
    """What a scan is to look at: `hosts` on `port`, or the serial port `path`.

    `framed` as on a line (`ascii`: in ASCII, else in RTU), or by TCP.
    """

    hosts: tuple[str, ...]
    port: int
    framed: bool = False
    path: str = ""
    ascii: bool = False

    def __str__(self) -> str:
        if self.path:
            return self.path
        first = place_of(self.hosts[0], self.port)
        return first if len(self.hosts) == 1 else f"{len(self.hosts)} addresses, {first} to {self.hosts[-1]}"


def place_of(host: str, port: int) -> str:
    """`10.0.0.7:502`, `[fd00::7]:502`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_hosts(address: str, large: bool) -> Hosts:
    """The hosts of an address, of a network (without its own and its broadcast address) or of a range.

    Raises ValueError that says what is wrong, also for more than HOSTS_MAX unless `large`.
    """
    text = address.strip()
    many = MANY.fullmatch(text)
    if many is None:
        try:
            place = parse_place(text)
        except ValueError as wrong:
            raise ValueError(f"{wrong}; {HOW_TO_WRITE}") from None
        return Hosts((place.host,) if place.host else (), place.port, place.framed, place.path, place.ascii)
    port = int(many[4] or PORT)
    if not 0 < port <= 0xFFFF:
        raise ValueError(f"there is no TCP port {port}")
    first, last = _ends(many[1], many[2], many[3])
    count = last - first + 1
    if count < 1:
        raise ValueError(f"{text} ends before it begins")
    if count > (HOSTS_LARGE_MAX if large else HOSTS_MAX):
        more = "" if large else "; --large allows it, if you mean it"
        raise ValueError(f"{text} has {count} addresses, more than {HOSTS_LARGE_MAX if large else HOSTS_MAX}{more}")
    return Hosts(tuple(str(ipaddress.IPv4Address(number)) for number in range(first, last + 1)), port)


def _ends(begin: str, bits: str | None, end: str | None) -> tuple[int, int]:
    """The first and the last address, as numbers. Raises ValueError."""
    try:
        if bits is not None:
            network = ipaddress.IPv4Network(f"{begin}/{bits}", strict=False)
            around = 1 if network.prefixlen < 31 else 0
            return int(network.network_address) + around, int(network.broadcast_address) - around
        assert end is not None
        first = ipaddress.IPv4Address(begin)
        last = end if "." in end else f"{begin.rpartition('.')[0]}.{end}"
        return int(first), int(ipaddress.IPv4Address(last))
    except ValueError as wrong:
        raise ValueError(f"{wrong}; {HOW_TO_WRITE}") from None
