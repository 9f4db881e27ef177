"""Report by exception, pure: the specification of `_deadband_c.pyx` and its oracle in the tests.

A rule a tag, 24 bytes little-endian: deadband f64 (NaN = report every reading, 0 = every change), heartbeat µs i64
(0 = none), type u8, 7 unused. The memory beside it, 32 bytes a tag: what was last reported: value or hash of a
string u64, monotonic µs i64 (-1 = nothing was); when the tag was last seen, monotonic µs i64; status u32, 4 unused.
"""

import math
from struct import Struct

from tidegate.model.tag import Type

RULE = Struct("<dqB7x")
MEMORY = Struct("<QqqI4x")
F32, F64, I64, U64, U32, PAIR = (Struct("<" + f) for f in ("f", "d", "q", "Q", "I", "II"))
NEVER = -1
UNSIGNED = {Type.UINT8, Type.UINT16, Type.UINT32, Type.UINT64}
FNV_OFFSET, FNV_PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def fresh(tags: int) -> bytearray:
    """A memory that has reported nothing."""
    return bytearray(MEMORY.pack(0, NEVER, 0, 0) * tags)


def select(
    tags: bytes, status: bytes, values: bytes, side: bytes, rules: bytes, memory: bytearray, mono_us: int, count: int
) -> bytes:
    """Which readings are worth reporting: their positions as u32, rising; `memory` is brought up to date.

    A reading is reported when its tag has no deadband, was never reported, changed its status, moved by more than
    the deadband, or when waiting for the next one would overstep its heartbeat: that one is expected as much later as
    this one came after the last. Raises IndexError for a tag that has no rule or a string outside `side`.
    """
    kept = bytearray()
    for i in range(count):
        tag = U32.unpack_from(tags, 0 if len(tags) == 4 else 4 * i)[0]
        if tag >= min(len(rules) // RULE.size, len(memory) // MEMORY.size):
            raise IndexError(f"tag {tag} has no rule")
        code = U32.unpack_from(status, 0 if len(status) == 4 else 4 * i)[0]
        band, heartbeat_us, kind = RULE.unpack_from(rules, tag * RULE.size)
        slot = U64.unpack_from(values, 0 if len(values) == 8 else 8 * i)[0]
        if kind == Type.STRING:
            slot = _hash(slot, side)
        last, at, seen, last_code = MEMORY.unpack_from(memory, tag * MEMORY.size)
        due = heartbeat_us > 0 and mono_us - at + mono_us - seen > heartbeat_us
        if math.isnan(band) or at == NEVER or code != last_code or due or _moved(kind, slot, last, band):
            kept += U32.pack(i)
            last, at, last_code = slot, mono_us, code
        MEMORY.pack_into(memory, tag * MEMORY.size, last, at, mono_us, last_code)
    return bytes(kept)


def take(column: bytes, kept: bytes, width: int) -> bytes:
    """The items of a column at these positions; a constant column stays. Raises IndexError beyond its end."""
    if len(column) <= width:
        return column
    out = bytearray()
    for (i,) in U32.iter_unpack(kept):
        if (i + 1) * width > len(column):
            raise IndexError(f"no item {i}")
        out += column[i * width : (i + 1) * width]
    return bytes(out)


def _moved(kind: int, slot: int, last: int, band: float) -> bool:
    """Whether a value left the band around another. A band of 0 is left by every change, of a zero's sign too."""
    if slot == last:
        return False
    if band <= 0 or kind == Type.STRING or kind == Type.BOOL:
        return True
    if kind in (Type.FLOAT32, Type.FLOAT64):
        step = abs(_float(kind, slot) - _float(kind, last))
        return math.isnan(step) or step > band
    if kind in UNSIGNED:
        return abs(slot - last) > band
    return bool(abs(I64.unpack(U64.pack(slot))[0] - I64.unpack(U64.pack(last))[0]) > band)


def _float(kind: int, slot: int) -> float:
    return float((F32 if kind == Type.FLOAT32 else F64).unpack_from(U64.pack(slot))[0])


def _hash(slot: int, side: bytes) -> int:
    """FNV-1a, 64 bits, of the string that a slot points to."""
    offset, length = slot & 0xFFFFFFFF, slot >> 32
    if offset + length > len(side):
        raise IndexError("a string lies outside the side bytes")
    value = FNV_OFFSET
    for byte in side[offset : offset + length]:
        value = (value ^ byte) * FNV_PRIME & MASK
    return value
