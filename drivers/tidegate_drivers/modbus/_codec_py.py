"""Registers and bits into value slots, pure: the specification of `_codec_c.pyx` and its oracle in the tests.

A step is 8 bytes: slot u32, place u16, code u8, bit u8. The low four bits of the code say what lies at the place, bit
4 swaps the bytes of each register, bit 5 the order of the registers, bit 6 the halves of four registers. The place
counts bytes of the block, or bits for BIT. Registers come big-endian (Modbus Application Protocol V1.1b3, §4.2), bits
least significant first (§6.1).
"""

from struct import Struct

STEP = Struct("<IHBB")
SLOT_BYTES = 8

BIT, REGISTER_BIT, TRUTH, INT8, UINT8, INT16, UINT16, INT32, UINT32, WIDE = range(10)
SWAP_BYTES, SWAP_REGISTERS, SWAP_HALVES = 0x10, 0x20, 0x40

WIDTH_BYTES = (1, 2, 2, 2, 2, 2, 2, 4, 4, 8)
SIGNED = (INT8, INT16, INT32)


def decode(block: bytes, steps: bytes, values: bytearray) -> None:
    """Fill the slots of `values` that the steps name from the data bytes of one reply.

    A float32 is taken as the 4 bytes of an unsigned integer, a float64, int64 and uint64 as their 8 (WIDE), so that
    every bit is kept. Raises ValueError for a step that leads outside of block or values, or that is none.
    """
    if len(steps) % STEP.size:
        raise ValueError("steps are 8 bytes each")
    for slot, place, code, bit in STEP.iter_unpack(steps):
        what = code & 0x0F
        if what > WIDE or bit > 15:
            raise ValueError(f"no step: code {code}, bit {bit}")
        start = place // 8 if what == BIT else place
        end = start + WIDTH_BYTES[what]
        if end > len(block):
            raise ValueError("a step leads outside of the block")
        at = slot * SLOT_BYTES
        if at + SLOT_BYTES > len(values):
            raise ValueError("a step leads outside of the values")
        if what == BIT:
            what, bit, data = REGISTER_BIT, place % 8, block[start:end]
        else:
            data = in_order(block[start:end], code)
        number = _number(data, what, bit)
        values[at : at + SLOT_BYTES] = number.to_bytes(SLOT_BYTES, "little", signed=number < 0)


def in_order(data: bytes, code: int) -> bytes:
    """The registers with their bytes and their order put right: big-endian as a whole."""
    registers = [data[i : i + 2] for i in range(0, len(data), 2)]
    if code & SWAP_BYTES:
        registers = [register[::-1] for register in registers]
    if code & SWAP_REGISTERS:
        registers.reverse()
    if code & SWAP_HALVES and len(registers) == 4:
        registers = registers[2:] + registers[:2]
    return b"".join(registers)


def _number(data: bytes, what: int, bit: int) -> int:
    number = int.from_bytes(data[-1:] if what in (INT8, UINT8) else data, "big", signed=what in SIGNED)
    if what == REGISTER_BIT:
        return number >> bit & 1
    return int(number != 0) if what == TRUTH else number
