"""A second look at raw slots, pure: the specification of `_refine_c.pyx` and its oracle in the tests.

A rule is 16 bytes, little-endian: slot u32, code u8, 3 unused, bits u64. EQUAL strikes where the slot has just these
bits, NAN32 and NAN64 where it is a float that is no number, whatever its bits. BCD makes a number of the digits that
are the slot's 16 nibbles, and strikes where one of them is no digit. Only tags that ask for it have a rule.
"""

from struct import Struct

RULE = Struct("<IB3xQ")
SLOT = Struct("<Q")

EQUAL, NAN32, NAN64, BCD = range(4)

EXPONENT32, FRACTION32 = 0x7F800000, 0x007FFFFF
EXPONENT64, FRACTION64 = 0x7FF0000000000000, 0x000FFFFFFFFFFFFF


def refine(values: bytearray, rules: bytes) -> list[int]:
    """The numbers of the rules that struck, counted from 0; what is in their slots becomes zero.

    Raises ValueError for a rule that leads outside of the values, or that is none.
    """
    if len(rules) % RULE.size:
        raise ValueError("rules are 16 bytes each")
    struck = []
    for number, (slot, code, bits) in enumerate(RULE.iter_unpack(rules)):
        at = slot * SLOT.size
        if code > BCD:
            raise ValueError(f"no rule: code {code}")
        if at + SLOT.size > len(values):
            raise ValueError("a rule leads outside of the values")
        found = SLOT.unpack_from(values, at)[0]
        if code == EQUAL:
            strikes = found == bits
        elif code == NAN32:
            strikes = found & EXPONENT32 == EXPONENT32 and found & FRACTION32 != 0
        elif code == BCD:
            digits = f"{found:x}"
            strikes = not digits.isdecimal()
            if not strikes:
                SLOT.pack_into(values, at, int(digits))
        else:
            strikes = found & EXPONENT64 == EXPONENT64 and found & FRACTION64 != 0
        if strikes:
            SLOT.pack_into(values, at, 0)
            struck.append(number)
    return struck
