"""Columns of a frame as one JSON object, pure: the specification of `_json_c.pyx` and its oracle in the tests.

It knows columns and types, not what the tags are called, nor anything of messages.
"""

import json
import math
from collections.abc import Sequence
from struct import Struct, error

SAFE_INTEGER = 2**53 - 1
BAD = 0x80000000
BAD_OUT_OF_RANGE = 0x803C0000
BOOL, UINT8, FLOAT32, FLOAT64, STRING = 1, 3, 10, 11, 12
UNSIGNED = (3, 5, 7, 9)
I64, U64, F32, F64, PAIR = Struct("<q"), Struct("<Q"), Struct("<f"), Struct("<d"), Struct("<II")
FLOAT32_DIGITS = 9


def frame(
    head: bytes, tail: bytes, types: bytes, count: int, start: int, stop: int, tags: bytes, source_us: bytes,
    server_us: bytes, status: bytes, values: bytes, side: bytes, listed: bytes = b"",
) -> bytes:  # fmt: skip
    """Readings start..stop of a frame: `head`, then "t", "tags", "v", "st", "ts" as in formats §3, then `tail`.

    `head` begins the object and ends with a comma, `tail` ends it. `types` has one byte a tag. `listed` is the list of
    these tags, where somebody has it: the numbers with commas between. Raises ValueError when a column is neither
    `count` items nor one, or a tag index has no type.
    """
    if not 0 <= start <= stop <= count:
        raise ValueError(f"readings {start}..{stop} of a frame of {count}")
    indexes = _column("I", tags, count, start, stop)
    sources = _column("q", source_us, count, start, stop)
    servers = _column("q", server_us, count, start, stop) if server_us else ()
    codes = list(_column("I", status, count, start, stop))
    slots = [U64.pack(slot) for slot in _column("Q", values, count, start, stop)]
    texts = []
    for i, (index, slot) in enumerate(zip(indexes, slots, strict=True)):
        if index >= len(types):
            raise ValueError(f"tag {index} of a table of {len(types)}")
        text = "null" if codes[i] >= BAD else value(types[index], slot, side)
        if text is None:
            text, codes[i] = "null", BAD_OUT_OF_RANGE
        texts.append(text)
    members = [
        f'"t":{_one_or_list(sources)}',
        f'"tags":[{listed.decode() or ",".join(map(str, indexes))}]',
        f'"v":[{",".join(texts)}]',
    ]
    if any(codes):
        members.append(f'"st":{_one_or_list(codes)}')
    if server_us:
        members.append(f'"ts":{_one_or_list(servers)}')
    return head + ",".join(members).encode() + tail


def value(kind: int, slot: bytes, side: bytes) -> str | None:
    """One value as JSON text; None where JSON has none for it (NaN, infinity)."""
    if kind == FLOAT32:
        single = F32.unpack_from(slot)[0]
        return float32_text(single) if math.isfinite(single) else None
    if kind == FLOAT64:
        double = F64.unpack(slot)[0]
        return repr(double) if math.isfinite(double) else None
    if kind == STRING:
        offset, length = PAIR.unpack(slot)
        return json.dumps(side[offset : offset + length].decode("utf-8", "replace"), ensure_ascii=False)
    if kind == BOOL:
        return "true" if any(slot) else "false"
    whole = (U64 if kind in UNSIGNED else I64).unpack(slot)[0]
    return f'"{whole}"' if abs(whole) > SAFE_INTEGER else str(whole)


def float32_text(single: float) -> str:
    """The shortest text that gives a finite float32 back when it is read as a double and rounded to single precision.

    Of two texts of the same length it is the nearer one; it is written like Python's repr of a float.
    """
    if single == 0:
        return repr(single)
    exact = F32.pack(single)
    for digits in range(FLOAT32_DIGITS):
        near = f"{single:.{digits}e}"
        for text in (near, _next_up(near, digits)):
            if _packed(text) == exact:
                return repr(float(text))
    raise AssertionError("nine digits give every float32 back")


def _next_up(text: str, digits: int) -> str:
    """The next number away from zero with as many digits: below a power of two, floats lie closer than above it."""
    mantissa, exponent = text.split("e")
    sign = "-" if mantissa.startswith("-") else ""
    more = int(mantissa.lstrip("-").replace(".", "")) + 1
    return f"{sign}{more}e{int(exponent) - digits}"


def _packed(text: str) -> bytes:
    try:
        return F32.pack(float(text))
    except OverflowError:
        return b""


def _column(item: str, column: bytes, count: int, start: int, stop: int) -> tuple[int, ...]:
    """The items start..stop of a column that may be constant."""
    one = Struct("<" + item)
    if len(column) == one.size and count > 1:
        return one.unpack(column) * (stop - start)
    try:
        return Struct(f"<{count}{item}").unpack(column)[start:stop]
    except error:
        raise ValueError(f"a column of {len(column)} bytes for {count} readings") from None


def _one_or_list(items: Sequence[int]) -> str:
    if items and all(item == items[0] for item in items):
        return str(items[0])
    return f"[{','.join(map(str, items))}]"
