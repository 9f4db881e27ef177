"""Permission: whether a tag may be given a value at all. It knows no driver, no device and no source of commands."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

from tidegate.model.tag import Tag, Type

# A number of more digits, or of a larger power of ten, is no value of any type.
NUMBER_LETTERS_MAX = 60
POWER_MAX = 400
TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def value_of(tag: Tag, text: str) -> bool | str | Decimal:
    """The value of a tag that a person wrote, numbers exactly as they are written. Raises ValueError."""
    if tag.type == Type.STRING:
        return text
    word = text.strip()
    if tag.type == Type.BOOL:
        if word.lower() not in TRUTHS:
            raise ValueError(f"{text!r} is neither true nor false")
        return TRUTHS[word.lower()]
    try:
        number = Decimal(word) if len(word) <= NUMBER_LETTERS_MAX and "_" not in word else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > POWER_MAX:
        raise ValueError(f"{text[:NUMBER_LETTERS_MAX]!r} is no number; write it as 21.5")
    return number


def forbidden(tag: Tag, value: bool | str | Decimal) -> str:
    """Why the tag may not be given this value, and what to do; empty when it may."""
    if tag.access != "write":
        return f"access of {tag.name} is {tag.access}. If it is to be written, say access = write in the tag table"
    if tag.range is not None and isinstance(value, Decimal):
        low, high = tag.range
        if not Fraction(repr(low)) <= Fraction(value) <= Fraction(repr(high)):
            return f"{value} is outside of the range of {tag.name}, {low:g} to {high:g}. Write a value within it"
    return ""
