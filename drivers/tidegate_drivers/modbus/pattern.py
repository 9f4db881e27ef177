"""Patterns of the packets that devices send by themselves, into bytes: texts or hex, with an id in them."""

import re

ID = "{id}"
HEX = "hex:"
PACKET_BYTES_MAX = 128
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
ESCAPES = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def packet(pattern: str, name: str) -> bytes:
    r"""The bytes of `REG,{id}\r\n`, or of `hex:7E {id} 0D`, where the id itself is hex digits.

    Raises ValueError that says what is wrong.
    """
    if pattern.lower().startswith(HEX):
        digits = re.sub(r"\s", "", pattern[len(HEX) :].replace(ID, name))
        try:
            made = bytes.fromhex(digits)
        except ValueError:
            raise ValueError(f"{digits!r} is no even number of hex digits") from None
    else:
        made = _text(pattern).replace(ID.encode(), name.encode())
    if not 0 < len(made) <= PACKET_BYTES_MAX:
        raise ValueError(f"a packet has 1 to {PACKET_BYTES_MAX} bytes, and this is one of {len(made)}")
    return made


def _text(pattern: str) -> bytes:
    made, at = b"", 0
    for found in ESCAPE.finditer(pattern):
        made += pattern[at : found.start()].encode()
        if found[1]:
            made += bytes.fromhex(found[1])
        elif found[2] in ESCAPES:
            made += ESCAPES[found[2]]
        else:
            raise ValueError(f"{found[0]!r} is none of \\r \\n \\t \\0 \\\\ \\x41")
        at = found.end()
    return made + pattern[at:].encode()
