"""Devices that dial in: by what the gateway recognises them, and whom it listens to at all. It opens nothing."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate_drivers.modbus.address import Place
from tidegate_drivers.modbus.framing import crc16
from tidegate_drivers.modbus.pattern import packet

OF_CALLS = ("allow", "registration", "heartbeat", "registration_timeout")
REGISTRATION_S, REGISTRATION_S_MIN, REGISTRATION_S_MAX = 10.0, 0.1, 120.0
# Function codes whose replies this driver takes, exceptions included.
FUNCTIONS = frozenset(code | flag for code in (1, 2, 3, 4) for flag in (0, 0x80))
REPLY_BYTES_MIN = 5
# Where the protocol stands in a Modbus TCP header, which is 0.
PROTOCOL = slice(2, 4)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Call:
    """By which packet a device says who it is, and which one it sends in between (b"": none).

    `allow` is from where calls are taken at all, `registration_s` how long the first packet may take.
    """

    registration: bytes
    heartbeat: bytes
    allow: tuple[Network, ...]
    registration_s: float

    @property
    def packets(self) -> tuple[bytes, ...]:
        """What comes unasked: many devices say again who they are."""
        return (self.registration, self.heartbeat) if self.heartbeat else (self.registration,)


def parse_call(device: Device, options: Options, place: Place) -> Call | None:
    """How a device is recognised; None, and a warning for each setting of it, where it does not dial in."""
    texts = {name: options.text(name) for name in OF_CALLS}
    if not place.caller:
        for name in OF_CALLS:
            if device.options.get(name, "").strip():
                what = "it means nothing for a device that the gateway calls"
                options.wrong(name, what, "Write rtu+dial-in:// in address, or leave it empty", fatal=False)
        return None
    registration = _packet(options, "registration", texts["registration"] or "{id}", place)
    heartbeat = _packet(options, "heartbeat", texts["heartbeat"], place) if texts["heartbeat"] else b""
    unit = 1 if device.unit is None else device.unit
    for name, made in (("registration", registration), ("heartbeat", heartbeat)):
        if made and _like_reply(made, unit, place):
            what = f"{made!r} can't be told from what unit {unit} answers"
            options.wrong(name, what, "Set another packet in the device, best a text of four letters or more")
    seconds = options.duration_s("registration_timeout", REGISTRATION_S, REGISTRATION_S_MIN, REGISTRATION_S_MAX)
    return Call(registration, heartbeat, _allowed(options, texts["allow"]), seconds)


def check_ports(settings: Sequence[tuple[Device, Place, Call]]) -> list[Problem]:
    """What is wrong with devices that share a listening port: other rules, or packets that begin alike."""
    problems: list[Problem] = []
    ports: dict[tuple[str, int], list[tuple[Device, Place, Call]]] = {}
    for one in settings:
        ports.setdefault((one[1].host, one[1].port), []).append(one)
    for sharing in ports.values():
        first, _, rules = sharing[0]
        for device, _, call in sharing[1:]:
            for column, differs in (
                ("allow", call.allow != rules.allow),
                ("registration_timeout", call.registration_s != rules.registration_s),
            ):
                if differs:
                    what = f"{first.name} listens at the same port and has another {column}"
                    remedy = f"Give all devices of a port one {column}"
                    problems.append(Problem("", device.name, what, remedy, device.row, column))
        problems += _alike(sharing)
    return problems


def _alike(sharing: Sequence[tuple[Device, Place, Call]]) -> list[Problem]:
    """Registrations that begin with one another, or with a heartbeat: nobody could say where they end."""
    problems = []
    by_packet: Mapping[bytes, tuple[Device, Place]] = {
        call.registration: (device, place) for device, place, call in reversed(sharing)
    }
    ordered = sorted(by_packet)
    beats = {call.heartbeat for _, _, call in sharing if call.heartbeat}
    for device, place, call in sharing:
        theirs, other = by_packet[call.registration]
        if other.caller != place.caller:
            what = f"{theirs.name} registers with the same packet"
            problems.append(Problem("", device.name, what, "Put {id} into it", device.row, "registration"))
    # In order, what begins with a packet stands right behind it.
    for shorter, longer in pairwise(ordered):
        if longer.startswith(shorter):
            device, _ = by_packet[longer]
            what = f"its registration {longer!r} begins with that of {by_packet[shorter][0].name}"
            remedy = r"End the packets in the devices with something, such as registration = {id}\r\n"
            problems.append(Problem("", device.name, what, remedy, device.row, "registration"))
    for packet_, (device, _) in by_packet.items():
        if any(packet_.startswith(beat) or beat.startswith(packet_) for beat in beats):
            what = f"its registration {packet_!r} and a heartbeat at this port begin alike"
            problems.append(Problem("", device.name, what, "Set another heartbeat", device.row, "heartbeat"))
    return problems


def _packet(options: Options, name: str, pattern: str, place: Place) -> bytes:
    try:
        return packet(pattern, place.caller)
    except ValueError as wrong:
        options.wrong(name, str(wrong), r"Write a text such as REG,{id}\r\n, or hex: and hex digits")
        return b""


def _like_reply(made: bytes, unit: int, place: Place) -> bool:
    """Whether a packet can be a reply, or a part of one."""
    if place.ascii:
        return b":" in made
    return _like_rtu(made, unit) if place.framed else _like_tcp(made)


def _like_rtu(made: bytes, unit: int) -> bool:
    """Whether a packet begins as a reply of this unit does, or holds a frame with a checksum that is right."""
    if made[0] == unit and (len(made) == 1 or made[1] in FUNCTIONS):
        return True
    ends = range(REPLY_BYTES_MIN, len(made) + 1)
    return any(crc16(made[at:end]) == 0 for end in ends for at in range(end - REPLY_BYTES_MIN + 1))


def _like_tcp(made: bytes) -> bool:
    """Whether a packet can be the beginning of a Modbus TCP header."""
    return not any(made[PROTOCOL])


def _allowed(options: Options, text: str) -> tuple[Network, ...]:
    networks: list[Network] = []
    for word in text.replace(",", " ").split():
        try:
            networks.append(ipaddress.ip_network(word))
        except ValueError:
            how = "Write addresses or networks with blanks between, such as 10.8.0.0/16 fd00:8::/64"
            options.wrong("allow", f"{word!r} is no address and no network", how)
    if not text:
        what = "nothing says from where devices may call, and whoever reaches the port could speak for one"
        options.wrong("allow", what, "Name their addresses or networks, such as 10.8.0.0/16; 0.0.0.0/0 is everybody")
    return tuple(networks)
