"""Date-times: the clock that registers hold, in the layouts that devices have, into µs UTC.

iec870    year from 2000 (7 bits) · month (8..11), day (0..4) · summer (15), hour (8..12), invalid (7), minute (0..5)
          · ms of the minute. IEC 60870-5-4 as Schneider, Siemens and others have it in four registers (TI081)
unix32    seconds since 1970 UTC; unix64 the same in four registers, unix_ms in milliseconds
local32   seconds since 1970 by the clock on the wall, as Huawei's inverters count
YM Dh ms  a pattern: a register for each word; of two letters, the first is the upper byte
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from struct import Struct

from tidegate.model.frame import I64
from tidegate.model.status import BAD_DECODING_ERROR, BAD_NO_DATA, GOOD, UNCERTAIN

PREFIX = "datetime:"
HOW_TO_WRITE = (
    "Write datetime: and iec870, unix32, unix64, unix_ms, local32, or a word for each register: `YM Dh ms` or "
    "`Y M D h m s`, with f for milliseconds, - for what is none of it, and bcd before it for decimal digits"
)
PATTERN_REGISTERS_MAX = 10

EPOCH = datetime(1970, 1, 1)
MICROSECOND = timedelta(microseconds=1)
WORDS4 = Struct(">4H")
SLOT_MAX = 2**63 - 1
# A year of at most two digits is of this century.
CENTURY, CENTURY_YEARS = 2000, 100

# µs of one, by the letter of what counts parts of a minute or second: s, hundredths, ms, ms of the whole minute.
SMALL_US = {"s": 1_000_000, "c": 10_000, "f": 1_000, "F": 1_000}
LETTERS = "YMDhm" + "".join(SMALL_US)
NEEDED = "YMD"
_WORD = re.compile(rf"[{LETTERS}-]{{1,2}}")


@dataclass(frozen=True, slots=True)
class Layout:
    """How a date-time lies in `size` registers: a count of `unit_us` since 1970, `fields`, or IEC 870 if neither.

    `fields` is, by letter, the first byte and how many. `word` is how it is written; `local`: of a place.
    """

    word: str
    size: int
    unit_us: int = 0
    fields: tuple[tuple[str, int, int], ...] = ()
    bcd: bool = False
    local: bool = True


NAMED = {
    "iec870": Layout("iec870", 4),
    "unix32": Layout("unix32", 2, 1_000_000, local=False),
    "unix64": Layout("unix64", 4, 1_000_000, local=False),
    "unix_ms": Layout("unix_ms", 4, 1_000, local=False),
    "local32": Layout("local32", 2, 1_000_000),
}


@dataclass(frozen=True, slots=True)
class _Told:
    """What a clock shows. `summer`: it says itself that this is summer time."""

    moment: datetime
    summer: bool = False


def parse_layout(text: str) -> Layout:
    """The layout of what stands behind `datetime:`. Raises ValueError that says what is wrong with it."""
    named = NAMED.get(text.strip().lower())
    if named is not None:
        return named
    words = text.split()
    bcd = words[:1] == ["bcd"]
    words = words[1:] if bcd else words
    if not words or len(words) > PATTERN_REGISTERS_MAX or not all(_WORD.fullmatch(word) for word in words):
        raise ValueError(f"{text.strip()!r} is no layout of a date-time")
    fields = []
    for register, word in enumerate(words):
        width = 2 // len(word)
        fields += [(letter, 2 * register + at * width, width) for at, letter in enumerate(word) if letter != "-"]
    letters = [letter for letter, _, _ in fields]
    twice = [letter for letter in letters if letters.count(letter) > 1]
    if twice:
        raise ValueError(f"{text.strip()!r} has {twice[0]} twice")
    missing = [letter for letter in NEEDED if letter not in letters]
    if missing:
        raise ValueError(f"{text.strip()!r} has no {missing[0]}")
    if "F" in letters and "s" in letters:
        raise ValueError(f"{text.strip()!r} has seconds twice: F is milliseconds of the whole minute, f of the second")
    return Layout(text.strip(), len(words), 0, tuple(fields), bcd)


def decode_time(data: bytes, layout: Layout, zone: tzinfo | None, values: bytearray, slot: int) -> int:
    """Put the date-time of these bytes, in order, into its slot as µs since 1970 UTC; the status of that.

    BadDecodingError, and the slot stays zero, where it is no date (month 0, 30 February), BadNoData where the clock
    says itself that it is not set. Uncertain where its place has that time twice, as clocks are put back, and then
    the first is taken; or never, as they are put forward.
    """
    if not layout.local:
        since = int.from_bytes(data, "big") * layout.unit_us
        if since > SLOT_MAX:
            return BAD_DECODING_ERROR
        I64.pack_into(values, slot * I64.size, since)
        return GOOD
    try:
        told = _told(data, layout)
        if told is None:
            return BAD_NO_DATA
        us, status = _in_utc(told, zone)
    except (ValueError, OverflowError):
        return BAD_DECODING_ERROR
    I64.pack_into(values, slot * I64.size, us)
    return status


def _told(data: bytes, layout: Layout) -> _Told | None:
    """What the clock shows; None where it says that it is not set. Raises ValueError for what is no date."""
    if layout.unit_us:
        return _Told(EPOCH + int.from_bytes(data, "big") * layout.unit_us * MICROSECOND)
    return _fields(data, layout) if layout.fields else _iec870(data)


def _iec870(data: bytes) -> _Told | None:
    year, day, hour, ms = WORDS4.unpack(data)
    if hour & 0x80:
        return None
    second, ms = divmod(ms, 1000)
    moment = datetime(
        CENTURY + (year & 0x7F), day >> 8 & 0x0F, day & 0x1F, hour >> 8 & 0x1F, hour & 0x3F, second, ms * 1000
    )
    return _Told(moment, bool(hour & 0x8000))


def _fields(data: bytes, layout: Layout) -> _Told:
    found = {letter: _number(data[at : at + width], layout.bcd) for letter, at, width in layout.fields}
    year = found["Y"] + (CENTURY if found["Y"] < CENTURY_YEARS else 0)
    moment = datetime(year, found["M"], found["D"], found.get("h", 0), found.get("m", 0))
    return _Told(moment + _small(found) * MICROSECOND)


def _small(found: Mapping[str, int]) -> int:
    """Seconds and their parts, in µs. Raises ValueError where they are more than there can be."""
    if found.get("s", 0) > 59 or found.get("c", 0) > 99 or found.get("f", 0) > 999 or found.get("F", 0) > 59_999:
        raise ValueError("a minute has 60 seconds")
    return sum(found.get(letter, 0) * us for letter, us in SMALL_US.items())


def _number(data: bytes, bcd: bool) -> int:
    return int(data.hex()) if bcd else int.from_bytes(data, "big")


def _in_utc(told: _Told, zone: tzinfo | None) -> tuple[int, int]:
    """µs since 1970 UTC, and how sure that is."""
    if zone is None:
        raise ValueError("a clock of no place")
    first = told.moment.replace(tzinfo=zone, fold=0).utcoffset()
    second = told.moment.replace(tzinfo=zone, fold=1).utcoffset()
    if first is None or second is None:
        raise ValueError("a place without a time")
    sure = first == second or (told.summer and first > second)
    return (told.moment - EPOCH - first) // MICROSECOND, GOOD if sure else UNCERTAIN
