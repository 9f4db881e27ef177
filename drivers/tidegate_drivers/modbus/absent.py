"""Raw values by which a device says that it has none: the texts of the column `na` into the bits of a slot."""

import re
from struct import Struct, error

from tidegate.model.option import Options
from tidegate.model.tag import Type
from tidegate_drivers.modbus.point import Absent

WIDTH_BITS = {
    Type.INT8: 8, Type.UINT8: 8, Type.INT16: 16, Type.UINT16: 16, Type.INT32: 32, Type.UINT32: 32, Type.FLOAT32: 32,
    Type.INT64: 64, Type.UINT64: 64, Type.FLOAT64: 64,
}  # fmt: skip
SIGNED = frozenset({Type.INT8, Type.INT16, Type.INT32, Type.INT64})
FLOATS = {Type.FLOAT32: Struct("<f"), Type.FLOAT64: Struct("<d")}
SLOT_BITS = 64
ABSENT_MAX = 16

HEX = re.compile(r"0x([0-9a-f]+)", re.IGNORECASE)
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)


def parse_absent(options: Options, kind: Type, bcd: bool = False) -> tuple[Absent, ...]:
    """What means "not available" in a tag of this type: `0x8000`, `-9999`, `nan`, several with blanks between.

    Hex digits are the bits of the registers, also of a BCD number, of which other values are decimal digits.
    `int16:0x8000` means tags of that type only, so that one text can be the default of a whole table.
    """
    items = options.text("na").split()
    if len(items) > ABSENT_MAX:
        options.wrong("na", f"{len(items)} values that mean not available", f"Name at most {ABSENT_MAX}")
        return ()
    found = []
    for item in items:
        word, colon, text = item.rpartition(":")
        if colon:
            try:
                if Type.of(word) != kind:
                    continue
            except ValueError:
                options.wrong("na", f"{word!r} is no type", "Write int16:0x8000, or 0x8000 alone")
                continue
        try:
            found.append(_absent(text, kind, bcd))
        except ValueError as wrong:
            options.wrong("na", str(wrong), _remedy(kind, text))
    return tuple(found)


def _absent(text: str, kind: Type, bcd: bool) -> Absent:
    """One such value. Raises ValueError that says what is wrong with it."""
    width = WIDTH_BITS.get(kind)
    if width is None:
        raise ValueError(f"a {kind.word} has no value that could mean not available")
    hexed = HEX.fullmatch(text)
    if hexed:
        if len(hexed[1]) != width // 4:
            # Half as many digits are another number: 0x8000 is no sign of anything in an int32.
            raise ValueError(f"{text} has {len(hexed[1])} hex digits, and {kind.word} has {width // 4}")
        return Absent(_slot(int(hexed[1], 16), kind, width), text)
    if text.lower() == "nan" and kind in FLOATS:
        return Absent(None, "nan")
    number = NUMBER.fullmatch(text)
    if number and kind in FLOATS:
        try:
            packed = FLOATS[kind].pack(float(text))
        except (OverflowError, error):
            raise ValueError(f"{text} is too large for {kind.word}") from None
        return Absent(int.from_bytes(packed, "little"), text)
    if number is None or number[1] or number[2]:
        raise ValueError(f"{text!r} is no value of a {kind.word}")
    if bcd:
        if not text.isdigit() or len(text) > width // 4:
            raise ValueError(f"{text} is no number of {width // 4} decimal digits")
        return Absent(int(text, 16), text)
    low = -(1 << width - 1) if kind in SIGNED else 0
    if not low <= int(text) < low + (1 << width):
        raise ValueError(f"{text} is outside of {kind.word}")
    return Absent(int(text) % (1 << SLOT_BITS), text)


def _slot(bits: int, kind: Type, width: int) -> int:
    """The slot of a value whose registers, in order, have these bits."""
    if kind in SIGNED and bits >> width - 1:
        bits -= 1 << width
    return bits % (1 << SLOT_BITS)


def _remedy(kind: Type, text: str) -> str:
    width = WIDTH_BITS.get(kind)
    if width is None:
        return "Leave na empty, or name the type that it is for: int16:0x8000"
    if text.lower() == "nan":
        return "Write float32:nan for those tags of the table that are of this type"
    digits = width // 4
    example = "0x" + ("8" + "0" * (digits - 1) if kind in SIGNED else "F" * digits)
    return f"Write all {digits} hex digits, such as {example}, or {'nan' if kind in FLOATS else 'a whole number'}"
