"""Points: where a tag lies on the wire, and how what lies there is read."""

from dataclasses import dataclass
from datetime import tzinfo
from enum import IntEnum

from tidegate.model.tag import Type
from tidegate_drivers.modbus.dates import Layout

# Modbus Application Protocol Specification V1.1b3, §4.4.
ADDRESS_MAX = 0xFFFF
# The most of one request, §6.1 to §6.4 there.
REGISTERS_MAX = 125
BITS_MAX = 2000


class Function(IntEnum):
    """The four kinds of Modbus data, by the function code that reads them."""

    COIL = 1
    DISCRETE = 2
    HOLDING = 3
    INPUT = 4

    @property
    def word(self) -> str:
        """How it is written in tag tables: `holding`."""
        return self.name.lower()

    @property
    def of_bits(self) -> bool:
        """Whether one address holds one bit, instead of a register of 16."""
        return self <= Function.DISCRETE


FUNCTIONS = {function.word: function for function in Function}
PREFIXES = {"HR": Function.HOLDING, "IR": Function.INPUT, "CO": Function.COIL, "DI": Function.DISCRETE}
MODICON = {"0": Function.COIL, "1": Function.DISCRETE, "3": Function.INPUT, "4": Function.HOLDING}

# The encodings of texts, as Python calls them. UTF-16 the other way round is its bytes swapped.
UTF8, UTF16 = "utf-8", "utf-16-be"
ENCODINGS = {"utf-8": UTF8, "latin-1": "latin-1", "gbk": "gbk", "gb18030": "gb18030", "utf-16be": UTF16}

# The same four for every width: bit 0 swaps the two bytes of each register, bit 1 the order of the registers. Bit 2
# swaps the halves of four registers, which is what devices do that keep a 64-bit number as two of 32.
SWAP_BYTES, SWAP_REGISTERS, SWAP_HALVES = 1, 2, 4
ORDERS = {
    "ABCD": 0, "BADC": SWAP_BYTES, "CDAB": SWAP_REGISTERS, "DCBA": SWAP_BYTES | SWAP_REGISTERS,
    "AB": 0, "BA": SWAP_BYTES,
    "ABCDEFGH": 0, "BADCFEHG": SWAP_BYTES, "GHEFCDAB": SWAP_REGISTERS, "HGFEDCBA": SWAP_BYTES | SWAP_REGISTERS,
    "EFGHABCD": SWAP_HALVES, "FEHGBADC": SWAP_HALVES | SWAP_BYTES, "CDABGHEF": SWAP_HALVES | SWAP_REGISTERS,
    "DCBAHGFE": SWAP_HALVES | SWAP_REGISTERS | SWAP_BYTES,
}  # fmt: skip
ORDER_WORDS = ("ABCD", "BADC", "CDAB", "DCBA", "EFGHABCD", "FEHGBADC", "CDABGHEF", "DCBAHGFE")

WIDTH_REGISTERS = {
    Type.BOOL: 1, Type.INT8: 1, Type.UINT8: 1, Type.INT16: 1, Type.UINT16: 1, Type.INT32: 2, Type.UINT32: 2,
    Type.INT64: 4, Type.UINT64: 4, Type.FLOAT32: 2, Type.FLOAT64: 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Absent:
    """A raw value that means "not available": the bits of its slot, None for whatever is no number, and its text."""

    bits: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Point:
    """Where a tag lies: `size` registers (or bits) from wire address `address` on, and how to read them.

    `order` holds the swap bits; `bit` (0 = least significant) is of one register; `length` is a string's, in bytes;
    `absent` are the raw values that mean "not available"; `bcd`: each nibble is a decimal digit;
    `encoding` is a string's; `layout` is a date-time's, and `zone` the place that its clock shows the time of.
    """

    function: Function
    address: int
    size: int
    kind: Type
    order: int = 0
    bit: int | None = None
    length: int = 0
    absent: tuple[Absent, ...] = ()
    bcd: bool = False
    encoding: str = UTF8
    layout: Layout | None = None
    zone: tzinfo | None = None

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.size

    def __str__(self) -> str:
        place = f"{self.function.word} 0x{self.address:04X}"
        if self.function.of_bits:
            return f"{place}, 1 bit"
        if self.bit is not None:
            return f"{place}, bit {self.bit}"
        registers = f"{self.size} register{'s' if self.size > 1 else ''}"
        if self.layout is not None:
            place_of = f" in {self.zone}" if self.zone is not None and self.layout.local else ""
            return f"{place}, {registers}, date-time {self.layout.word}{place_of}"
        if self.kind == Type.STRING:
            swapped = ", bytes swapped" if self.order & SWAP_BYTES else ""
            encoding = "" if self.encoding == UTF8 else f" in {self.encoding}"
            return f"{place}, {registers}, string of {self.length} bytes{encoding}{swapped}"
        order = f" {ORDER_WORDS[self.order]}"
        if self.size == 1:
            order = " BA" if self.order & SWAP_BYTES else ""
        return f"{place}, {registers}, {self.kind.word}{order}{self._described()}"

    def _described(self) -> str:
        """How the number is read further, for whoever wants to see it."""
        absent = f", na {' '.join(one.text for one in self.absent)}" if self.absent else ""
        return (", BCD" if self.bcd else "") + absent
