"""The ear: transcripts of known truth are decoded fully, from any place on, in any heaps; noise becomes no frame."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.serial_line import framed, in_ascii
from tidegate_drivers.modbus.ascii_ear import AsciiEar
from tidegate_drivers.modbus.ear import Ear
from tidegate_drivers.modbus.heard import Frame, Heard, Kind, Missing, Noise

GAP_S = 0.002
UNITS = st.integers(1, 247)
WORD = st.integers(0, 0xFFFF)


@dataclass(frozen=True)
class Exchange:
    """A question and its reply, as bodies without checksum; no reply where nobody answered."""

    question: bytes
    reply: bytes


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    unit, function = draw(UNITS), draw(st.sampled_from([1, 2, 3, 4, 5, 6, 15, 16, 17, 22, 23, 43]))
    address, count = draw(WORD), draw(st.integers(1, 100))
    head, place = bytes((unit, function)), struct.pack(">HH", address, count)
    words = draw(st.binary(min_size=2 * count, max_size=2 * count))
    bits = words[: (count + 7) // 8]
    text = draw(st.binary(max_size=20))
    question, reply = {
        1: (place, bytes((len(bits),)) + bits),
        2: (place, bytes((len(bits),)) + bits),
        3: (place, bytes((2 * count,)) + words),
        4: (place, bytes((2 * count,)) + words),
        5: (place[:2] + b"\xff\x00", place[:2] + b"\xff\x00"),
        6: (place, place),
        15: (place + bytes((len(bits),)) + bits, place),
        16: (place + bytes((2 * count,)) + words, place),
        17: (b"", bytes((len(text) + 2,)) + text + b"\x01\xff"),
        22: (place + words[:2], place + words[:2]),
        23: (place + b"\0\1\0\1\2\1\2", bytes((2 * count,)) + words),
        43: (b"\x0e\x01\x00", b"\x0e\x01\x01\x00\x00\x01\x00" + bytes((len(text),)) + text),
    }[function]
    outcome = draw(st.sampled_from(["reply", "reply", "exception", "silence"]))
    if outcome == "exception":
        return Exchange(head + question, bytes((unit, function | 0x80, draw(st.sampled_from([1, 2, 3, 4, 6, 11])))))
    return Exchange(head + question, head + reply if outcome == "reply" else b"")


Told = tuple[str, int, int, bytes]


def truth(said: list[Exchange]) -> list[Told]:
    found: list[Told] = []
    for at, one in enumerate(said):
        found.append(("question", one.question[0], one.question[1], one.question[2:]))
        if one.reply:
            kind = "exception" if one.reply[1] & 0x80 else "reply"
            found.append((kind, one.reply[0], one.reply[1], one.reply[2:]))
        elif at + 1 < len(said):
            found.append(("missing", one.question[0], one.question[1], b""))
    return found


def told(heard: list[Heard]) -> list[Told]:
    found: list[Told] = []
    for one in heard:
        if isinstance(one, Missing):
            found.append(("missing", one.unit, one.function, b""))
        elif isinstance(one, Frame):
            found.append((one.kind.value, one.unit, one.function, one.data))
    return found


def pieces(
    said: list[Exchange], noise: list[bytes], frame: Callable[[bytes], bytes] = framed
) -> list[tuple[float, bytes]]:
    """What is on the line, and when: noise in front of each exchange, a long pause behind a question without answer."""
    found, now_s = [], 0.0
    for at, one in enumerate(said):
        if noise and noise[at % len(noise)]:
            found.append((now_s, noise[at % len(noise)]))
            now_s += 0.01
        found.append((now_s, frame(one.question)))
        now_s += 0.02
        if one.reply:
            found.append((now_s, frame(one.reply)))
            now_s += 0.02
        else:
            now_s += 2.0
    return found


def heard_of(said: list[tuple[float, bytes]], cuts: list[int], kind: type[Ear] | type[AsciiEar] = Ear) -> list[Heard]:
    """What an ear hears of pieces that are cut into heaps of the sizes of `cuts`, in turn."""
    ear, heard, turn = kind(GAP_S), list[Heard](), 0
    for now_s, piece in said:
        while piece:
            size = cuts[turn % len(cuts)]
            turn += 1
            heard += ear.hear(now_s, piece[:size])
            piece = piece[size:]
    return heard + ear.silence()


CUTS = st.lists(st.integers(1, 64), min_size=1, max_size=8)


@given(st.lists(exchanges(), max_size=8), CUTS)
def test_a_transcript_is_decoded_fully(said: list[Exchange], cuts: list[int]) -> None:
    heard = heard_of(pieces(said, []), cuts)

    assert truth(said) == told(heard)
    assert not any(isinstance(one, Noise) for one in heard)


@given(st.lists(exchanges(), max_size=8), st.lists(st.binary(max_size=40), min_size=1, max_size=8), CUTS)
def test_noise_costs_no_frame_and_becomes_none(said: list[Exchange], noise: list[bytes], cuts: list[int]) -> None:
    on_line = pieces(said, noise)
    heard = heard_of(on_line, cuts)

    assert truth(said) == told(heard)
    assert sum(len(piece) for _, piece in on_line) == sum(
        one.size if isinstance(one, Noise) else len(one.data) + 4 for one in heard if not isinstance(one, Missing)
    )  # fmt: skip


@given(st.lists(exchanges(), max_size=8), CUTS)
def test_a_transcript_in_ascii_is_decoded_fully(said: list[Exchange], cuts: list[int]) -> None:
    heard = heard_of(pieces(said, [], in_ascii), cuts, AsciiEar)

    assert truth(said) == told(heard)
    assert not any(isinstance(one, Noise) for one in heard)


@given(
    st.lists(exchanges(), min_size=1, max_size=6),
    # A line's end in it ends a frame that nobody began, a colon begins another.
    st.lists(st.binary(max_size=40) | st.just(b"\r\n:") | st.just(b":0703"), min_size=1, max_size=6),
    CUTS,
)
def test_noise_costs_no_frame_in_ascii_and_becomes_none(
    said: list[Exchange], noise: list[bytes], cuts: list[int]
) -> None:
    on_line = pieces(said, noise, in_ascii)
    heard = heard_of(on_line, cuts, AsciiEar)

    assert truth(said) == told(heard)
    assert sum(len(piece) for _, piece in on_line) == sum(
        one.size if isinstance(one, Noise) else 2 * len(one.data) + 9 for one in heard if not isinstance(one, Missing)
    )


def test_a_damaged_frame_in_ascii_is_counted_for_its_unit() -> None:
    ear = AsciiEar(GAP_S)
    ear.hear(0.0, in_ascii(bytes.fromhex("070300000002")))
    reply = in_ascii(bytes.fromhex("07030443669A3C")).replace(b"43", b"44")

    assert [Noise(0.02, reply, len(reply), 7)] == ear.hear(0.02, reply)


@given(st.lists(st.binary(min_size=1, max_size=4096), max_size=4))
def test_an_ear_for_ascii_keeps_one_line_at_most(heaps: list[bytes]) -> None:
    ear = AsciiEar(GAP_S)
    for at, heap in enumerate(heaps):
        ear.hear(at * 0.01, heap)

        assert len(ear._bytes) <= 513


@given(st.lists(exchanges(), min_size=1, max_size=6), st.integers(1, 300))
def test_listening_may_begin_in_the_middle_of_a_frame(said: list[Exchange], skipped: int) -> None:
    on_line = pieces(said, [])
    while on_line and skipped >= len(on_line[0][1]):
        skipped -= len(on_line.pop(0)[1])
    whole = on_line[1 if skipped else 0 :]
    if on_line:
        on_line[0] = on_line[0][0], on_line[0][1][skipped:]
    heard = heard_of(on_line, [300])
    frames = [bytes((one.unit, one.function)) + one.data for one in heard if isinstance(one, Frame)]

    assert [piece for _, piece in whole] == [framed(frame) for frame in frames]


@given(st.lists(exchanges(), min_size=1, max_size=6), st.data())
def test_a_flipped_bit_costs_its_frame_and_no_other(said: list[Exchange], data: st.DataObject) -> None:
    on_line = pieces(said, [])
    hit = data.draw(st.integers(0, len(on_line) - 1))
    bit = data.draw(st.integers(0, 8 * len(on_line[hit][1]) - 1))
    flipped = bytearray(on_line[hit][1])
    flipped[bit // 8] ^= 1 << bit % 8
    others = [piece for at, (_, piece) in enumerate(on_line) if at != hit]
    on_line[hit] = on_line[hit][0], bytes(flipped)
    heard = heard_of(on_line, [300])

    frames = [framed(bytes((one.unit, one.function)) + one.data) for one in heard if isinstance(one, Frame)]

    assert others == frames
    assert len(flipped) == sum(one.size for one in heard if isinstance(one, Noise))


def test_a_damaged_reply_is_counted_for_its_unit() -> None:
    ear = Ear(GAP_S)
    ear.hear(0.0, framed(bytes.fromhex("070300000002")))
    reply = bytearray(framed(bytes.fromhex("07030443669A3C")))
    reply[4] ^= 1
    ear.hear(0.02, bytes(reply))
    [noise] = ear.silence()

    assert noise == Noise(0.02, bytes(reply), len(reply), 7)


def test_three_bytes_of_coils_are_a_reply_when_asked_and_a_question_when_not() -> None:
    both = framed(bytes.fromhex("010103000018"))
    ear = Ear(GAP_S)
    heard = ear.hear(0.0, both)
    heard += ear.hear(0.02, framed(bytes.fromhex("010103AABBCC")))
    heard += ear.hear(0.04, framed(bytes.fromhex("010100000018")))
    heard += ear.hear(0.06, both)

    assert [Kind.QUESTION, Kind.REPLY] * 2 == [one.kind for one in heard if isinstance(one, Frame)]


def test_an_answer_is_timed_from_the_end_of_its_question() -> None:
    ear = Ear(GAP_S)
    question, reply = framed(bytes.fromhex("070300000001")), framed(bytes.fromhex("0703020001"))
    ear.hear(1.0, question[:5])
    ear.hear(1.005, question[5:])
    ear.hear(1.025, reply[:3])
    [frame] = ear.hear(1.03, reply[3:])

    assert isinstance(frame, Frame)
    assert frame.answer_s == pytest.approx(0.02)


def test_a_call_to_all_units_waits_for_no_reply() -> None:
    ear = Ear(GAP_S)
    ear.hear(0.0, framed(bytes.fromhex("000600010002")))
    heard = ear.hear(0.1, framed(bytes.fromhex("070300000001")))

    assert [Kind.QUESTION] == [one.kind for one in heard if isinstance(one, Frame)]
    assert not any(isinstance(one, Missing) for one in heard)


def test_a_function_of_a_vendor_is_a_frame_between_two_pauses() -> None:
    ear = Ear(GAP_S)
    heard = ear.hear(0.0, framed(b"\x07\x65hello")) + ear.hear(0.1, framed(bytes.fromhex("070300000001")))

    assert [Kind.OTHER, Kind.QUESTION] == [one.kind for one in heard if isinstance(one, Frame)]


@given(st.lists(st.binary(min_size=1, max_size=4096), max_size=4))
def test_an_ear_keeps_no_more_than_a_frame_of_what_it_heard(heaps: list[bytes]) -> None:
    ear = Ear(GAP_S)
    for at, heap in enumerate(heaps):
        ear.hear(at * 0.01, heap)

        assert len(ear._bytes) <= 256


def test_what_is_told_is_readable() -> None:
    ear = Ear(GAP_S)
    heard = ear.hear(0.0, framed(bytes.fromhex("070300000002")))
    heard += ear.hear(0.0183, framed(bytes.fromhex("07030443669A3C")))
    heard += ear.hear(0.1, framed(bytes.fromhex("070600100001")))
    heard += ear.hear(0.11, framed(bytes.fromhex("078602")))
    heard += ear.hear(0.2, framed(bytes.fromhex("08040001000A")))
    heard += ear.hear(9.2, framed(bytes.fromhex("070300000002")))

    assert [str(one) for one in heard] == [
        "     0.000  unit 7    question    3  read holding 0x0000, 2",
        "     0.018  unit 7    reply       3  holding 4366 9A3C  after 18.3 ms",
        "     0.100  unit 7    question    6  write holding 0x0010 = 0001",
        "     0.110  unit 7    exception   6  exception 2, illegal data address  after 10.0 ms",
        "     0.200  unit 8    question    4  read input 0x0001, 10",
        "     0.200  unit 8    no reply    4",
        "     9.200  unit 7    question    3  read holding 0x0000, 2",
    ]
