"""Text of a configuration into numbers: durations, sizes, ratios, bounds. It knows no files and no keys."""

import difflib
import math
import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

from tidegate.model.option import DURATION_UNITS_S, duration_s
from tidegate.model.tag import LABELS, Scale

BYTES = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
# A ratio's terms stay exact in float64, and so does their product with every 16-bit register.
RATIO_TERM_MAX = 10**12
# How alike a word must be to one that is known, from 0 to 1, to be taken for a slip of the pen.
LIKENESS_MIN = 0.7
# Of what is known so much is listed.
LISTED_MAX = 30
# Longer than any number that a person writes; a bound for parsers that would take time over more.
NUMBER_LETTERS_MAX = 40

# The labels of data classification, as they are also written in Chinese.
CHINESE_LABELS = {"公开": "public", "内部": "internal", "重要": "important", "核心": "core"}

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_RATIO = re.compile(rf"({_NUMBER.pattern})(\s*/\s*(\d+))?", re.ASCII)


class Unfit(ValueError):
    """A text that is not what its key or column wants: what is wrong, and what to write instead."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")


def seconds(text: object, low_s: float, high_s: float) -> float:
    """A duration such as "100ms", "1.5s", "10min", "1h" or "1d", in seconds within low_s..high_s. Raises Unfit."""
    remedy = 'Write a number with its unit (ms, s, min, h, d) in quotes, such as "100ms" or "10min"'
    try:
        value = duration_s(text) if isinstance(text, str) else None
    except ValueError:
        value = None
    if value is None:
        raise Unfit(f"{text!r} is not a duration", remedy)
    if not low_s <= value <= high_s:
        raise Unfit(f"{text!r} is out of range", f"Use {in_words(low_s)} to {in_words(high_s)}")
    return value


def in_words(value_s: float) -> str:
    """A duration as it is written in a configuration: 0.01 is `10ms`, 3600 is `1h`."""
    value = Decimal(repr(value_s))
    fitting = [(size, unit) for unit, size in DURATION_UNITS_S.items() if value >= size and value % size == 0]
    size, unit = max(fitting, default=(DURATION_UNITS_S["ms"], "ms"))
    return f"{float(value / size):g}{unit}"


def size_bytes(text: object, low: int, high: int) -> int:
    """A size such as "8MB" (10^6) or "8MiB" (2^20), in bytes within low..high. Raises Unfit."""
    found = _QUANTITY.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None or found[2].lower() not in BYTES:
        raise Unfit(f"{text!r} is not a size", 'Write a number with its unit (kB, MB, GB) in quotes, such as "2GB"')
    value = int(Decimal(found[1]) * BYTES[found[2].lower()])
    if not low <= value <= high:
        raise Unfit(f"{text!r} is out of range", f"Use {low:,} to {high:,} bytes")
    return value


def number(text: str, decimal_comma: bool = False) -> float:
    """A finite number. With `decimal_comma`, `0,5` is read as a European spreadsheet means it. Raises Unfit."""
    plain = _plain(text, decimal_comma)
    if not _NUMBER.fullmatch(plain) or len(plain) > NUMBER_LETTERS_MAX or not math.isfinite(float(plain)):
        raise Unfit(f"{text!r} is not a number", "Write it with digits and a decimal point, such as 0.5 or -40")
    return float(plain)


def whole(text: str) -> int:
    """A whole number, decimal. Raises Unfit."""
    plain = text.strip()
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", plain):
        raise Unfit(f"{text!r} is not a whole number", "Write it with digits only")
    return int(plain)


def scale(text: str, offset: float, decimal_comma: bool = False) -> Scale:
    """A scale such as `0.1`, `10` or `1/3`, kept as the ratio that it is: 0.1 is 1/10, exactly. Raises Unfit."""
    plain = _plain(text, decimal_comma)
    found = _RATIO.fullmatch(plain) if len(plain) <= NUMBER_LETTERS_MAX else None
    if found is None or (found[6] is not None and int(found[6]) == 0):
        raise Unfit(f"{text!r} is not a scale", "Write what a raw value is multiplied by: 0.1, 10 or 1/3")
    ratio = Fraction(found[1]) / int(found[6] or 1)
    if ratio == 0:
        raise Unfit("a scale of 0 makes every value the same", "Leave it empty, or write 0.1, 10 or 1/3")
    if abs(ratio.numerator) > RATIO_TERM_MAX or ratio.denominator > RATIO_TERM_MAX:
        raise Unfit(f"{text!r} has more digits than a scale can keep", f"Use terms up to {RATIO_TERM_MAX:,}")
    return Scale(ratio.numerator, ratio.denominator, offset)


def deadband(text: str, bounds: tuple[float, float] | None, decimal_comma: bool = False) -> float:
    """A deadband in the tag's unit (`0.5`), or in per cent of its range (`1%`). Raises Unfit."""
    plain = text.strip()
    percent = plain.endswith("%")
    value = number(plain.removesuffix("%"), decimal_comma)
    if value < 0:
        raise Unfit(f"{text!r} is negative", "Use 0 to report every change, or leave it empty to report every reading")
    if not percent:
        return value
    if bounds is None:
        raise Unfit(f"{text!r} is a part of a range, and the tag has none", "Fill in low and high, or leave out %")
    return value / 100 * (bounds[1] - bounds[0])


def label(text: str) -> str:
    """A classification label, in English or Chinese. Raises Unfit."""
    word = CHINESE_LABELS.get(text.strip(), text.strip().lower())
    return one_of(word, LABELS)


def one_of(text: str, words: Iterable[str]) -> str:
    """`text` if it is one of the words, in lower case. Raises Unfit that lists them."""
    word = text.strip().lower()
    listed = tuple(words)
    if word not in listed:
        raise Unfit(f"{text!r} is not known here", did_you_mean(word, listed))
    return word


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to do about a word that nobody knows: the nearest that is known, or all of them. One sentence, no stop."""
    listed = list(known)
    likeness = {one: difflib.SequenceMatcher(None, word, one).ratio() for one in listed}
    best = max(likeness.values(), default=0.0)
    if best >= LIKENESS_MIN:
        return f"Did you mean {' or '.join(f'`{one}`' for one in listed if likeness[one] == best)}?"
    more = f" and {len(listed) - LISTED_MAX:,} more" if len(listed) > LISTED_MAX else ""
    return f"Use one of: {', '.join(listed[:LISTED_MAX])}{more}" if listed else "None is configured"


def _plain(text: str, decimal_comma: bool) -> str:
    plain = text.strip()
    return plain.replace(",", ".") if decimal_comma and plain.count(",") == 1 and "." not in plain else plain
