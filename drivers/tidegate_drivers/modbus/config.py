"""Modbus configuration: everything that is wrong with devices, of any number of buses, and with their tags."""

from collections.abc import Sequence

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate_drivers.modbus.address import Place
from tidegate_drivers.modbus.call import OF_CALLS, Call, check_ports
from tidegate_drivers.modbus.line import OF_LINES, check_port
from tidegate_drivers.modbus.point import REGISTERS_MAX
from tidegate_drivers.modbus.quirks import Quirks, check_quirks
from tidegate_drivers.modbus.settings import Settings, parse_device
from tidegate_drivers.modbus.tags import parse_points
from tidegate_drivers.modbus.tls import OF_TLS, check_files
from tidegate_drivers.modbus.write import check_writes
from tidegate_drivers.modbus.zone import COLUMN


def check(devices: Sequence[Device]) -> list[Problem]:
    """Everything that is wrong with these devices, of any number of buses. Tables that devices share count once."""
    problems: list[Problem] = []
    seen: set[tuple[int, int, Quirks | None, str]] = set()
    calls: list[tuple[Device, Place, Call]] = []
    buses: dict[str, tuple[Settings, str]] = {}
    for device in devices:
        settings, found = parse_device(device)
        problems += found
        registers_max = settings.registers_max if settings else REGISTERS_MAX
        zone = device.options.get(COLUMN, "")
        table = (id(device.table.tags), registers_max, settings.quirks if settings else None, zone)
        if table not in seen:
            seen.add(table)
            points, found = parse_points(device, registers_max)
            problems += found + check_writes(device.table.tags, points)
            if settings is not None:
                problems += check_quirks(device, points, settings.quirks, registers_max)
        if settings is None:
            continue
        if settings.bus not in buses:
            problems += check_port(device, settings.place)
            problems += check_files(device, settings.tls) if settings.tls else []
            if settings.call:
                calls.append((device, settings.place, settings.call))
        theirs, first = buses.setdefault(settings.bus, (settings, device.name))
        if theirs.connections != settings.connections:
            problems.append(
                Problem("", device.name, f"{first} shares its bus {settings.bus} and has connections = "
                        f"{theirs.connections}", "Give all devices of a bus the same number", device.row, "connections")
            )  # fmt: skip
        if theirs.line != settings.line:
            what = f"{first} shares its bus {settings.bus}: {theirs.line or 'TCP'} there, {settings.line or 'TCP'} here"
            remedy = f"Give all devices of a line the same address, {', '.join(OF_LINES)}"
            problems.append(Problem("", device.name, what, remedy, device.row, "baud" if settings.line else "address"))
        if theirs.tls != settings.tls:
            what = f"{first} shares its bus {settings.bus} and has other settings of TLS, or none"
            remedy = f"Give all devices of a bus the same address, {', '.join(OF_TLS)}"
            problems.append(Problem("", device.name, what, remedy, device.row, "address"))
        if theirs.call != settings.call:
            what = f"{first} shares its bus {settings.bus} and is recognised by something else"
            remedy = f"Give all devices of a bus the same {', '.join(OF_CALLS)}"
            problems.append(Problem("", device.name, what, remedy, device.row, "registration"))
    return problems + check_ports(calls)
