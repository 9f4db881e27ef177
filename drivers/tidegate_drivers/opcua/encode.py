"""Encode: a value that is to be written as the Variant of the node's own type, exactly or not at all.

What it makes, values.py reads back as the same value: the two are compared in the tests. It knows no requests.
"""

import re
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from struct import Struct
from uuid import UUID

from asyncua import ua

from tidegate_drivers.opcua.plain import EPOCH_TICKS, LAST_TICKS, TICKS_US
from tidegate_drivers.opcua.wire import (
    BOOLEAN,
    BYTE,
    BYTE_STRING,
    DATE_TIME,
    DOUBLE,
    FLOAT,
    GUID,
    INT16,
    INT32,
    INT64,
    LOCALIZED_TEXT,
    SBYTE,
    STATUS_CODE,
    STRING,
    UINT16,
    UINT32,
    UINT64,
)

# A number of more digits or a larger power of ten fits no type, and would take long to reckon with.
NUMBER_LETTERS_MAX = 60
POWER_MAX = 400
TEXT_BYTES_MAX = 64 * 1024
ELEMENTS_MAX = 1000
NAMES_SHOWN_MAX = 20

F32, BITS = Struct("<f"), Struct("<I")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST_US, LAST_US = -EPOCH_TICKS // TICKS_US, (LAST_TICKS - EPOCH_TICKS) // TICKS_US
BOUNDS = {
    SBYTE: (-(2**7), 2**7 - 1), BYTE: (0, 2**8 - 1), INT16: (-(2**15), 2**15 - 1), UINT16: (0, 2**16 - 1),
    INT32: (-(2**31), 2**31 - 1), UINT32: (0, 2**32 - 1), INT64: (-(2**63), 2**63 - 1), UINT64: (0, 2**64 - 1),
    STATUS_CODE: (0, 2**32 - 1),
}  # fmt: skip
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)


def encode(value: object, builtin: int, rank: int = -1, names: Mapping[int, str] | None = None) -> ua.Variant:
    """The Variant of a raw, unscaled value for a node of this built-in type, ValueRank and enumeration.

    Takes bool, text, numbers (best a Decimal, and texts of such), and lists of them for arrays of one dimension. A
    Float or Double gets the nearest number that it has. A moment is µs since 1970, or ISO 8601 with its zone. Raises
    ValueError, whose words say why it can't be written and what to write.
    """
    kind = ua.VariantType(builtin) if 0 <= builtin <= DIAGNOSTIC else ua.VariantType.Null
    if isinstance(value, list | tuple):
        if rank not in (1, 0, -2, -3):
            raise ValueError(f"a list, and the node holds {'one value' if rank == -1 else 'an array of arrays'}")
        if len(value) > ELEMENTS_MAX:
            raise ValueError(f"{len(value):,} values, and at most {ELEMENTS_MAX:,} are written at once")
        return ua.Variant([_single(one, builtin, names) for one in value], kind, is_array=True)
    if rank >= 0:
        raise ValueError("the node holds an array, and is written as a whole: give a list of all its values")
    return ua.Variant(_single(value, builtin, names), kind)


