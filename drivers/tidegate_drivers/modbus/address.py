"""Addresses of Modbus devices into places: a TCP address, or a serial port. It opens nothing."""

import ipaddress
import os
import re
from dataclasses import dataclass

PORT, PORT_TLS = 502, 802
NETWORK = re.compile(
    r"(tcp|tls|(?:rtu|ascii)\+tcp)://(?:\[([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9_.-]+))(?::(\d{1,5}))?/?"
)
CALLER = re.compile(
    r"(rtu|ascii|tcp)\+dial-in://(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})/([A-Za-z0-9][A-Za-z0-9._:-]{0,63})"
)
HOW_TO_LISTEN = (
    "write rtu+dial-in://0.0.0.0:4001/ID, an address of this machine, a port and the id that it registers with"
)
SERIAL = re.compile(r"(rtu|ascii)://(/[^\s?#]+)")
HOW_TO_WRITE = (
    "Write tcp://10.0.0.7:502, tls://10.0.0.7:802, rtu:///dev/ttyUSB0 or rtu+tcp://10.0.0.7:4001 "
    "(ascii instead of rtu for Modbus ASCII); IPv6 as tcp://[fd00::7]:502"
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a bus is: `path` of a serial port, else `host` and `port`.

    `framed` as on a line, with a checksum (`ascii`: in ASCII, else in RTU), or by TCP, all inside TLS with `tls`.
    `caller` is the id of a device that dials in: host and port are then where the gateway listens.
    """

    framed: bool
    path: str = ""
    host: str = ""
    port: int = 0
    ascii: bool = False
    tls: bool = False
    caller: str = ""

    @property
    def bus(self) -> str:
        """`10.0.0.7:502`, `[::1]:502`; of a serial port the path that its links lead to: one line has one owner."""
        if self.path:
            return os.path.realpath(self.path)
        where = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return f"{where}/{self.caller}" if self.caller else where


def parse_place(address: str) -> Place:
    """The place of `tcp://host[:port]`, `tls://host[:port]`, `rtu+tcp://host:port` or `rtu:///dev/name`.

    With ascii for rtu the frames are those of Modbus ASCII.

    One spelling for all spellings of one IP address. Raises ValueError that says what is wrong.
    """
    text = address.strip()
    serial = SERIAL.fullmatch(text)
    if serial:
        return Place(True, serial[2], ascii=serial[1] == "ascii")
    if text.startswith(("rtu:///", "ascii:///")) and "?" in text:
        raise ValueError(f"{text!r} has settings behind the port; baud, parity and stop have columns of their own")
    if "dial-in" in text.partition("://")[0]:
        return _caller(text)
    matched = NETWORK.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is no address of a Modbus device")
    framed, tls, host = matched[1].startswith(("rtu", "ascii")), matched[1] == "tls", (matched[2] or matched[3]).lower()
    if framed and not matched[4]:
        raise ValueError(f"{text} does not say the port, and serial servers have no usual one")
    port = int(matched[4] or (PORT_TLS if tls else PORT))
    if not 0 < port <= 0xFFFF:
        raise ValueError(f"there is no TCP port {port}")
    if matched[2]:
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise ValueError(f"[{host}] is no IPv6 address") from None
    return Place(framed, "", host, port, matched[1] == "ascii+tcp", tls)


def _caller(text: str) -> Place:
    """The place of a device that dials in: where it calls, and as whom."""
    matched = CALLER.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is no address of a device that dials in: {HOW_TO_LISTEN}")
    port = int(matched[4])
    if not 0 < port <= 0xFFFF:
        raise ValueError(f"there is no TCP port {port}")
    try:
        host = str(ipaddress.ip_address(matched[2] or matched[3]))
    except ValueError:
        raise ValueError(f"{matched[2] or matched[3]} is no IP address to listen at: {HOW_TO_LISTEN}") from None
    return Place(matched[1] != "tcp", "", host, port, matched[1] == "ascii", caller=matched[5])
