"""Replies on a line, right ones and all sorts of wrong ones, by kind. Imports nothing of Tidegate."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from tests.campaigns.modbus_replies import POISON, REFUSED, SILENT, TIMEOUT_S, VALUE, data_of
from tests.campaigns.rtu_frames import ASCII, RTU, framed, refusal

UNITS = (1, 2, 3)
# Of a frame in pieces: the longest gap within it, and the longest that all of them take.
GAP_S, PIECES_MAX = 0.02, 5
NOISE_BYTES_MAX = 40
FLIPS_MAX = 8
LATE_BY = (1.01, 1.3, 2.0, 3.0, 7.0)
# Those after which the tags are asked for again in the next poll.
CODES = (4, 5, 6, 8, 10, 11)


@dataclass(slots=True)
class Asked:
    """A question, numbered over all of a line's; what is done about it, and what the line gave since.

    `right_s` is when the last byte of the right reply came, `ended_s` when its unit hung up; None where it never did.
    `read`: it asks for what is to be read, and is none that only makes sure of the line. `by_chance` is the data of
    wrong frames in what is said about it that have the form of its reply, and by chance a right checksum: no receiver
    can tell them from it. `refused`: one had the form of a refusal; `searched`: after one, questions of other lengths
    search for what is.
    """

    n: int
    unit: int
    function: int
    address: int
    count: int
    at_s: float
    read: bool
    kind: str = ""
    right_s: float | None = None
    ended_s: float | None = None
    by_chance: list[bytes] = field(default_factory=list)
    refused: bool = False
    searched: bool = False

    @property
    def data_bytes(self) -> int:
        """How many bytes of data the right reply has."""
        return (self.count + 7) // 8 if self.function <= 2 else 2 * self.count

    def body(self, n: int | None = None) -> bytes:
        """The body of the right reply; with `n`, that to another question like it."""
        data = data_of(self.unit, self.function, self.address, self.count, self.n if n is None else n)
        return bytes([self.unit, self.function, len(data)]) + data


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said: pieces, each so long after the one before; the right reply is whole with the piece `right`.

    It begins `delay_s` after the question, or later, when the unit is still busy. `ends`: the connection ends with it.
    """

    delay_s: float
    pieces: tuple[tuple[float, bytes], ...] = ()
    right: int | None = None
    ends: bool = False


@dataclass(slots=True)
class Voice:
    """What making a reply needs to know of its line."""

    chance: Random
    framing: str
    question: bytes = b""
    last: dict[int, bytes] = field(default_factory=dict)

    def prompt_s(self) -> float:
        """A short delay."""
        return self.chance.uniform(0.0005, 0.004)

    def noise(self) -> bytes:
        """Bytes of no meaning."""
        return self.chance.randbytes(self.chance.randint(1, NOISE_BYTES_MAX))

    def frame(self, body: bytes) -> bytes:
        """A whole frame."""
        return framed(self.framing, body)

    def one(self, data: bytes, right: bool = False) -> Reply:
        """In one piece, promptly."""
        return Reply(self.prompt_s(), ((0.0, data),), 0 if right else None)


Making = Callable[[Voice, Asked], Reply]


def _right(voice: Voice, asked: Asked) -> Reply:
    return voice.one(voice.frame(asked.body()), True)


def _pieces(voice: Voice, asked: Asked) -> Reply:
    """With gaps within the frame."""
    whole = voice.frame(asked.body())
    cuts = sorted(voice.chance.sample(range(1, len(whole)), voice.chance.randint(1, PIECES_MAX - 1)))
    ends = zip([0, *cuts], [*cuts, len(whole)], strict=True)
    pieces = tuple((voice.chance.uniform(0.0, GAP_S), whole[start:end]) for start, end in ends)
    return Reply(voice.prompt_s(), pieces, len(pieces) - 1)


def _behind_noise(voice: Voice, asked: Asked) -> Reply:
    noise, whole = voice.noise(), voice.frame(asked.body())
    if voice.chance.random() < 0.5:
        return voice.one(noise + whole, True)
    return Reply(voice.prompt_s(), ((0.0, noise), (voice.chance.uniform(0.0, GAP_S), whole)), 1)


