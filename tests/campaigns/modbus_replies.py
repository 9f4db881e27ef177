"""Replies to Modbus questions, right ones and all sorts of wrong ones, byte for byte. Imports nothing of Tidegate.

Each value carries unit, function, address and the number of the question that it answers, so that a checker knows
whose it is: of registers, four in a row hold that as 64 bits, highest first; of bits, 64 in a row, lowest first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from struct import Struct

HEADER = Struct(">HHHBB")
QUESTION = Struct(">HHHBBHH")
BLOCK_REGISTERS, BLOCK_BITS = 4, 64
ADU_BYTES_MAX = 260
EXCEPTION_FLAG = 0x80
# What every device of the campaign has as its timeout; a reply is here a few ms after its question, unless it is late.
TIMEOUT_S = 0.25
PROMPT_S = (0.0005, 0.004)
# Set in the number of a question where a reply has to be wrong: no question has it.
POISON = 1 << 31
TRANSACTIONS = 1 << 16

VALUE = frozenset({"value"})
SILENT = frozenset({"NoAnswer", "BadTimeout", "NotConnected"})
INVALID = frozenset({"InvalidReply"})
ENDED = frozenset({"NotConnected"})
REFUSED = frozenset(
    {"Refused", "NoAnswer", "BadConfigurationError", "BadDeviceFailure", "BadNoCommunication", "split", "BadTimeout"}
)


def number(unit: int, function: int, block: int, n: int) -> int:
    """The 64 bits that begin at address `block` in the reply to question `n`."""
    return unit << 56 | function << 48 | block << 32 | n


def data_of(unit: int, function: int, address: int, count: int, n: int) -> bytes:
    """The data bytes of the right reply to question `n`."""
    if function <= 2:
        first, bits = address - address % BLOCK_BITS, 0
        for place, block in enumerate(range(first, address + count, BLOCK_BITS)):
            bits |= number(unit, function, block, n) << place * BLOCK_BITS
        bits = bits >> (address - first) & (1 << count) - 1
        return bits.to_bytes((count + 7) // 8, "little")
    first = address - address % BLOCK_REGISTERS
    blocks = range(first, address + count, BLOCK_REGISTERS)
    words = b"".join([number(unit, function, block, n).to_bytes(8, "big") for block in blocks])
    return words[2 * (address - first) : 2 * (address - first + count)]


@dataclass(slots=True)
class Question:
    """What came in, numbered over all lines; and what is done about it.

    `right_s` is when the last byte of the right reply arrives, on the clock of `at_s`; None where it never does.
    `tainted`: something that nobody asked for was on the line before.
    """

    n: int
    transaction: int
    unit: int
    function: int
    address: int
    count: int
    at_s: float
    # When the peer comes to it, having sent what it had to send before.
    begun_s: float = 0.0
    kind: str = ""
    right_s: float | None = None
    tainted: bool = False

    def reply(self, n: int | None = None) -> bytes:
        """The right reply; with `n`, that to another question like it."""
        data = data_of(self.unit, self.function, self.address, self.count, self.n if n is None else n)
        return HEADER.pack(self.transaction, 0, 3 + len(data), self.unit, self.function) + bytes([len(data)]) + data

    def exception(self, code: int) -> bytes:
        """The refusal of it."""
        return HEADER.pack(self.transaction, 0, 3, self.unit, self.function | EXCEPTION_FLAG) + bytes([code])


@dataclass(frozen=True, slots=True)
class Move:
    """After `delay_s` from when the peer begins: bytes in one segment, or the end of the line."""

    delay_s: float
    data: bytes = b""
    ends: bool = False
    reset: bool = False


@dataclass(slots=True)
class Line:
    """One connection, as its peer sees it: what it holds back, and whether it has sent what nobody asked for."""

    chance: Random
    # How far off a wrong transaction is: further than questions may be under way, whose replies it would else forge.
    apart: int = 1
    held: list[tuple[Question, bytes]] = field(default_factory=list)
    # By transaction: late replies that are kept until their number is next, one turn of the numbers later.
    kept: dict[int, tuple[Question, bytes]] = field(default_factory=dict)
    last: Question | None = None
    tainted: bool = False
    mute: bool = False
    was_late: bool = False

    def prompt_s(self) -> float:
        """A short delay."""
        return self.chance.uniform(*PROMPT_S)


Making = Callable[[Line, Question], list[Move]]


def _right(line: Line, asked: Question) -> list[Move]:
    delay_s = line.prompt_s()
    asked.right_s = asked.begun_s + delay_s
    return [Move(delay_s, asked.reply())]


def _spread(line: Line, asked: Question, data: bytes, pieces: int, over_s: float) -> list[Move]:
    """Cut at any bytes; the last piece comes `over_s` after the question."""
    cuts = sorted(line.chance.sample(range(1, len(data)), min(pieces, len(data)) - 1))
    ends = [*cuts, len(data)]
    return [
        Move(over_s * (i + 1) / len(ends), data[start:end])
        for i, (start, end) in enumerate(zip([0, *cuts], ends, strict=True))
    ]


def _pieces(line: Line, asked: Question) -> list[Move]:
    over_s = line.prompt_s()
    asked.right_s = asked.begun_s + over_s
    return _spread(line, asked, asked.reply(), line.chance.randint(2, 5), over_s)


def _drip(line: Line, asked: Question) -> list[Move]:
    over_s = TIMEOUT_S * line.chance.uniform(0.5, 0.95)
    asked.right_s = asked.begun_s + over_s
    return _spread(line, asked, asked.reply(), 8, over_s)


def _slow_drip(line: Line, asked: Question) -> list[Move]:
    over_s = _too_late(line, asked, TIMEOUT_S * line.chance.uniform(1.05, 3))
    return _spread(line, asked, asked.reply(), 8, over_s)


def _on_the_dot(line: Line, asked: Question) -> list[Move]:
    asked.right_s = asked.begun_s + TIMEOUT_S
    return [Move(TIMEOUT_S, asked.reply())]


def _silent(line: Line, asked: Question) -> list[Move]:
    return []


def _late(line: Line, asked: Question) -> list[Move]:
    """Held back until a later question; or it comes by itself, just after the deadline."""
    if line.chance.random() < 0.5:
        line.held.append((asked, asked.reply()))
        return []
    return [Move(_too_late(line, asked, TIMEOUT_S + line.prompt_s()), asked.reply())]


def _too_late(line: Line, asked: Question, delay_s: float) -> float:
    """The delay; with several questions under way the reply may be in time all the same, as another gave it more."""
    if line.apart > 1:
        asked.right_s = asked.begun_s + delay_s
    return delay_s


def _late_for_a_turn(line: Line, asked: Question) -> list[Move]:
    line.kept[asked.transaction] = asked, asked.reply()
    return []


def _late_and_wrong(line: Line, asked: Question) -> list[Move]:
    """A late reply of another length, or twice."""
    line.tainted = True
    wrong = asked.reply() * 2 if line.chance.random() < 0.5 else _resized(line, asked)
    return [Move(_too_late(line, asked, TIMEOUT_S + line.prompt_s()), wrong)]


def _cut(line: Line, asked: Question) -> list[Move]:
    """The line says nothing any more: what followed might fill the hole exactly, and nobody could tell."""
    line.mute, whole = True, asked.reply()
    return [Move(line.prompt_s(), whole[: line.chance.randrange(1, len(whole))])]


def _cut_then_whole(line: Line, asked: Question) -> list[Move]:
    """Broken off and said again: the header of the first is well, and what follows it is not its data."""
    whole, delay_s = asked.reply(), line.prompt_s()
    part = whole[: line.chance.randrange(1, len(whole))]
    if line.chance.random() < 0.5:
        return [Move(delay_s, part + whole)]
    return [Move(delay_s / 2, part), Move(delay_s, whole)]


def _and_rubbish(line: Line, asked: Question) -> list[Move]:
    line.tainted = True
    moves = _right(line, asked)
    rubbish = line.chance.randbytes(line.chance.randint(1, 40))
    return [Move(moves[0].delay_s, moves[0].data + rubbish)]


def _twice(line: Line, asked: Question) -> list[Move]:
    line.tainted = True
    moves = _right(line, asked)
    if line.chance.random() < 0.5:
        return [Move(moves[0].delay_s, moves[0].data * 2)]
    return [*moves, Move(moves[0].delay_s + line.prompt_s(), moves[0].data)]


def _unasked(line: Line, asked: Question) -> list[Move]:
    """The right reply, and with it one to the question that will come next; or soon, to one that is not asked yet."""
    line.tainted = True
    moves = _right(line, asked)
    if line.chance.random() < 0.5:
        return [
            Move(
                moves[0].delay_s,
                moves[0].data + _header(asked, transaction=(asked.transaction + line.apart) % TRANSACTIONS),
            )
        ]
    ahead = (asked.transaction + line.apart + line.chance.randint(1, 1000)) % TRANSACTIONS
    return [*moves, Move(moves[0].delay_s + line.prompt_s(), _header(asked, transaction=ahead))]


def _of_before(line: Line, asked: Question) -> list[Move]:
    """For ever one out of step: the reply to the question before, in its place."""
    line.tainted = True
    before = line.last
    if before is None or line.apart > 1:
        return [Move(line.prompt_s(), _header(asked, transaction=(asked.transaction - line.apart) % TRANSACTIONS))]
    return [Move(line.prompt_s(), before.reply())]


def _header(asked: Question, **fields: int) -> bytes:
    """A poisoned reply with other fields in its header."""
    data = asked.reply(asked.n | POISON)
    found = dict(zip(("transaction", "protocol", "length", "unit", "function"), HEADER.unpack_from(data), strict=True))
    return HEADER.pack(*(found | fields).values()) + data[HEADER.size :]


def _other(chance: Random, right: int, near: int, bound: int) -> int:
    """Not the right number: a neighbour, zero, or any."""
    found = right
    while found == right:
        found = chance.choice((right + near, right - near, 0, chance.randrange(bound))) % bound
    return found


def _transaction(line: Line, asked: Question) -> list[Move]:
    # It may be the number of one that was given up: then it is dropped for its late reply.
    line.tainted = True
    transaction = _other(line.chance, asked.transaction, line.apart, TRANSACTIONS)
    while abs(transaction - asked.transaction) < line.apart:
        transaction = line.chance.randrange(TRANSACTIONS)
    return [Move(line.prompt_s(), _header(asked, transaction=transaction))]


def _protocol(line: Line, asked: Question) -> list[Move]:
    return [Move(line.prompt_s(), _header(asked, protocol=line.chance.randint(1, 0xFFFF)))]


def _unit(line: Line, asked: Question) -> list[Move]:
    return [Move(line.prompt_s(), _header(asked, unit=_other(line.chance, asked.unit, 1, 256)))]


def _function(line: Line, asked: Question) -> list[Move]:
    function = _other(line.chance, asked.function, 1, 256)
    return [Move(line.prompt_s(), _header(asked, function=function))]


def _length(line: Line, asked: Question) -> list[Move]:
    right = len(asked.reply()) - 6
    return [Move(line.prompt_s(), _header(asked, length=_other(line.chance, right, 2, 0x10000)))]


def _byte_count(line: Line, asked: Question) -> list[Move]:
    data = bytearray(_header(asked))
    data[HEADER.size] = _other(line.chance, data[HEADER.size], 2, 256)
    return [Move(line.prompt_s(), bytes(data))]


def _resized(line: Line, asked: Question) -> bytes:
    """A reply that is right in itself, of more or fewer registers than were asked for."""
    count = max(1, asked.count + line.chance.choice((-8, -4, -1, 1, 4, 8)))
    if (count + 7) // 8 == (asked.count + 7) // 8 and asked.function <= 2:
        count += 8
    if count == asked.count:
        count += 1
    return Question(asked.n | POISON, asked.transaction, asked.unit, asked.function, asked.address, count, 0).reply()


def _size(line: Line, asked: Question) -> list[Move]:
    return [Move(line.prompt_s(), _resized(line, asked))]


def _exception(line: Line, asked: Question) -> list[Move]:
    known = line.chance.random() < 0.9
    return [Move(line.prompt_s(), asked.exception(line.chance.randint(1, 11) if known else line.chance.randrange(256)))]


def _wrong_exception(line: Line, asked: Question) -> list[Move]:
    """Of another function, another unit, or with something behind its code."""
    right = asked.exception(line.chance.randint(1, 11))
    transaction, _, _, unit, function = HEADER.unpack_from(right)
    return [Move(line.prompt_s(), line.chance.choice((
        HEADER.pack(transaction, 0, 3, unit, (function & 0x7F) % 4 + 1 | EXCEPTION_FLAG) + right[-1:],
        HEADER.pack(transaction, 0, 3, unit ^ 1, function) + right[-1:],
        HEADER.pack(transaction, 0, 5, unit, function) + right[-1:] + b"\0\0",
    )))]  # fmt: skip


def _garbage(line: Line, asked: Question) -> list[Move]:
    line.tainted = True
    if line.chance.random() < 0.2:
        return [Move(line.prompt_s(), b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")]
    return [Move(line.prompt_s(), line.chance.randbytes(line.chance.randint(1, 2 * ADU_BYTES_MAX)))]


def _closed(line: Line, asked: Question) -> list[Move]:
    whole, delay_s = asked.reply(), line.prompt_s()
    part = whole[: line.chance.randrange(0, len(whole))]
    return [Move(delay_s, part), Move(delay_s, ends=True, reset=line.chance.random() < 0.5)]


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of reply: how often (of all weights), how it is made, and what may become of its question."""

    weight: int
    make: Making
    classes: frozenset[str]


