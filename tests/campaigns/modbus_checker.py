"""Judges what became of each question to the hostile peer, by the columns of frames. Imports nothing of Tidegate."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import Struct

from tests.campaigns.modbus_replies import (
    BLOCK_BITS,
    BLOCK_REGISTERS,
    KINDS,
    PATIENT,
    STUBBORN,
    TIMEOUT_S,
    Question,
    number,
)

# The tags of every unit: 64-bit numbers, and of 64 bits those that hold most of the question's number.
NUMBERS = ((3, 0), (3, 4), (3, 8), (3, 400), (3, 404), (3, 408), (4, 0), (4, 4), (4, 8))
BIT_PLACES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 48, 49, 56, 57)
BITS = ((1, 0), (2, 0))
# Its order swaps the registers.
SWAPPED = frozenset({404})

GOOD = 0
NAMES = {
    0: "value", 0x800A0000: "BadTimeout", 0x80310000: "BadNoCommunication", 0x80890000: "BadConfigurationError",
    0x808B0000: "BadDeviceFailure",
}  # fmt: skip
SLOT_BYTES = 8
LONG = Struct("<q")
WORD = Struct("<I")
# A source time is in whole µs.
ROUNDING_S = 2e-6


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tag lies: from `address` on `size` registers or bits; `block` is where its 64 bits begin."""

    function: int
    address: int
    size: int
    block: int
    bit: int = 0

    def expected(self, unit: int, n: int) -> bytes:
        """Its slot of the right reply to question `n`."""
        value = number(unit, self.function, self.block, n)
        if self.function <= 2:
            return LONG.pack(value >> self.bit & 1)
        if self.address in SWAPPED:
            value = sum((value >> 16 * i & 0xFFFF) << 16 * (3 - i) for i in range(4))
        return value.to_bytes(SLOT_BYTES, "little")


SLOTS = tuple(Slot(f, a, BLOCK_REGISTERS, a) for f, a in NUMBERS) + tuple(
    Slot(f, a + bit, 1, a - a % BLOCK_BITS, bit) for f, a in BITS for bit in BIT_PLACES
)

SLOTS_OF = {function: [i for i, slot in enumerate(SLOTS) if slot.function == function] for function in (1, 2, 3, 4)}
# What one request reads.
BLOCKS = ((0, 1, 2), (3, 4, 5), (6, 7, 8), tuple(SLOTS_OF[1]), tuple(SLOTS_OF[2]))


@dataclass(slots=True)
class Verdict:
    """Counts of all that was judged, and the first sentences about what was wrong."""

    replies: int = 0
    values: int = 0
    classes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong_values: int = 0
    misjudged: int = 0
    told: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        """Counts of another part of the same campaign."""
        self.replies += other.replies
        self.values += other.values
        self.classes += other.classes
        self.wrong_values += other.wrong_values
        self.misjudged += other.misjudged
        self.told += other.told

    def tell(self, sentence: str) -> None:
        """Keep a sentence, of the first few."""
        if len(self.told) < 5:
            self.told.append(sentence)


TOLERATED = {name: kind.classes for name, kind in (KINDS | PATIENT | STUBBORN).items()}


class Judge:
    """Takes reads one after the other: the questions that one asked, and its columns or the name of its error."""

    def __init__(self, epoch_us: int, one_at_a_time: bool = True) -> None:
        self.verdict = Verdict()
        # With several questions under way it is not known over which of them a read has failed.
        self._known = one_at_a_time
        # A reply with the beginning of another behind it is believed only when more of that is there.
        self._believed_s = ROUNDING_S if one_at_a_time else TIMEOUT_S
        self._epoch_us = epoch_us

    def failed(self, asked: Sequence[Question], error: str) -> None:
        """A read that raised, over its last question."""
        for question in asked:
            last = self._known and question is asked[-1]
            refused = error in ("Refused", "NoAnswer") and "exception" in question.kind
            self._class(question, error if last else "Refused" if refused else "lost with its read")

    def came(self, unit: int, asked: Sequence[Question], status: bytes, source_us: bytes, values: bytes) -> None:
        """A frame of one unit."""
        count = len(SLOTS)
        if len(values) != SLOT_BYTES * count:
            self._wrong(f"a frame of {len(values)} bytes of values", asked)
            return
        statuses = [WORD.unpack(status)[0]] * count if len(status) == 4 else Struct(f"<{count}I").unpack(status)
        times = [LONG.unpack(source_us)[0]] * count if len(source_us) == 8 else Struct(f"<{count}q").unpack(source_us)
        # Of a question that was refused and split, its parts are asked later.
        owner: dict[int, Question] = {}
        for question in asked:
            for slot in SLOTS_OF[question.function]:
                if question.address <= SLOTS[slot].address < question.address + question.count:
                    owner[slot] = question
        found: dict[int, str] = {}
        for slot, place in enumerate(SLOTS):
            value = values[SLOT_BYTES * slot : SLOT_BYTES * (slot + 1)]
            mine = owner.get(slot)
            if statuses[slot] != GOOD:
                if value != bytes(SLOT_BYTES):
                    self._wrong(f"slot {slot} is bad and has a value", asked)
                if mine is not None:
                    found[mine.n] = NAMES.get(statuses[slot], f"0x{statuses[slot]:08X}")
                continue
            self._good(unit, place, value, times[slot], mine, asked)
            if mine is not None:
                found[mine.n] = "value"
        for question in asked:
            self._class(question, found.get(question.n, "split"))

    def _good(self, unit: int, place: Slot, value: bytes, source_us: int, question: Question | None,
              asked: Sequence[Question]) -> None:  # fmt: skip
        self.verdict.values += 1
        if question is None:
            self._wrong(f"a value at {place} that was not asked for", asked)
        elif question.unit != unit or value != place.expected(unit, question.n):
            self._wrong(f"{value.hex()} at {place}, question {question.n} ({question.kind})", asked)
        elif question.right_s is None:
            self._wrong(f"a value at {place}, question {question.n} ({question.kind}) was never answered", asked)
        elif not -ROUNDING_S <= (source_us - self._epoch_us) / 1e6 - question.right_s <= self._believed_s:
            self._wrong(f"another time than its reply's at {place}, question {question.n} ({question.kind})", asked)

    def _wrong(self, what: str, asked: Sequence[Question]) -> None:
        self.verdict.wrong_values += 1
        self.verdict.tell(f"wrong value accepted near reply {asked[-1].n if asked else 0}: {what}")

    def _class(self, question: Question, name: str) -> None:
        self.verdict.replies += 1
        self.verdict.classes[question.kind, name] += 1
        fine = name in TOLERATED[question.kind] or name == "lost with its read" or not self._known
        if not fine and not (question.tainted and name in ("InvalidReply", "NotConnected")):
            self.verdict.misjudged += 1
            self.verdict.tell(f"reply {question.n} ({question.kind}) became {name}")
