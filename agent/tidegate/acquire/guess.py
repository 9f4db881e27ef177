"""Guesses: what a few registers may hold, in every type and order, and how plausible each is. It asks no machine."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

# How the letters of a value lie on the wire, by its bytes; the words are those of the tag table.
ORDERS = {
    2: ("AB", "BA"),
    4: ("ABCD", "BADC", "CDAB", "DCBA"),
    8: ("ABCDEFGH", "BADCFEHG", "GHEFCDAB", "HGFEDCBA", "EFGHABCD", "FEHGBADC", "CDABGHEF", "DCBAHGFE"),
}
# The words under which the tag table knows the first four of them.
SHORT = {"ABCDEFGH": "ABCD", "BADCFEHG": "BADC", "GHEFCDAB": "CDAB", "HGFEDCBA": "DCBA"}
NUMBERS = {
    2: (("int16", ">h"), ("uint16", ">H")),
    4: (("int32", ">i"), ("uint32", ">I"), ("float32", ">f")),
    8: (("int64", ">q"), ("uint64", ">Q"), ("float64", ">d")),
}
# Below, a float that is not zero is rather an integer taken for one; above, a counter would be an integer.
FLOAT_MIN, FLOAT_MAX = 1e-3, 1e7
# Integers up to here are no accident, by their bytes: with bytes or registers swapped they would be far larger.
SMALL_MAX = {2: 10_000, 4: 1_000_000, 8: 1_000_000_000}
# One register is all decimal digits by accident once in seven times, two are once in forty.
BCD_BYTES_MIN = 4
LETTERS_MIN = 3
EXPECTED_SHARE = 0.05
SCALES = (1.0, 0.1, 0.01, 0.001, 10.0)


@dataclass(frozen=True, slots=True)
class Guess:
    """One way to read registers: the words of the tag table (`scale` empty for 1), the value, and why to believe it.

    `expected` is the share by which it is off what a person expects, None when it is too far off or nobody said.
    """

    type: str
    order: str
    coding: str
    value: int | float | str
    reasons: tuple[str, ...]
    scale: str = ""
    expected: float | None = None

    @property
    def plausible(self) -> bool:
        """Whether any rule speaks for it."""
        return bool(self.reasons)

    @property
    def shown(self) -> str:
        """The value, for people."""
        return f"{self.value:.7g}" if isinstance(self.value, float) else str(self.value)


def guesses(data: bytes, expect: float | None = None) -> list[Guess]:
    """Every reading of whole registers as they came: numbers out of the first 1, 2 and 4, a text of all of them.

    Raises ValueError when these are no whole registers.
    """
    if not data or len(data) % 2:
        raise ValueError(f"{len(data)} bytes are no whole registers of two")
    found = []
    for size, orders in ORDERS.items():
        if size <= len(data):
            for order in orders:
                found += list(_numbers(_in_order(data[:size], order), SHORT.get(order, order), expect))
    return [*found, *_texts(data)]


def best(found: list[Guess]) -> list[Guess]:
    """Those to believe most: what was expected, closest first; else all that is plausible, in the table's order."""
    expected = [guess for guess in found if guess.expected is not None]
    if expected:
        # What needs no scale comes before what needs one: five scales hit by accident five times as often.
        return sorted(expected, key=lambda guess: (guess.scale != "", guess.expected))
    return [guess for guess in found if guess.plausible]


def _in_order(wire: bytes, order: str) -> bytes:
    """The bytes of a value, most significant first."""
    return bytes(wire[order.index(letter)] for letter in sorted(order))


def _numbers(data: bytes, order: str, expect: float | None) -> Iterator[Guess]:
    for kind, code in NUMBERS[len(data)]:
        (value,) = struct.unpack(code, data)
        plain = _float_reasons(value, data) if kind.startswith("float") else _whole_reasons(value, len(data))
        yield _judged(kind, order, "", value, plain, expect)
    digits = data.hex()
    if digits.isdecimal():
        dense = len(data) >= BCD_BYTES_MIN and digits.lstrip("0")
        reasons = ("decimal digits only",) if dense else ()
        yield _judged(f"uint{8 * len(data)}", order, "bcd", int(digits), reasons, expect)


def _whole_reasons(value: int, size: int) -> tuple[str, ...]:
    return ("small",) if 0 < abs(value) <= SMALL_MAX[size] else ()


def _float_reasons(value: float, data: bytes) -> tuple[str, ...]:
    """A denormal number is far below the least of these, and what is not finite is no size."""
    return ("usual size",) if FLOAT_MIN <= abs(value) <= FLOAT_MAX and any(data) else ()


def _judged(
    kind: str, order: str, coding: str, value: int | float, reasons: tuple[str, ...], expect: float | None
) -> Guess:
    if expect is None or not math.isfinite(value):
        return Guess(kind, order, coding, value, reasons)
    for scale in SCALES[:1] if kind.startswith("float") else SCALES:
        off = abs(value * scale - expect)
        if (expect and off <= EXPECTED_SHARE * abs(expect)) or (not expect and value == 0):
            share = off / abs(expect) if expect else 0.0
            word = "" if scale == 1 else f"{scale:g}"
            told = f"near {expect:g}" + (f" with scale {word}" if word else "")
            return Guess(kind, order, coding, value, (told, *reasons), word, share)
    return Guess(kind, order, coding, value, reasons)


def _texts(data: bytes) -> Iterator[Guess]:
    for order, letters in (("AB", data), ("BA", b"".join(data[i : i + 2][::-1] for i in range(0, len(data), 2)))):
        text = letters.partition(b"\0")[0].rstrip(b" ")
        if text and all(0x20 <= letter < 0x7F for letter in text):
            likely = sum(chr(letter).isalnum() for letter in text) >= LETTERS_MIN
            yield Guess("string", order, "", text.decode("ascii"), ("printable",) if likely else ())
