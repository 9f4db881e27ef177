"""Write: the one request that puts a value into a device, and what must come back. It sends nothing.

    5 | address u16 | 0xFF00 or 0            one coil         its reply is the same
    6 | address u16 | register               one register     its reply is the same
    15 | address u16 | count u16 | bytes u8 | bits            its reply ends behind the count
    16 | address u16 | count u16 | bytes u8 | registers       its reply ends behind the count

Source: Modbus Application Protocol V1.1b3 §6.5, §6.6, §6.11 and §6.12.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct

from tidegate.errors import Problem
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus.encoder import FLOATS, number, raw_number, registers, scaled, shown, swapped
from tidegate_drivers.modbus.point import Function, Point
from tidegate_drivers.modbus.tags import MULTIPLE, NEAREST

COIL, REGISTER, COILS, REGISTERS = 5, 6, 15, 16
WORDS = {COIL: "coil", REGISTER: "register", COILS: "coils", REGISTERS: "registers"}
# The most of one request, §6.12 there.
WRITTEN_REGISTERS_MAX = 123
ON, OFF = b"\xff\x00", b"\0\0"
HEAD, COUNTED = Struct(">BH"), Struct(">BHHB")
# Function, address, and value or count: what a right reply has of its question.
ECHO_BYTES = 5
TRUTHS = {"true": True, "1": True, "on": True, "false": False, "0": False, "off": False}


@dataclass(frozen=True, slots=True)
class Write:
    """One request, the data that are expected at the point when it was done, and the value that these stand for."""

    pdu: bytes
    data: bytes
    held: str

    @property
    def echo(self) -> bytes:
        """The one reply that says that it was done."""
        return self.pdu[:ECHO_BYTES]


def unwritable(tag: Tag, point: Point) -> tuple[str, str]:
    """Why a tag can't be written whatever the value, and what to do; empty where it can."""
    leave = "Leave access empty, or write read"
    if point.function in (Function.DISCRETE, Function.INPUT):
        kind = "discrete inputs" if point.function.of_bits else "input registers"
        return f"{kind} can't be written: Modbus has no function for it", leave
    if point.layout is not None:
        return "a date-time is only read, since setting a clock is more than a number", leave
    if point.bit is not None:
        return ("it is one bit of a register, and writing it would write the 15 others as they were some time ago",
                "Where the device has a coil for it, address that; else " + leave[0].lower() + leave[1:])  # fmt: skip
    if tag.raw in (Type.INT8, Type.UINT8):
        return ("it is half of a register, and writing it would write the other half too",
                "If the whole register is this value, write uint16 as type; else leave access empty")  # fmt: skip
    if point.size > WRITTEN_REGISTERS_MAX:
        return f"{point.size} registers, and one request writes at most {WRITTEN_REGISTERS_MAX}", "Shorten the string"
    if tag.raw == Type.STRING and point.length % 2:
        return ("half of its last register is not its own, and would be written too",
                "Write an even length, or leave access empty")  # fmt: skip
    if tag.scale_by:
        return f"its scale follows {tag.scale_by}, which the device may change before the value is there", leave
    return "", ""


def check_writes(tags: Sequence[Tag], points: Sequence[Point]) -> list[Problem]:
    """Tags with write access that can't be written. It is a warning: they are read all the same."""
    problems = []
    told: set[tuple[int | None, str]] = set()
    for tag, point in zip(tags, points, strict=False):
        what, remedy = unwritable(tag, point) if tag.access == "write" else ("", "")
        # Of an array the first element says it for all.
        if what and (tag.row is None or (tag.row, what) not in told):
            told.add((tag.row, what))
            problems.append(Problem("", tag.name, what, remedy, tag.row, "access", fatal=False))
    return problems


def make(tag: Tag, point: Point, value: object) -> Write:
    """The request that writes a value, exactly or rounded as the tag says. Raises ValueError, which says why not."""
    what, remedy = unwritable(tag, point)
    if what:
        raise ValueError(f"{what}. {remedy}")
    multiple = tag.option("write_function", "single").lower() == MULTIPLE
    if tag.raw == Type.BOOL:
        truth = _truth(value)
        data, held = int(truth).to_bytes(2, "big"), str(truth).lower()
        if point.function == Function.COIL:
            data = data[1:]
            single = HEAD.pack(COIL, point.address) + (ON if truth else OFF)
            return Write(COUNTED.pack(COILS, point.address, 1, 1) + data if multiple else single, data, held)
        else:
            data = swapped(data, point.order)
    elif tag.raw == Type.STRING:
        if not isinstance(value, str):
            raise ValueError(f"{value!r} is no text")
        data, held = registers(value, point), value
    else:
        raw = raw_number(number(value), tag, point, tag.option("rounding").lower() == NEAREST)
        data = registers(raw, point)
        value_held = scaled(raw, tag.scale)
        if tag.range is not None and not number(tag.range[0]) <= value_held <= number(tag.range[1]):
            low, high = tag.range
            raise ValueError(f"the device would hold {shown(value_held)}, and its range is {low:g} to {high:g}")
        _refuse_absent(data, point)
        held = shown(value_held)
    if point.size == 1 and not multiple:
        return Write(HEAD.pack(REGISTER, point.address) + data, data, held)
    return Write(COUNTED.pack(REGISTERS, point.address, point.size, len(data)) + data, data, held)


def explain(tag: Tag, point: Point, unit: int, write: Write) -> list[str]:
    """What a write is, for people."""
    function, address = HEAD.unpack_from(write.pdu)
    count = f", {point.size} at a time" if function in (COILS, REGISTERS) else ""
    lines = [
        f"unit {unit}, function {function} (write {WORDS[function]}{count}), address 0x{address:04X} ({address})",
        f"request {write.pdu.hex(' ').upper()}",
        f"right reply {write.echo.hex(' ').upper()}, nothing else",
        f"the device would then hold {write.held}{f' {tag.unit}' if tag.unit else ''}",
        f"read back with function {int(point.function)}, address 0x{address:04X}: "
        f"{write.data.hex(' ').upper()} is expected",
    ]
    if tag.raw in FLOATS:
        lines.insert(4, f"a {tag.raw.word} holds the nearest number that it has")
    return lines


def _truth(value: object) -> bool:
    if isinstance(value, bool):
        return value
    found = TRUTHS.get(str(value).strip().lower()) if isinstance(value, str | int) else None
    if found is None:
        raise ValueError(f"{value!r} is neither true nor false")
    return found


def _refuse_absent(data: bytes, point: Point) -> None:
    """A value that the tag table takes for "not available" would be read back as none."""
    ordered = swapped(data, point.order)
    mask, bits = (1 << 8 * len(ordered)) - 1, int.from_bytes(ordered, "big")
    for one in point.absent:
        if one.bits is not None and one.bits & mask == bits:
            raise ValueError(f"the tag table takes {one.text} for 'not available' (na), and would read no value")
