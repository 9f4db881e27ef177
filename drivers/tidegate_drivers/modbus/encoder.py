"""Encoder: the value of a tag into the registers that hold it, exactly or not at all. It knows no requests.

What it makes, codec.py reads back as the same value: the two are compared in the tests. All arithmetic is rational.
"""

import math
from decimal import Decimal
from fractions import Fraction
from struct import Struct

from tidegate.model.tag import INTEGERS, Scale, Tag, Type
from tidegate_drivers.modbus import _codec_py as codes
from tidegate_drivers.modbus.point import SWAP_BYTES, SWAP_HALVES, SWAP_REGISTERS, UTF16, Point

REGISTER_BYTES = 2
FLOATS = {Type.FLOAT32: Struct(">f"), Type.FLOAT64: Struct(">d")}
SIGNED = (Type.INT8, Type.INT16, Type.INT32, Type.INT64)
# A number of more digits or a larger power of ten fits no type, and would take long to reckon with.
TEXT_LETTERS_MAX = 60
POWER_MAX = 400


def number(value: object) -> Fraction:
    """The exact rational of a number; a float counts as the decimal that it is written as. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction | str):
        raise ValueError(f"{value!r} is no number")
    if isinstance(value, int | Fraction):
        return Fraction(value)
    text = str(value).strip()
    try:
        if len(text) > TEXT_LETTERS_MAX or "_" in text:
            raise ArithmeticError
        exact = Decimal(text)
        if not exact.is_finite() or abs(exact.adjusted()) > POWER_MAX:
            raise ArithmeticError
    except ArithmeticError:
        raise ValueError(f"{text[:TEXT_LETTERS_MAX]!r} is no number that a machine could hold") from None
    return Fraction(exact)


def scaled(raw: Fraction, scale: Scale) -> Fraction:
    """The value that a raw number stands for."""
    return raw * scale.numerator / scale.denominator + number(scale.offset)


def raw_number(value: Fraction, tag: Tag, point: Point, nearest: bool) -> Fraction:
    """The raw number that stands for a value. What is between two of them is refused, unless the `nearest` is taken.

    A float32 or float64 holds the nearest number that it has: that is what these types are. Of two that are equally
    near the even one is taken. Raises ValueError.
    """
    scale = tag.scale
    exact = (value - number(scale.offset)) * scale.denominator / scale.numerator
    if tag.raw in FLOATS:
        return _held(exact, tag.raw)
    raw = Fraction(round(exact))
    if raw != exact and not nearest:
        below = scaled(Fraction(math.floor(exact)), scale)
        above = scaled(Fraction(math.ceil(exact)), scale)
        raise ValueError(
            f"{shown(value)} is not among the values that the device can hold: next to it are {shown(below)} and "
            f"{shown(above)}. Write one of them, or let the tag table say rounding = nearest"
        )
    low, high = _bounds(tag.raw, point)
    if not low <= raw <= high:
        raise ValueError(
            f"{shown(value)} does not fit: as a {tag.raw.word}{' in BCD' if point.bcd else ''} it would be "
            f"{shown(raw)}, and {low} to {high} can be held"
        )
    return raw


def registers(raw: Fraction | str, point: Point) -> bytes:
    """The bytes of the registers that hold a raw number or a text, as they travel. Raises ValueError for a text."""
    if isinstance(raw, str):
        return swapped(_text(raw, point), point.order & SWAP_BYTES)
    if point.kind in FLOATS:
        data = FLOATS[point.kind].pack(float(raw))
    elif point.bcd:
        data = bytes.fromhex(str(int(raw)).rjust(2 * REGISTER_BYTES * point.size, "0"))
    else:
        data = int(raw).to_bytes(REGISTER_BYTES * point.size, "big", signed=point.kind in SIGNED)
    return swapped(data, point.order)


def swapped(data: bytes, order: int) -> bytes:
    """Registers put into an order, or back: each swap undoes itself, and none minds the others."""
    code = codes.SWAP_BYTES if order & SWAP_BYTES else 0
    code |= codes.SWAP_REGISTERS if order & SWAP_REGISTERS else 0
    code |= codes.SWAP_HALVES if order & SWAP_HALVES else 0
    return codes.in_order(data, code)


def shown(exact: Fraction) -> str:
    """A rational as a decimal where it is one, else as near as a float comes."""
    if exact.denominator == 1 and abs(exact) < 10**20:
        return str(exact.numerator)
    return f"{float(exact):.17g}" if Fraction(repr(float(exact))) != exact else repr(float(exact))


def _held(exact: Fraction, kind: Type) -> Fraction:
    """The nearest number of a float type."""
    try:
        near = float(exact)
        if kind == Type.FLOAT32:
            # By way of a float64 a number could be rounded twice; of its two neighbours the nearer one is right.
            [near] = FLOATS[kind].unpack(FLOATS[kind].pack(near))
            near = min(_around(near), key=lambda one: (abs(Fraction(one) - exact), _odd(one)))
    except OverflowError:
        raise ValueError(f"it does not fit into a {kind.word}") from None
    return Fraction(near)


def _around(near: float) -> list[float]:
    """A float32, and those before and behind it that are finite."""
    [bits] = Struct(">I").unpack(FLOATS[Type.FLOAT32].pack(near))
    magnitude, sign = bits & 0x7FFFFFFF, bits & 0x80000000
    others = [one for one in (magnitude - 1, magnitude + 1) if 0 <= one < 0x7F800000]
    return [near, *(FLOATS[Type.FLOAT32].unpack(Struct(">I").pack(sign | one))[0] for one in others)]


def _odd(near: float) -> int:
    return FLOATS[Type.FLOAT32].pack(near)[-1] & 1


def _bounds(kind: Type, point: Point) -> tuple[int, int]:
    bits = 8 * REGISTER_BYTES * point.size
    if point.bcd:
        return 0, 10 ** (bits // 4) - 1
    assert kind in INTEGERS
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if kind in SIGNED else (0, (1 << bits) - 1)


def _text(text: str, point: Point) -> bytes:
    """A text, filled up with zeros. What would be read back as another text is refused."""
    if "\0" in text or text != text.rstrip(" "):
        raise ValueError("a text ends at its first zero letter, and blanks at its end are no part of it: omit them")
    try:
        data = text.encode(point.encoding)
    except UnicodeError:
        raise ValueError(f"{text!r} has letters that {point.encoding} has not") from None
    if len(data) > point.length:
        raise ValueError(f"{len(data)} bytes in {point.encoding}, and {point.length} can be held")
    if point.encoding != UTF16 and b"\0" in data:
        raise ValueError(f"{text!r} has a zero byte in {point.encoding}")
    return data.ljust(REGISTER_BYTES * point.size, b"\0")