def _before_noise(voice: Voice, asked: Asked) -> Reply:
    return voice.one(voice.frame(asked.body()) + voice.noise(), True)


def _cut_then_whole(voice: Voice, asked: Asked) -> Reply:
    whole = voice.frame(asked.body())
    part = whole[: voice.chance.randrange(1, len(whole))]
    return Reply(voice.prompt_s(), ((0.0, part), (voice.chance.uniform(0.0, GAP_S), whole)), 1)


def _merged(voice: Voice, asked: Asked) -> Reply:
    """Behind another unit's reply, in one piece."""
    return voice.one(voice.frame(_other_unit(voice, asked)) + voice.frame(asked.body()), True)


def _echoed(voice: Voice, asked: Asked) -> Reply:
    """Behind the question itself, which nobody expects."""
    return voice.one(voice.question + voice.frame(asked.body()), True)


def _twice(voice: Voice, asked: Asked) -> Reply:
    return voice.one(voice.frame(asked.body()) * 2, True)


def _and_the_last(voice: Voice, asked: Asked) -> Reply:
    """With the unit's reply before it behind it."""
    return voice.one(voice.frame(asked.body()) + voice.last.get(asked.unit, b""), True)


def _none(voice: Voice, asked: Asked) -> Reply:
    return Reply(0.0)


def _late(voice: Voice, asked: Asked) -> Reply:
    return Reply(TIMEOUT_S * voice.chance.choice(LATE_BY), ((0.0, voice.frame(asked.body())),), 0)


def _cut(voice: Voice, asked: Asked) -> Reply:
    whole = voice.frame(asked.body())
    return voice.one(whole[: voice.chance.randrange(1, len(whole))])


def _noise(voice: Voice, asked: Asked) -> Reply:
    return voice.one(voice.noise())


def _echo_alone(voice: Voice, asked: Asked) -> Reply:
    return voice.one(voice.question)


