"""What was heard on a line, as records that print themselves. They know not how it was found."""

from dataclasses import dataclass
from enum import StrEnum

from tidegate_drivers.modbus.link import EXCEPTIONS
from tidegate_drivers.modbus.point import FUNCTIONS

READS = {int(function): word for word, function in FUNCTIONS.items()}
WRITES = {5: "coil", 6: "holding", 15: "coil", 16: "holding"}
OTHERS = {
    7: "exception status", 8: "diagnostics", 11: "event counter", 12: "event log", 17: "server id", 20: "read file",
    21: "write file", 22: "mask write", 23: "read and write", 24: "read queue", 43: "device id",
}  # fmt: skip
EXCEPTION_FLAG = 0x80
# What is shown of bytes that are no frame.
SHOWN_BYTES = 32


class Kind(StrEnum):
    """What a frame is."""

    QUESTION = "question"
    REPLY = "reply"
    EXCEPTION = "exception"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose checksum is right: `data` is what lies between function and checksum.

    Times are seconds of one clock: `at_s` when its first bytes came, `end_s` when its last had come. `answer_s` is how
    long after its question a reply began, None when that was not heard.
    """

    at_s: float
    end_s: float
    kind: Kind
    unit: int
    function: int
    data: bytes
    answer_s: float | None = None

    @property
    def code(self) -> int:
        """The function that it is about, also of an exception."""
        return self.function & ~EXCEPTION_FLAG

    def __str__(self) -> str:
        took = "" if self.answer_s is None else f"  after {self.answer_s * 1000:.1f} ms"
        head = f"{self.at_s:10.3f}  unit {self.unit:<3}  {self.kind.value:<9}  {self.code:>2} "
        return f"{head} {self._what()}{took}"

    def _what(self) -> str:
        data, words = self.data, READS.get(self.code) or WRITES.get(self.code)
        if self.kind is Kind.EXCEPTION:
            return f"exception {data[0]}, {EXCEPTIONS.get(data[0], 'unknown')}"
        if self.kind is Kind.OTHER:
            return f"{OTHERS.get(self.code, 'unknown function')} {data.hex(' ')}"
        if words and len(data) >= 4 and (self.kind is Kind.QUESTION or self.code in WRITES):
            address, count = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
            if self.code in (5, 6):
                return f"write {words} 0x{address:04X} = {data[2:4].hex().upper()}"
            verb = "write" if self.code in WRITES else "read"
            values = f" = {data[5:].hex(' ', 2).upper()}" if len(data) > 5 else ""
            return f"{verb} {words} 0x{address:04X}, {count}{values}"
        if words and data:
            return f"{words} {data[1:].hex(' ', 2).upper()}"
        return f"{OTHERS.get(self.code, 'function')} {data.hex(' ').upper()}".rstrip()


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no frame: `size` of them, the first in `data`. `unit` when they look like its frame, damaged."""

    at_s: float
    data: bytes
    size: int
    unit: int | None = None

    def __str__(self) -> str:
        more = f" and {self.size - len(self.data)} more" if self.size > len(self.data) else ""
        shown = f"{self.data.hex(' ').upper()}{more}"
        if self.unit is not None:
            return f"{self.at_s:10.3f}  unit {self.unit:<3}  wrong sum      {shown}"
        return f"{self.at_s:10.3f}            unknown        {shown}"


@dataclass(frozen=True, slots=True)
class Missing:
    """A question that got no valid reply until the next one was asked."""

    at_s: float
    unit: int
    function: int

    def __str__(self) -> str:
        return f"{self.at_s:10.3f}  unit {self.unit:<3}  no reply   {self.function:>2}"


Heard = Frame | Noise | Missing
