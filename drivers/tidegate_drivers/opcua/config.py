"""OPC UA configuration: everything that is wrong with devices, of any number of servers, and with their tags."""

from collections.abc import Sequence
from importlib.util import find_spec

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.tag import Tag
from tidegate_drivers.opcua.items import parse_tag
from tidegate_drivers.opcua.settings import Settings, parse_device

# What all devices of one session share.
OF_SESSIONS = ("timeout_s", "session_s", "keepalive_s", "lifetime_s")


def check(devices: Sequence[Device]) -> list[Problem]:
    """Everything that is wrong with these devices, of any number of servers. Tables that devices share count once."""
    problems: list[Problem] = []
    seen: set[tuple[int, str]] = set()
    buses: dict[str, tuple[Settings, str]] = {}
    if devices and find_spec("asyncua") is None:
        what, remedy = "OPC UA needs the library asyncua, which is not installed", "Install tidegate[opcua]"
        problems.append(Problem("", devices[0].name, what, remedy, devices[0].row, "driver"))
    for device in devices:
        settings, found = parse_device(device)
        problems += found
        namespace = settings.namespace if settings else ""
        if (id(device.table.tags), namespace) not in seen:
            seen.add((id(device.table.tags), namespace))
            problems += [problem for tag in device.table.tags for problem in parse_tag(tag, namespace)[2]]
        if settings is None:
            continue
        if not settings.subscribes:
            problems += [_no_events(device, tag) for tag in device.table.tags if tag.option("events", "no") != "no"]
        theirs, first = buses.setdefault(settings.bus, (settings, device.name))
        for name in OF_SESSIONS:
            if getattr(theirs, name) != getattr(settings, name):
                column = name.removesuffix("_s").replace("session", "session_timeout")
                what = f"{first} shares its session with {settings.bus} and has another {column}"
                problems.append(Problem("", device.name, what, "Give both the same", device.row, column))
    return problems


def _no_events(device: Device, tag: Tag) -> Problem:
    what = f"events can't be read in cycles, and {device.name} has delivery = read"
    return Problem(
        "", tag.name, what, "Leave delivery empty, or give the events a device of their own", tag.row, "events"
    )
