"""Scale, pure: the specification of `_scale_c.pyx` and its oracle in the tests.

A rule a tag, 32 bytes little-endian: numerator f64, denominator f64, offset f64, raw type u8, neutral u8, 6 unused.
value = raw * numerator / denominator + offset, in float64, with one rounding each: i * 1 / 10 prints like i / 10.
"""

from struct import Struct

from tidegate.model.tag import Type

RULE = Struct("<dddBB6x")
F32, F64, I64, U64, U32 = Struct("<f"), Struct("<d"), Struct("<q"), Struct("<Q"), Struct("<I")
SLOT = 8
BAD = 0x80000000
UNSIGNED = {Type.UINT8, Type.UINT16, Type.UINT32, Type.UINT64}


def scale(tags: bytes, status: bytes, values: bytes, rules: bytes, count: int) -> bytes:
    """The values column with each raw slot turned into its tag's type; constant columns may stay constant.

    `tags` and `status` are u32 columns of `count` items or one, `values` 8-byte slots likewise. A neutral tag's slot
    is copied bit by bit; that of a reading of Bad status becomes zero where its tag is scaled. Raises IndexError for
    a tag that has no rule.
    """
    if len(values) == SLOT and (len(tags) > U32.size or len(status) > U32.size):
        values = values * count
    out = bytearray(values)
    for i in range(len(values) // SLOT):
        tag = U32.unpack_from(tags, 0 if len(tags) == U32.size else i * U32.size)[0]
        if (tag + 1) * RULE.size > len(rules):
            raise IndexError(f"tag {tag} has no rule")
        numerator, denominator, offset, kind, neutral = RULE.unpack_from(rules, tag * RULE.size)
        if neutral:
            continue
        bad = U32.unpack_from(status, 0 if len(status) == U32.size else i * U32.size)[0] >= BAD
        raw = 0.0 if bad else _number(kind, values, i * SLOT)
        F64.pack_into(out, i * SLOT, 0.0 if bad else raw * numerator / denominator + offset)
    return bytes(out)


def _number(kind: int, values: bytes, at: int) -> float:
    if kind == Type.FLOAT64:
        return float(F64.unpack_from(values, at)[0])
    if kind == Type.FLOAT32:
        return float(F32.unpack_from(values, at)[0])
    return float((U64 if kind in UNSIGNED else I64).unpack_from(values, at)[0])
