"""Tags: texts of a tag table into points on the wire, with all problems of a row and of a whole table.

It knows no device but by the most registers that one gives.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from tidegate.errors import Problem
from tidegate.model.device import Device
from tidegate.model.option import Options, duration_s
from tidegate.model.tag import TIME_UNIT, Tag, Type
from tidegate_drivers.modbus.absent import parse_absent
from tidegate_drivers.modbus.dates import HOW_TO_WRITE, PREFIX, Layout, parse_layout
from tidegate_drivers.modbus.point import (
    ADDRESS_MAX,
    ENCODINGS,
    FUNCTIONS,
    MODICON,
    ORDER_WORDS,
    ORDERS,
    PREFIXES,
    REGISTERS_MAX,
    SWAP_BYTES,
    SWAP_HALVES,
    UTF8,
    UTF16,
    WIDTH_REGISTERS,
    Function,
    Point,
)
from tidegate_drivers.modbus.zone import COLUMN, known_zone

# How a tag is written: with the functions for one coil or register where it is one, and only what can be held.
SINGLE, MULTIPLE = "single", "multiple"
EXACT, NEAREST = "exact", "nearest"
OFF = "off"
READBACK_S_MAX = 10.0
STRING_BYTES_MAX = 2 * REGISTERS_MAX

PREFIXED = re.compile(r"(HR|IR|CO|DI)\s*(0x[0-9a-f]{1,4}|\d{1,5})", re.IGNORECASE)
HEX = re.compile(r"0x[0-9a-f]{1,4}", re.IGNORECASE)
# BCD has no sign that all devices agree on.
DECIMAL = frozenset({Type.UINT16, Type.UINT32, Type.UINT64})
# As the tag table makes it of the column `count`.
ELEMENT = re.compile(r"(\d{1,4})/\d{1,4}", re.ASCII)
HOW_TO_ADDRESS = 'Write HR0, IR0, CO0 or DI0 (as on the wire), or declare the table\'s base = 0, 1 or "modicon"'


def parse_tag(tag: Tag, registers_max: int = REGISTERS_MAX) -> tuple[Point | None, list[Problem]]:
    """Where a tag lies, and what is wrong with its address and options; None when that is fatal."""
    options = Options(tag.options, tag.name, tag.row)
    place = _parse_address(tag.address.strip(), options)
    order = _parse_order(options, tag.raw)
    bit = options.whole("bit", -1, 0, 15)
    length = options.whole("length", 0, 1, STRING_BYTES_MAX)
    bcd, layout = _parse_coding(options, tag)
    # What is no date is bad anyway; what means "not available" in other tags of the table is of no concern here.
    absent = parse_absent(options, tag.raw, bcd) if layout is None or not options.text("na") else ()
    encoding = ENCODINGS[options.word("encoding", UTF8, ENCODINGS)]
    element, step = _parse_element(options)
    options.word("write_function", SINGLE, (SINGLE, MULTIPLE))
    options.word("rounding", EXACT, (EXACT, NEAREST))
    if options.text("readback").lower() != OFF:
        options.duration_s("readback", 0.0, 0.0, READBACK_S_MAX)
    options.refuse_unknown()
    if place is None:
        return None, options.problems
    function, first = place
    size = 1 if function.of_bits else WIDTH_REGISTERS.get(tag.raw, (length + 1) // 2)
    if layout is not None:
        size, order = (
            layout.size,
            order & (~0 if layout.size == 4 else ~SWAP_HALVES) if layout.unit_us else order & SWAP_BYTES,
        )
    _check_kind(tag, function, bit, length, options)
    if tag.raw == Type.STRING and encoding == UTF16 and length % 2:
        options.wrong("length", f"{length} bytes are no whole letters of UTF-16", "Write an even number")
    if size > registers_max:
        options.wrong("length", f"{size} registers in one piece, and the device gives at most {registers_max}",
                      "Shorten the string, or raise the device's registers_max")  # fmt: skip
    address = first + element * (step or size)
    if step and step < size:
        options.wrong("step", f"each element has {size} registers, and the next one begins {step} after it",
                      f"Write {size} or more, or leave step empty")  # fmt: skip
    if address + size - 1 > ADDRESS_MAX:
        options.wrong("address", f"it ends behind 0x{ADDRESS_MAX:04X}", "Check address, base, type and count")
    if any(problem.fatal for problem in options.problems):
        return None, options.problems
    found = Point(
        function, address, size, tag.raw, order, bit if bit >= 0 else None, length, absent, bcd, encoding, layout
    )
    return found, options.problems


def readback(tag: Tag) -> float | None:
    """How long after a write its value is read back, in seconds; None: it is not."""
    text = tag.option("readback")
    if text.lower() == OFF:
        return None
    return duration_s(text) if text else 0.0


def _parse_address(text: str, options: Options) -> tuple[Function, int] | None:
    """Kind of data and wire address of what a tag table says; None with a problem noted."""
    base = options.word("base", "", ("0", "1", "modicon"))
    word = options.word("registers", "", FUNCTIONS)
    declared = FUNCTIONS.get(word)
    prefixed = PREFIXED.fullmatch(text)
    if prefixed:
        function = PREFIXES[prefixed[1].upper()]
        address = int(prefixed[2], 16 if prefixed[2][:2] in ("0x", "0X") else 10)
    elif options.problems:
        return None  # What base or registers say is wrong: each row would only repeat it.
    elif HEX.fullmatch(text):
        if declared is None:
            options.wrong("address", f"{text} does not say which registers", "Fill in registers: " + _listed())
            return None
        function, address = declared, int(text, 16)
    elif not text.isascii() or not text.isdigit():
        options.wrong("address", f"{text!r} is no Modbus address" if text else "it is empty", HOW_TO_ADDRESS)
        return None
    elif base == "modicon":
        if len(text) not in (5, 6) or text[0] not in MODICON:
            options.wrong("address", f"{text} is no Modicon number",
                          "Write 40001 or 400001; zeros that a spreadsheet dropped from 00001: write CO0")  # fmt: skip
            return None
        function, address = MODICON[text[0]], int(text[1:]) - 1
    elif not base:
        options.wrong("address", f"{text} is a plain number and the table declares no base", HOW_TO_ADDRESS)
        return None
    elif declared is None:
        options.wrong("registers", f"{text} does not say which registers", "Fill in registers: " + _listed())
        return None
    else:
        function, address = declared, int(text) - int(base)
    if declared not in (None, function):
        options.wrong("registers", f"the address {text} means {function.word}, and registers says {word}",
                      f"Write {function.word} in this row, or change the address")  # fmt: skip
        return None
    if not 0 <= address <= ADDRESS_MAX:
        options.wrong("address", f"{text} is outside 0x0000 to 0x{ADDRESS_MAX:04X} on the wire",
                      "Check the address and the table's base")  # fmt: skip
        return None
    return function, address


def _listed() -> str:
    return ", ".join(FUNCTIONS)


def _parse_order(options: Options, kind: Type) -> int:
    """The swap bits of a tag of this type. What swaps halves leaves texts and single registers as they are."""
    text = options.text("order", "ABCD").upper()
    if text not in ORDERS:
        options.wrong("order", f"{text!r} is no byte order", f"Choose one of {', '.join(ORDER_WORDS)}")
    order, registers = ORDERS.get(text, 0), WIDTH_REGISTERS.get(kind, 1)
    if order & SWAP_HALVES and registers == 2:
        options.wrong("order", f"{text} is an order of four registers, and a {kind.word} has two",
                      f"Give this tag an order of its own: {', '.join(ORDER_WORDS[:4])}")  # fmt: skip
    return order if registers == 4 else order & ~SWAP_HALVES


def _parse_element(options: Options) -> tuple[int, int]:
    """Which element of an array it is, and how far one begins after the other; 0 for as far as it is wide."""
    step = options.whole("step", 0, 1, ADDRESS_MAX)
    found = ELEMENT.fullmatch(options.text("count"))
    if found is None and options.text("count"):
        options.wrong("count", "an array is a row of a tag table", "Leave it out, and name the element's own address")
    if step and not options.text("count"):
        options.wrong("step", "it does nothing without count", "Fill in count, or leave step empty", fatal=False)
    return int(found[1]) if found else 0, step


def _parse_coding(options: Options, tag: Tag) -> tuple[bool, Layout | None]:
    """Whether the number is coded as BCD, in decimal digits of four bits; the layout of a date-time."""
    text, kind = options.text("coding"), tag.raw
    if text.lower().startswith(PREFIX):
        return False, _parse_date(options, tag, text[len(PREFIX) :])
    bcd = options.word("coding", "binary", ("binary", "bcd")) == "bcd"
    if bcd and kind not in DECIMAL:
        options.wrong("coding", f"a {kind.word} is not made of decimal digits",
                      "Write uint16, uint32 or uint64 as type, or coding = binary")  # fmt: skip
    return bcd, None


def _parse_date(options: Options, tag: Tag, text: str) -> Layout | None:
    """The layout of a date-time, which is an int64 of µs since 1970, UTC."""
    try:
        layout = parse_layout(text)
    except ValueError as wrong:
        options.wrong("coding", str(wrong), HOW_TO_WRITE)
        return None
    if tag.raw != Type.INT64:
        options.wrong("coding", f"a date-time is an int64 of microseconds since 1970, and this is {tag.raw.word}",
                      "Write int64 as type")  # fmt: skip
    elif tag.type != tag.raw:
        options.wrong("coding", "a date-time can't be scaled", "Leave scale, offset and scale_by empty")
    if tag.access == "write":
        options.wrong("access", "a date-time is only read, since setting a clock is more than a number", "Write read")
    if tag.unit != TIME_UNIT:
        options.wrong("unit", "without its unit nobody can see that it is a time", f"Write {TIME_UNIT}", fatal=False)
    return layout


def _check_kind(tag: Tag, function: Function, bit: int, length: int, options: Options) -> None:
    """Whether type, bit and length go together with what lies at the address."""
    if function.of_bits and tag.raw != Type.BOOL:
        options.wrong("type", f"a {function.word} is one bit, it can't hold {tag.raw.word}", "Write bool")
    if bit >= 0 and function.of_bits:
        options.wrong("bit", f"a {function.word} is one bit already", "Leave bit empty")
    elif bit >= 0 and tag.raw != Type.BOOL:
        options.wrong("bit", f"one bit can't hold {tag.raw.word}", "Write bool as type, or leave bit empty")
    if tag.raw == Type.STRING and not length:
        options.wrong("length", "a string needs its length", "Write how many bytes it has: two for each register")
    elif length and tag.raw != Type.STRING:
        options.wrong("length", f"{tag.raw.word} has its own length", "Leave length empty")


def parse_points(device: Device, registers_max: int) -> tuple[tuple[Point, ...], list[Problem]]:
    """The points of a device's tags in the table's order (empty when one can't be used), and all problems."""
    points: list[Point] = []
    problems: list[Problem] = []
    told: set[tuple[int | None, str | None, str]] = set()
    homeless: set[tuple[int | None, str]] = set()
    for tag in device.table.tags:
        point, found = parse_tag(tag, registers_max)
        # What is wrong with a row is wrong with each element of its array, and told of the first.
        new = [problem for problem in found if (problem.row, problem.column, problem.what) not in told]
        if "count" in dict(tag.options):
            told.update((problem.row, problem.column, problem.what) for problem in new)
        problems += new
        if point is not None:
            points.append(in_zone(point, device))
            if point.layout is not None and point.layout.local and not device.options.get(COLUMN, "").strip():
                place = (tag.row, device.name)
                if place not in homeless:
                    homeless.add(place)
                    problems.append(_homeless(tag, device))
    if len(points) < len(device.table.tags):
        return (), problems
    return tuple(points), problems + _overlaps(device.table.tags, points) + _misread(device.table.tags, points)


def in_zone(point: Point, device: Device) -> Point:
    """The point; a date-time's with the time zone of the device's clock, where that is known."""
    return point if point.layout is None else replace(point, zone=known_zone(device.options.get(COLUMN, "")))


def _homeless(tag: Tag, device: Device) -> Problem:
    what = f"it is the time of a place, and {device.name} has no time_zone"
    remedy = "Add the column time_zone to its row: Europe/Berlin, +08:00 or UTC"
    return Problem("", tag.name, what, remedy, tag.row, "coding")


def _misread(tags: Sequence[Tag], points: Sequence[Point]) -> list[Problem]:
    """A table whose plain numbers all look like 40001, under a base that takes them as they stand: one warning."""
    plain = [(tag, point) for tag, point in zip(tags, points, strict=True) if tag.address.strip().isdigit()]
    for tag, point in plain:
        text = tag.address.strip()
        counted = len(text) == 5 and MODICON.get(text[0]) == point.function and int(text[1:]) > 0
        if tag.option("base") == "modicon" or not counted:
            return []
    return [
        Problem("", tag.name, f"{tag.address} is read at 0x{point.address:04X}, as base = {tag.option('base')} says",
                'Declare base = "modicon" if the manual counts from 40001; else all is well', tag.row, "address",
                fatal=False)
        for tag, point in plain[:1]
    ]  # fmt: skip


def _overlaps(tags: Sequence[Tag], points: Sequence[Point]) -> list[Problem]:
    """Values of several registers that begin inside one another: nearly always an address that is off by one."""
    wide = [(point, tag) for point, tag in zip(points, tags, strict=True) if point.size > 1]
    wide.sort(key=lambda pair: (pair[0].function, pair[0].address))
    problems = []
    told: set[tuple[int, int]] = set()
    for (before, tag), (point, inside) in pairwise(wide):
        if before.function == point.function and before.address < point.address < before.end:
            rows = (tag.row or 0, inside.row or 0)
            if all(rows) and rows in told:
                continue  # Two arrays: their first elements that do so say it all.
            told.add(rows)
            problems.append(
                Problem("", inside.name, f"it begins inside {tag.name}, at 0x{point.address:04X}",
                        "Check both addresses and the table's base", inside.row, "address", fatal=False)
            )  # fmt: skip
    return problems