def _flipped(voice: Voice, asked: Asked) -> Reply:
    """Bits flipped anywhere, the checksum as it was."""
    whole = bytearray(voice.frame(asked.body()))
    for bit in voice.chance.sample(range(8 * len(whole)), voice.chance.randint(1, FLIPS_MAX)):
        whole[bit // 8] ^= 1 << bit % 8
    return voice.one(bytes(whole))


def _head_flipped(voice: Voice, asked: Asked) -> Reply:
    """A bit of unit, function or byte count flipped, and the checksum made again."""
    body = bytearray(asked.body(asked.n | POISON))
    bit = voice.chance.randrange(24)
    # A function with its highest bit is a refusal, whose length is another.
    bit = 9 if bit == 15 else bit
    body[bit // 8] ^= 1 << bit % 8
    return voice.one(voice.frame(bytes(body)))


def _other_unit(voice: Voice, asked: Asked) -> bytes:
    unit = voice.chance.choice([one for one in (0, *UNITS, 247) if one != asked.unit])
    return bytes([unit]) + asked.body(asked.n | POISON)[1:]


def _another_unit(voice: Voice, asked: Asked) -> Reply:
    return voice.one(voice.frame(_other_unit(voice, asked)))


def _another_function(voice: Voice, asked: Asked) -> Reply:
    body = asked.body(asked.n | POISON)
    function = voice.chance.choice([one for one in (1, 2, 3, 4, 6, 16, 23) if one != asked.function])
    return voice.one(voice.frame(body[:1] + bytes([function]) + body[2:]))


def _resized(voice: Voice, asked: Asked) -> Reply:
    """A right frame of more or less data, or whose byte count says another number."""
    body = asked.body(asked.n | POISON)
    more = voice.chance.choice([body[:-1], body[:-2], body + b"\0", body + b"\0\0"])
    if voice.chance.random() < 0.5:
        more = more[:2] + bytes([max(len(more) - 3, 0)]) + more[3:]
    return voice.one(voice.frame(more))


def _wrong_checksum(voice: Voice, asked: Asked) -> Reply:
    """Zero, of the other byte order, or of the other framing."""
    body = asked.body(asked.n | POISON)
    right = framed(RTU, body)[-2:]
    if voice.framing == RTU:
        return voice.one(body + voice.chance.choice([bytes(2), right[::-1], bytes(b ^ 0xFF for b in right)]))
    return voice.one(
        b":" + (body + voice.chance.choice([right, right[:1] + b"\x01", b""])).hex().upper().encode() + b"\r\n"
    )


def _other_framing(voice: Voice, asked: Asked) -> Reply:
    return voice.one(framed(ASCII if voice.framing == RTU else RTU, asked.body(asked.n | POISON)))


def _sloppy(voice: Voice, asked: Asked) -> Reply:
    """In ASCII what is no frame by a hair; in RTU a frame that lacks a byte in its middle."""
    whole = voice.frame(asked.body(asked.n | POISON))
    at = voice.chance.randrange(2, len(whole) - 2)
    if voice.framing == RTU:
        return voice.one(whole[:at] + whole[at + 1 :])
    small = whole.lower()
    made = [
        whole[1:],
        whole[:-2],
        whole[:-2] + b"\n",
        whole[:at] + b" " + whole[at:],
        whole[:at] + b"\r\n" + whole[at:],
    ]
    return voice.one(voice.chance.choice([*made, small] if small != whole else made))


def _exception(voice: Voice, asked: Asked) -> Reply:
    return voice.one(refusal(voice.framing, asked.unit, asked.function, voice.chance.choice(CODES)))


def _wrong_exception(voice: Voice, asked: Asked) -> Reply:
    function = voice.chance.choice([one for one in (1, 2, 3, 4, 6) if one != asked.function])
    return voice.one(refusal(voice.framing, asked.unit, function, 2))


def _closed(voice: Voice, asked: Asked) -> Reply:
    whole = voice.frame(asked.body())
    return Reply(voice.prompt_s(), ((0.0, whole[: voice.chance.randrange(len(whole))]),), ends=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of reply: how often (of all weights), how it is made, and what may become of its question."""

    weight: int
    make: Making
    classes: frozenset[str]


ENDED = frozenset({"NotConnected"})
KINDS = {
    "right": Kind(430, _right, VALUE),
    "right, with gaps within": Kind(60, _pieces, VALUE),
    "right, behind noise": Kind(40, _behind_noise, VALUE),
    "right, before noise": Kind(30, _before_noise, VALUE),
    "right, behind its beginning": Kind(20, _cut_then_whole, VALUE),
    "right, behind another unit's": Kind(20, _merged, VALUE),
    "right, behind its question": Kind(20, _echoed, VALUE),
    "right, twice": Kind(15, _twice, VALUE),
    "right, and the last one again": Kind(15, _and_the_last, VALUE),
    "none": Kind(15, _none, SILENT),
    "late": Kind(50, _late, SILENT),
    "cut off": Kind(20, _cut, SILENT),
    "noise alone": Kind(15, _noise, SILENT),
    "its question alone": Kind(10, _echo_alone, SILENT),
    "flipped bits": Kind(70, _flipped, SILENT),
    "flipped head, right checksum": Kind(30, _head_flipped, SILENT),
    "another unit": Kind(20, _another_unit, SILENT),
    "another function": Kind(20, _another_function, SILENT),
    "another length": Kind(20, _resized, SILENT),
    "another checksum": Kind(20, _wrong_checksum, SILENT),
    "the other framing": Kind(10, _other_framing, SILENT),
    "no frame by a hair": Kind(20, _sloppy, SILENT),
    "an exception": Kind(40, _exception, REFUSED),
    "another function's exception": Kind(10, _wrong_exception, SILENT),
    "closed halfway": Kind(5, _closed, ENDED),
}
# A serial port has no end that a unit could make.
ON_A_PORT = {name: kind for name, kind in KINDS.items() if kind.make is not _closed}
HONEST = {"right": KINDS["right"]}
