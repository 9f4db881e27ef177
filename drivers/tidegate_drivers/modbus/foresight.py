"""Foresight: what the buses of some devices will be asked, and how long that takes them. It opens nothing.

The requests are those that a poll begins with; what a device refuses is not known yet.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tidegate.model.busplan import BusPlan, PlannedGroup, PlannedRequest
from tidegate.model.device import Device, Group
from tidegate_drivers.modbus.cost import BEHIND_BAUD, Cost, assumed
from tidegate_drivers.modbus.line import BAUDS
from tidegate_drivers.modbus.plan import Request, plan
from tidegate_drivers.modbus.point import Point
from tidegate_drivers.modbus.settings import CONNECTIONS_MAX, IN_FLIGHT_MAX, Settings, parse_device
from tidegate_drivers.modbus.tags import parse_points

# What a remedy must come down to.
LOAD_MAX = 0.8
IN_FLIGHT_TRIED = 4


class Foresight:
    """The buses of these devices, which have no fatal problem. Devices of one table and kind are planned once."""

    def __init__(self, devices: Sequence[Device]) -> None:
        self._points: dict[tuple[int, int], tuple[Point, ...]] = {}
        self._requests: dict[tuple[object, ...], tuple[Request, ...]] = {}
        self._buses: dict[str, list[tuple[Device, Settings]]] = {}
        for device in devices:
            settings, _ = parse_device(device)
            if settings is not None:
                self._buses.setdefault(settings.bus, []).append((device, settings))

    def plans(self) -> list[BusPlan]:
        """One for each bus, in the order of the devices."""
        return [self._plan(bus, sharing) for bus, sharing in self._buses.items()]

    def _plan(self, bus: str, sharing: Sequence[tuple[Device, Settings]]) -> BusPlan:
        first = sharing[0][1]
        groups = tuple(self._group(*one, group) for one in sharing for group in one[0].groups)
        told = list(dict.fromkeys(assumed(settings.line, settings.reply_s) for _, settings in sharing))
        words = f"{first.line or 'Modbus TCP'}, {'; '.join(told[:3])}"
        made = BusPlan(bus, "line" if first.line else "connection", words, first.connections, groups)
        return replace(made, remedies=tuple(self._remedies(made, sharing))) if made.load > LOAD_MAX else made

    def _group(self, device: Device, settings: Settings, group: Group) -> PlannedGroup:
        cost, tags = settings.limits.cost, device.table.tags
        requests = self._requests_of(device, settings, group)
        planned = tuple(
            PlannedRequest(
                str(request),
                request.count,
                request.unused,
                "bits" if request.function.of_bits else "registers",
                tuple(tags[group.tags[slot]].name for slot, _ in request.members),
                cost.of(request.reply_bytes),
            )
            for request in requests
        )
        return PlannedGroup(
            device.name, group.name, group.interval_s, group.deadline_s, planned,
            _time_s(requests, cost, settings.in_flight or 1),
        )  # fmt: skip

    def _requests_of(self, device: Device, settings: Settings, group: Group) -> tuple[Request, ...]:
        table = (id(device.table.tags), settings.registers_max)
        if table not in self._points:
            self._points[table] = parse_points(device, settings.registers_max)[0]
        key = (table, settings.limits, group.tags)
        if key not in self._requests:
            points = self._points[table]
            self._requests[key] = plan([points[tag] for tag in group.tags], settings.limits).requests
        return self._requests[key]

    def _remedies(self, made: BusPlan, sharing: Sequence[tuple[Device, Settings]]) -> Iterable[str]:
        """What the driver's own settings could do about too much."""
        line = sharing[0][1].line
        if line is None:
            yield from self._over_tcp(made, sharing)
        elif not line.baud:
            yield f"raise the speed of the line behind the serial server, which is taken for {BEHIND_BAUD} baud"
        else:
            for baud in (baud for baud in BAUDS if baud > line.baud):
                changed = [(device, replace(s, line=replace(line, baud=baud))) for device, s in sharing]
                load = self._load(changed, 1)
                if load <= LOAD_MAX:
                    yield f"set baud = {baud} on the line and in all its units, where they have it ({load:.0%} then)"
                    break

    def _over_tcp(self, made: BusPlan, sharing: Sequence[tuple[Device, Settings]]) -> Iterable[str]:
        lanes = math.ceil(made.load * made.lanes / LOAD_MAX)
        if made.lanes < lanes <= min(CONNECTIONS_MAX, len(made.groups)):
            yield f"set connections = {lanes}, where the device accepts so many"
        for in_flight in (IN_FLIGHT_TRIED, IN_FLIGHT_MAX):
            if any((settings.in_flight or 1) >= in_flight for _, settings in sharing):
                continue
            load = self._load([(device, replace(s, in_flight=in_flight)) for device, s in sharing], made.lanes)
            if load <= LOAD_MAX and _learns(sharing):
                yield f"run it: in_flight = auto learns whether the device takes {in_flight} at once ({load:.0%} then)"
            elif load <= LOAD_MAX:
                yield f"set in_flight = {in_flight}, where the device takes so many at a time ({load:.0%} then)"
            if load <= LOAD_MAX:
                break

    def _load(self, sharing: Sequence[tuple[Device, Settings]], lanes: int) -> float:
        times = (
            _time_s(self._requests_of(device, settings, group), settings.limits.cost, settings.in_flight or 1)
            / group.interval_s
            for device, settings in sharing
            for group in device.groups
        )
        return sum(times) / lanes


def _learns(sharing: Sequence[tuple[Device, Settings]]) -> bool:
    """Whether the running gateway finds out how many requests a device takes at a time: of one alone, not by fields."""
    settings = sharing[0][1]
    return len(sharing) == 1 and settings.in_flight is None and not settings.quirks.one_field


def _time_s(requests: Sequence[Request], cost: Cost, at_once: int) -> float:
    """How long one read takes: of requests that are under way together, only one has to be waited for."""
    trips = math.ceil(len(requests) / at_once)
    return trips * cost.request_s + sum(request.reply_bytes for request in requests) * cost.byte_s
