"""Quirks: what a device may not be asked, as columns of a device list, and whether its tags can be read so."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate_drivers.modbus.point import ADDRESS_MAX, PREFIXES, Function, Point

RANGE = re.compile(r"(HR|IR|CO|DI)(0x[0-9a-f]{1,4}|\d{1,5})(?:-(0x[0-9a-f]{1,4}|\d{1,5}))?", re.IGNORECASE)
RANGES_MAX = 64
HOW_TO_WRITE = "Write ranges as on the wire, with a space between them: HR0x0100-0x01FF IR48"


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses from `first` on, up to but not including `end`."""

    function: Function
    first: int
    end: int

    def __str__(self) -> str:
        return f"{self.function.word} 0x{self.first:04X} to 0x{self.end - 1:04X}"


@dataclass(frozen=True, slots=True)
class Quirks:
    """What is never read, whether registers come in pairs at even addresses only, and whether fields come alone."""

    forbidden: tuple[Range, ...] = ()
    even_only: bool = False
    one_field: bool = False

    def first(self, function: Function, address: int) -> int:
        """Where a request that is to read this address begins."""
        return address & ~1 if self.even_only and not function.of_bits else address

    def end(self, function: Function, end: int) -> int:
        """Where a request that is to read up to there ends."""
        return end + (end & 1) if self.even_only and not function.of_bits else end

    def forbids(self, function: Function, first: int, end: int) -> Range | None:
        """A forbidden range that has one of these addresses."""
        for one in self.forbidden:
            if one.function == function and one.first < end and first < one.end:
                return one
        return None


def parse_quirks(options: Options) -> Quirks:
    """The quirks of a device, with a problem noted for each that is none."""
    items = options.text("forbidden").replace(",", " ").split()
    if len(items) > RANGES_MAX:
        options.wrong("forbidden", f"{len(items)} ranges", f"Name at most {RANGES_MAX}")
        items = []
    found = []
    for item in items:
        matched = RANGE.fullmatch(item)
        first, last = (_number(matched[2]), _number(matched[3] or matched[2])) if matched else (1, 0)
        if matched is None or not first <= last <= ADDRESS_MAX:
            options.wrong("forbidden", f"{item!r} is no range of addresses", HOW_TO_WRITE)
        else:
            found.append(Range(PREFIXES[matched[1].upper()], first, last + 1))
    return Quirks(tuple(found), _yes(options, "even_only"), _yes(options, "one_field"))


def check_quirks(device: Device, points: Sequence[Point], quirks: Quirks, registers_max: int) -> list[Problem]:
    """The tags that can't be read without asking what may not be asked."""
    problems = []
    for tag, point in zip(device.table.tags, points, strict=False):
        first, end = quirks.first(point.function, point.address), quirks.end(point.function, point.end)
        range_ = quirks.forbids(point.function, first, end)
        if range_ is not None:
            what = f"it lies in {range_}, which {device.name} says is forbidden"
            remedy = "Remove the tag, or correct the device's forbidden"
            problems.append(Problem("", tag.name, what, remedy, tag.row, "address"))
        elif end - first > registers_max and not point.function.of_bits:
            what = f"from an even address to an even one are {end - first} registers, and at most {registers_max} come"
            problems.append(Problem("", tag.name, what, "Raise the device's registers_max", tag.row, "address"))
    return problems


def _number(text: str) -> int:
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _yes(options: Options, name: str) -> bool:
    return options.word(name, "false", ("true", "false")) == "true"
