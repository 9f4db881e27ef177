"""Judges what became of each question to a hostile line, by the columns of frames. Imports nothing of Tidegate."""

from collections.abc import Sequence
from struct import Struct

from tests.campaigns.modbus_checker import (
    GOOD,
    LONG,
    NAMES,
    ROUNDING_S,
    SLOT_BYTES,
    SLOTS,
    SLOTS_OF,
    SWAPPED,
    WORD,
    Slot,
    Verdict,
)
from tests.campaigns.modbus_replies import TIMEOUT_S
from tests.campaigns.rtu_replies import ENDED, KINDS, Asked

NOT_READ, TOO_LATE, LOST = "asked only to make sure", "right, but too late", "lost with its read"
ENDED_LATE = "closed, but too late"
# A right reply that comes nearer to its deadline than this may be too late.
NEAR_S = 0.01
REFUSED = frozenset({"BadConfigurationError", "BadDeviceFailure", "BadNoCommunication"})


def in_slot(place: Slot, asked: Asked, data: bytes) -> bytes:
    """What the tag there has when this is the data."""
    at = place.address - asked.address
    if place.function <= 2:
        return LONG.pack(int.from_bytes(data, "little") >> at & 1)
    words = [data[2 * (at + i) : 2 * (at + i) + 2] for i in range(place.size)]
    if place.address in SWAPPED:
        words.reverse()
    return b"".join(words)[::-1]


class LineJudge:
    """Takes reads one after the other: the questions that one asked, and its columns or the name of its error.

    `collisions` counts damaged replies that were taken since their checksum was right by chance: nobody can tell them.
    Without `by_kind` values alone are judged, where it is not known which question a read failed over.
    """

    def __init__(self, epoch_us: int, believed_s: float = ROUNDING_S, by_kind: bool = True) -> None:
        self.verdict = Verdict()
        self.collisions = 0
        self._epoch_us, self._believed_s, self._by_kind = epoch_us, believed_s, by_kind

    def failed(self, asked: Sequence[Asked], error: str) -> None:
        """A read that raised, over its last question."""
        for question in asked:
            self._class(question, error if question is asked[-1] else LOST)

    def came(self, unit: int, asked: Sequence[Asked], status: bytes, source_us: bytes, values: bytes) -> None:
        """A frame of one unit."""
        count = len(SLOTS)
        if values == bytes(SLOT_BYTES) and len(status) == 4 and WORD.unpack(status)[0] != GOOD:
            values = bytes(SLOT_BYTES * count)
        if len(values) != SLOT_BYTES * count:
            self._wrong(f"a frame of {len(values)} bytes of values", asked)
            return
        statuses = [WORD.unpack(status)[0]] * count if len(status) == 4 else Struct(f"<{count}I").unpack(status)
        times = [LONG.unpack(source_us)[0]] * count if len(source_us) == 8 else Struct(f"<{count}q").unpack(source_us)
        # What was searched for counts where nothing else asked for it.
        owner = {
            slot: question
            for question in sorted(asked, key=lambda question: question.read)
            if question.read or question.searched
            for slot in SLOTS_OF[question.function]
            if question.address <= SLOTS[slot].address < question.address + question.count
        }
        found: dict[int, str] = {}
        told: dict[int, list[tuple[Slot, bytes, int]]] = {}
        for slot, place in enumerate(SLOTS):
            value, mine = values[SLOT_BYTES * slot : SLOT_BYTES * (slot + 1)], owner.get(slot)
            if statuses[slot] != GOOD:
                if value != bytes(SLOT_BYTES):
                    self._wrong(f"slot {slot} is bad and has a value", asked)
                if mine is not None:
                    found[mine.n] = NAMES.get(statuses[slot], f"0x{statuses[slot]:08X}")
                continue
            self.verdict.values += 1
            if mine is None:
                self._wrong(f"a value at {place} that was not asked for", asked)
                continue
            found[mine.n] = "value"
            told.setdefault(mine.n, []).append((place, value, times[slot]))
        collided: set[int] = set()
        for question in asked:
            values_of = told.get(question.n, [])
            whole = self._collided(unit, question, values_of)
            for place, value, at_us in values_of:
                if whole or self._damaged(question, place, value):
                    collided.add(question.n)
                else:
                    self._good(unit, place, value, at_us, question, asked)
        self.collisions += len(collided)
        for question in asked:
            if question.n not in collided:
                self._class(question, found.get(question.n, "no tag's"))

    def _good(self, unit: int, place: Slot, value: bytes, source_us: int, question: Asked,
              asked: Sequence[Asked]) -> None:  # fmt: skip
        if question.unit != unit or value != place.expected(unit, question.n):
            self._wrong(f"{value.hex()} at {place}, question {question.n} ({question.kind})", asked)
        elif question.right_s is None:
            self._wrong(f"a value at {place}, question {question.n} ({question.kind}) was never answered", asked)
        elif not self._in_time(question, source_us):
            self._wrong(f"another time than its reply's at {place}, question {question.n} ({question.kind})", asked)

    def _in_time(self, question: Asked, source_us: int) -> bool:
        """Whether this is when the right reply came."""
        right_s = question.right_s
        late_s = (source_us - self._epoch_us) / 1e6 - right_s if right_s is not None else self._believed_s + 1.0
        return -ROUNDING_S <= late_s <= self._believed_s

    def _collided(self, unit: int, question: Asked, told: Sequence[tuple[Slot, bytes, int]]) -> bool:
        """Whether all values of a reply are those of one that the line damaged, under a checksum that is right.

        Of a few bits such a reply may hold the right ones by chance; it then came at another time than the right reply.
        """
        right = all(
            value == place.expected(unit, question.n) and self._in_time(question, at_us) for place, value, at_us in told
        )
        return not right and any(
            all(in_slot(place, question, data) == value for place, value, _ in told) for data in question.by_chance
        )

    def _damaged(self, question: Asked, place: Slot, value: bytes) -> bool:
        """Whether the line damaged its reply so that this value came of it, under a right checksum."""
        if question.right_s is not None and value == place.expected(question.unit, question.n):
            return False
        return any(in_slot(place, question, data) == value for data in question.by_chance)

    def _wrong(self, what: str, asked: Sequence[Asked]) -> None:
        self.verdict.wrong_values += 1
        self.verdict.tell(f"wrong value accepted near reply {asked[-1].n if asked else 0}: {what}")

    def _class(self, question: Asked, name: str) -> None:
        if not self._by_kind:
            self.verdict.replies += 1
            return
        if not question.read:
            self.verdict.replies += 1
            self.verdict.classes[NOT_READ, name if name in ("NoAnswer", "NotConnected") else "other"] += 1
            return
        if question.refused and name in REFUSED:
            self.verdict.replies += 1
            self.collisions += 1
            return
        kind, classes = question.kind, KINDS[question.kind].classes
        if "value" in classes and (question.right_s is None or question.right_s - question.at_s > TIMEOUT_S - NEAR_S):
            kind, classes = TOO_LATE, KINDS["late"].classes | classes
        if classes == ENDED and (question.ended_s is None or question.ended_s - question.at_s > TIMEOUT_S - NEAR_S):
            # Behind what its unit had still to say, the end came after the deadline.
            kind, classes = ENDED_LATE, ENDED | {"NoAnswer"}
        self.verdict.replies += 1
        self.verdict.classes[kind, name] += 1
        # Three silent questions in a row end a connection.
        over = name == "NotConnected" and "NoAnswer" in classes
        if name not in classes and name != LOST and not over:
            self.verdict.misjudged += 1
            self.verdict.tell(f"reply {question.n} ({question.kind}) became {name}")
