"""Steps of the decoder for points, and strings; chooses the twin that decodes. It knows no requests and no sockets."""

from typing import TYPE_CHECKING

from tidegate.model.frame import PAIR
from tidegate.model.status import BAD_DECODING_ERROR, BAD_NO_DATA
from tidegate.model.tag import Type
from tidegate.twins import choose
from tidegate_drivers.modbus import _codec_py as codes
from tidegate_drivers.modbus import _refine_py as refining
from tidegate_drivers.modbus.dates import decode_time
from tidegate_drivers.modbus.point import SWAP_BYTES, SWAP_HALVES, SWAP_REGISTERS, UTF16, Point

if TYPE_CHECKING:
    from tidegate_drivers.modbus import _codec_py as twin
    from tidegate_drivers.modbus import _refine_py as refiner
else:
    twin = choose("tidegate_drivers.modbus._codec")
    refiner = choose("tidegate_drivers.modbus._refine")

# decode(block, steps, values): see _codec_py.py.
decode = twin.decode
# refine(values, rules): see _refine_py.py.
refine = refiner.refine

CODES = {
    Type.BOOL: codes.TRUTH, Type.INT8: codes.INT8, Type.UINT8: codes.UINT8, Type.INT16: codes.INT16,
    Type.UINT16: codes.UINT16, Type.INT32: codes.INT32, Type.UINT32: codes.UINT32, Type.FLOAT32: codes.UINT32,
    Type.INT64: codes.WIDE, Type.UINT64: codes.WIDE, Type.FLOAT64: codes.WIDE,
}  # fmt: skip


def step(slot: int, point: Point, start: int) -> bytes:
    """The step that decodes a point out of a reply that begins at wire address `start`. Strings have none."""
    if point.function.of_bits:
        return codes.STEP.pack(slot, point.address - start, codes.BIT, 0)
    code = CODES[point.kind] if point.bit is None else codes.REGISTER_BIT
    code |= codes.SWAP_BYTES if point.order & SWAP_BYTES else 0
    code |= codes.SWAP_REGISTERS if point.order & SWAP_REGISTERS else 0
    code |= codes.SWAP_HALVES if point.order & SWAP_HALVES else 0
    return codes.STEP.pack(slot, 2 * (point.address - start), code, point.bit or 0)


def rules(slot: int, point: Point) -> list[tuple[bytes, int]]:
    """The refiner's rules for a point, each with the status of a reading that it strikes.

    BadNoData: the device answered rightly, and what it said is that it has no value. Nothing failed that a person
    could mend: not the sensor, not the device, not the line. BadDecodingError: a nibble of a BCD number is no digit.
    """
    nan = refining.NAN64 if point.kind == Type.FLOAT64 else refining.NAN32
    found = [
        (refining.RULE.pack(slot, nan if one.bits is None else refining.EQUAL, one.bits or 0), BAD_NO_DATA)
        for one in point.absent
    ]
    # Last, so that what means "not available" may be made of nibbles that are no digits.
    return [*found, (refining.RULE.pack(slot, refining.BCD, 0), BAD_DECODING_ERROR)] if point.bcd else found


def decode_clock(block: bytes, place: int, point: Point, values: bytearray, slot: int) -> int:
    """Put a date-time into its slot; the status of that. See dates.py."""
    if point.layout is None:
        raise ValueError("no date-time")
    data = block[place : place + 2 * point.size]
    if point.order:
        code = codes.SWAP_BYTES if point.order & SWAP_BYTES else 0
        code |= codes.SWAP_REGISTERS if point.order & SWAP_REGISTERS else 0
        data = codes.in_order(data, code | (codes.SWAP_HALVES if point.order & SWAP_HALVES else 0))
    return decode_time(data, point.layout, point.zone, values, slot)


def decode_text(block: bytes, place: int, point: Point, values: bytearray, slot: int, side: bytearray) -> bool:
    """Put a string into its slot and, as UTF-8, the side bytes; False, and the slot stays zero, when it is no text.

    A string ends at its first NUL, and the blanks that fill it up are no part of it. Only the bytes within registers
    are ever swapped: a string has no register order.
    """
    data = block[place : place + 2 * point.size]
    if point.order & SWAP_BYTES:
        data = codes.in_order(data, codes.SWAP_BYTES)
    data = data[: point.length]
    try:
        if point.encoding == UTF16:
            units = [data[i : i + 2] for i in range(0, len(data), 2)]
            data = b"".join(units[: units.index(b"\0\0")] if b"\0\0" in units else units)
            text = data.decode(UTF16).rstrip(" ").encode()
        else:
            # In none of these is a NUL or a blank a part of a letter of several bytes.
            text = data.partition(b"\0")[0].rstrip(b" ")
            text = text.decode(point.encoding).encode()
    except UnicodeError:
        return False
    PAIR.pack_into(values, slot * PAIR.size, len(side), len(text))
    side += text
    return True