def number(value: object) -> Fraction:
    """The exact rational of a number; a float counts as the decimal that it is written as. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | Fraction | str):
        raise ValueError(f"{value!r} is no number")
    if isinstance(value, int | Fraction):
        return Fraction(value)
    text = str(value).strip()
    try:
        if len(text) > NUMBER_LETTERS_MAX or "_" in text:
            raise ArithmeticError
        exact = Decimal(text)
        if not exact.is_finite() or abs(exact.adjusted()) > POWER_MAX:
            raise ArithmeticError
    except ArithmeticError:
        raise ValueError(f"{text[:NUMBER_LETTERS_MAX]!r} is no number that a machine could hold") from None
    return Fraction(exact)


def _single(value: object, builtin: int, names: Mapping[int, str] | None) -> object:
    if builtin == BOOLEAN:
        return _truth(value)
    if builtin in BOUNDS:
        if names and isinstance(value, str) and WHOLE.fullmatch(value.strip()) is None:
            value = _named(value, names)
        whole = _whole(value, builtin)
        return ua.StatusCode(whole) if builtin == STATUS_CODE else whole
    if builtin in (FLOAT, DOUBLE):
        return _near(number(value), builtin)
    if builtin == DATE_TIME:
        return _moment(value)
    if builtin not in TEXTS:
        raise ValueError(
            f"values of the type {ua.VariantType(builtin).name if 0 <= builtin <= DIAGNOSTIC else builtin} are not "
            "written: the machine's own program, or a method of it, has to set them"
        )
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text, and the node holds {ua.VariantType(builtin).name}")
    if len(value.encode("utf-8", "surrogatepass")) > TEXT_BYTES_MAX:
        raise ValueError(f"a text of more than {TEXT_BYTES_MAX:,} bytes")
    if any(0xD800 <= ord(letter) <= 0xDFFF for letter in value):
        raise ValueError("a text with half a letter in it, which UTF-8 can't say")
    return TEXTS[builtin](value)


def _truth(value: object) -> bool:
    text = str(value).strip().lower() if isinstance(value, bool | int | str | Decimal) else ""
    if text not in TRUTHS:
        raise ValueError(f"{value!r} is neither true nor false")
    return TRUTHS[text]


def _whole(value: object, builtin: int) -> int:
    exact = number(value)
    low, high = BOUNDS[builtin]
    if exact.denominator != 1 or not low <= exact <= high:
        raise ValueError(
            f"{value} does not fit: the node is {ua.VariantType(builtin).name}, which holds whole numbers from {low} "
            f"to {high}"
        )
    return int(exact)


def _named(text: str, names: Mapping[int, str]) -> int:
    """The value of an enumeration that has this name, and no other."""
    found = [value for value, name in names.items() if name == text.strip()]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"{text!r} is the name of {' and '.join(map(str, found))}: write the number")
    known = ", ".join(list(names.values())[:NAMES_SHOWN_MAX])
    raise ValueError(f"{text!r} is no name of its enumeration; it has {known}")


def _near(exact: Fraction, builtin: int) -> float:
    """The nearest number of a Float or Double; of two as near the even one."""
    try:
        near = float(exact)
        if builtin == DOUBLE:
            return near
        [bits] = BITS.unpack(F32.pack(near))
    except OverflowError:
        raise ValueError(f"it does not fit into a {ua.VariantType(builtin).name}") from None
    # By way of a Double it could be rounded twice: of its neighbours the nearer one is right.
    around = [one for one in (bits - 1, bits, bits + 1) if 0 <= one & 0x7FFFFFFF < 0x7F800000 and one >= 0]
    best = min(around, key=lambda one: (abs(Fraction(_float(one)) - exact), one & 1, one != bits))
    return _float(best)


def _float(bits: int) -> float:
    found: float = F32.unpack(BITS.pack(bits & 0xFFFFFFFF))[0]
    return found


def _moment(value: object) -> datetime:
    """A DateTime, which asyncua has to the µs."""
    if isinstance(value, str) and WHOLE.fullmatch(value.strip()) is None:
        try:
            found = datetime.fromisoformat(value.strip())
        except ValueError:
            raise ValueError(f"{value[:NUMBER_LETTERS_MAX]!r} is no time: write it as 2026-03-04T05:06:07Z") from None
        if found.tzinfo is None:
            raise ValueError(f"{value} does not say of which place it is: write it with Z, or +08:00")
        exact = Fraction((found - EPOCH) // timedelta(microseconds=1))
    else:
        exact = number(value)
    if exact.denominator != 1 or not FIRST_US < exact < LAST_US:
        raise ValueError(f"{value} is no time from 1601 to 9999 in whole microseconds since 1970")
    return EPOCH + timedelta(microseconds=int(exact))


def _guid(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        like = "72962b91-fa75-4ae6-8d28-b404dc7daf63"
        raise ValueError(f"{text[:NUMBER_LETTERS_MAX]!r} is no Guid, such as {like}") from None


def _bytes(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NoBase64, ValueError):
        raise ValueError("it is no base64, in which bytes are written") from None


DIAGNOSTIC = int(ua.VariantType.DiagnosticInfo)
TEXTS = {
    STRING: str,
    GUID: _guid,
    BYTE_STRING: _bytes,
    LOCALIZED_TEXT: ua.LocalizedText,
}
