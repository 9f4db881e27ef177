"""Identity: what to ask a device that may be anything, what answer tells a model, and how its firmware is read.

Every question only reads. Of Modbus: function 43/14 (device identification), 17 (report server id), 3 and 4
(registers), and the SunSpec marker with its first model; of OPC UA: the nameplate of a machine. It knows no connection:
who asks gives the answers in.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

PLACE = re.compile(r"(holding|input)\s+(0x[0-9a-f]{1,4}|\d{1,5})", re.IGNORECASE)
FUNCTIONS = {"holding": 3, "input": 4}
REGISTERS_MAX = 125
ADDRESS_MAX = 0xFFFF
# Where a SunSpec map may begin, most likely first, and the two registers "SunS" that it begins with.
SUNSPEC_BASES = (40_000, 0, 50_000)
SUNSPEC_MARKER = (0x5375, 0x6E53)


class Ask(StrEnum):
    """What is asked."""

    DEVICE_ID = "device id"
    SERVER_ID = "server id"
    REGISTERS = "registers"
    SUNSPEC = "sunspec"
    MACHINE = "machine"


# The parts of each answer that a pattern may be given for.
FIELDS = {
    Ask.DEVICE_ID: ("vendor", "product", "revision"),
    Ask.SERVER_ID: ("answer",),
    Ask.REGISTERS: ("answer",),
    Ask.SUNSPEC: ("vendor", "product", "revision"),
    Ask.MACHINE: ("type", "vendor", "product", "revision"),
}


class Kind(StrEnum):
    """How registers are read as text: 1.4.2 is three registers `dotted`, four `bytes`, or one of 4, 4 and 8 bits."""

    UINT16 = "uint16"
    UINT32 = "uint32"
    STRING = "string"
    DOTTED = "dotted"
    BYTES = "bytes"
    NIBBLES = "nibbles"


COUNTS = {Kind.UINT16: 1, Kind.UINT32: 2, Kind.NIBBLES: 1}


@dataclass(frozen=True, slots=True)
class Place:
    """Registers that hold something about the device: the function that reads them, wire address, how many."""

    function: int
    address: int
    kind: Kind
    count: int

    def __str__(self) -> str:
        word = next(word for word, function in FUNCTIONS.items() if function == self.function)
        registers = "1 register" if self.count == 1 else f"{self.count} registers"
        return f"{word} 0x{self.address:04X} ({self.kind.value}, {registers})"

    def text(self, words: Sequence[int]) -> str:
        """What these registers say; "" when they are not text. A string ends at its first NUL."""
        data = b"".join(word.to_bytes(2, "big") for word in words)
        if self.kind == Kind.STRING:
            return data.partition(b"\0")[0].decode("utf-8", "replace").strip()
        if self.kind == Kind.BYTES:
            return ".".join(str(byte) for byte in data)
        if self.kind == Kind.NIBBLES:
            return f"{words[0] >> 12}.{words[0] >> 8 & 0xF}.{words[0] & 0xFF}"
        if self.kind == Kind.UINT32:
            return str(int.from_bytes(data, "big"))
        return ".".join(str(word) for word in words)

    def words(self, text: str) -> tuple[int, ...]:
        """Registers that say this text, as far as it fits: what a simulated device holds."""
        numbers = [int(number) for number in re.findall(r"\d+", text)] + [0] * (2 * self.count)
        if self.kind == Kind.NIBBLES:
            return ((numbers[0] & 0xF) << 12 | (numbers[1] & 0xF) << 8 | numbers[2] & 0xFF,)
        if self.kind in (Kind.DOTTED, Kind.UINT16):
            return tuple(number & 0xFFFF for number in numbers[: self.count])
        if self.kind == Kind.UINT32:
            data = (numbers[0] & 0xFFFF_FFFF).to_bytes(4, "big")
        elif self.kind == Kind.BYTES:
            data = bytes(number & 0xFF for number in numbers[: 2 * self.count])
        else:
            data = text.encode()[: 2 * self.count].ljust(2 * self.count, b"\0")
        return tuple(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))

    @classmethod
    def parse(cls, at: str, kind: str, length: int) -> "Place":
        """The place of `holding 0x0302`, a kind, and for a string its bytes, for `dotted` and `bytes` its parts.

        Raises ValueError that says what is wrong.
        """
        matched = PLACE.fullmatch(at.strip())
        if matched is None:
            raise ValueError(f"{at!r} is no place: write holding 0x0302 or input 11, as on the wire")
        if kind not in list(Kind):
            raise ValueError(f"{kind!r} is no type here: choose one of {', '.join(Kind)}")
        how = Kind(kind)
        parts_of_one = 1 if how == Kind.DOTTED else 2
        count = COUNTS.get(how) or (length + parts_of_one - 1) // parts_of_one
        if not 1 <= count <= REGISTERS_MAX:
            raise ValueError(f"a {kind} needs its length, at most {REGISTERS_MAX} registers")
        address = int(matched[2], 16 if matched[2][:2].lower() == "0x" else 10)
        if address + count - 1 > ADDRESS_MAX:
            raise ValueError(f"{at} ends behind 0x{ADDRESS_MAX:04X}")
        return cls(FUNCTIONS[matched[1].lower()], address, how, count)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one part of an answer must be like: any of the patterns, in which * stands for anything, in any case."""

    field: str
    patterns: tuple[str, ...]

    @property
    def example(self) -> str:
        """A text that fits."""
        return self.patterns[0].replace("*", "").replace("?", "1")

    def fits(self, text: str) -> bool:
        """Whether a text is like one of them."""
        return any(fnmatchcase(text.lower(), pattern.lower()) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Step:
    """One question, and what its answer must be for the device to be of this profile.

    `place` is where registers are asked; `firmware` where its firmware is read once the step fits, and without it
    the revision that came with the answer is the firmware. `version` is a pattern whose first group is the version
    within what was read.
    """

    ask: Ask
    wanted: tuple[Wanted, ...]
    place: Place | None = None
    firmware: Place | None = None
    version: str = ""

    def fits(self, said: Mapping[str, str]) -> bool:
        """Whether an answer, by its parts, is one of this profile's devices."""
        return all(wanted.fits(said[wanted.field]) if wanted.field in said else False for wanted in self.wanted)

    def firmware_of(self, text: str) -> str:
        """The version within what was read; "" when it is none."""
        if not self.version:
            return text.strip()
        found = re.search(self.version, text)
        return found[1].strip() if found and found[1] else ""