KINDS = {
    "right": Kind(480, _right, VALUE),
    "right, in pieces": Kind(60, _pieces, VALUE),
    "right, dripping in time": Kind(10, _drip, VALUE),
    "at its deadline": Kind(5, _on_the_dot, VALUE | SILENT),
    "dripping too slowly": Kind(10, _slow_drip, SILENT),
    "none": Kind(15, _silent, SILENT),
    "late": Kind(50, _late, SILENT),
    "late, twice or of another length": Kind(10, _late_and_wrong, SILENT | INVALID),
    "cut off": Kind(25, _cut, SILENT),
    "cut off, then whole": Kind(20, _cut_then_whole, INVALID),
    "right, with rubbish behind it": Kind(15, _and_rubbish, VALUE | INVALID | ENDED),
    "right, twice": Kind(20, _twice, VALUE | INVALID | ENDED),
    "right, and one more": Kind(10, _unasked, VALUE | INVALID | ENDED),
    "of the question before": Kind(15, _of_before, INVALID | SILENT),
    "another transaction": Kind(20, _transaction, INVALID | SILENT),
    "another protocol": Kind(15, _protocol, INVALID),
    "another unit": Kind(20, _unit, INVALID),
    "another function": Kind(20, _function, INVALID),
    "another length field": Kind(20, _length, INVALID),
    "another byte count": Kind(20, _byte_count, INVALID),
    "more or fewer registers": Kind(20, _size, INVALID),
    "an exception": Kind(70, _exception, REFUSED),
    "a wrong exception": Kind(15, _wrong_exception, INVALID),
    "garbage": Kind(15, _garbage, INVALID | SILENT),
    "closed or reset, also halfway": Kind(20, _closed, ENDED),
}
# A line that lives for hours: nothing on it gives a reason to close it.
PATIENT = {
    "right": Kind(950, _right, VALUE),
    "right, in pieces": Kind(30, _pieces, VALUE),
    "late": Kind(12, _late, SILENT),
    "late, by a turn of all numbers": Kind(3, _late_for_a_turn, SILENT),
    "an exception": Kind(5, _exception, REFUSED),
}
# As patient, but so often late that numbers run out.
STUBBORN = PATIENT | {"late, by a turn of all numbers": Kind(20, _late_for_a_turn, SILENT)}
# A unit that misbehaves and leaves the line to the others on it.
QUIET_FAULTS = {
    "right": Kind(40, _right, VALUE),
    "none": Kind(20, _silent, SILENT),
    "late": Kind(20, _late, SILENT),
    "an exception": Kind(20, _exception, REFUSED),
}
HONEST = {"right": Kind(1, _right, VALUE)}
LATE = frozenset({"late", "late, by a turn of all numbers"})
