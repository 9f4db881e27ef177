"""ASCII frames: the checksum is the standard's, the reply is found through noise, and nothing else is taken."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.serial_line import in_ascii
from tidegate_drivers.modbus.ascii import frame, lrc
from tidegate_drivers.modbus.framing import ASCII
from tidegate_drivers.modbus.link import OPEN

BODY = bytes([17, 3, 4, 0xAB, 1, 0, 2])
REPLY = in_ascii(BODY)


def test_a_question_is_framed_as_the_standard_has_it() -> None:
    """Its own example: read 3 registers at 0x006B of unit 17."""
    assert frame(bytes.fromhex("1103006b0003")) == b":1103006B00037E\r\n"


@given(st.binary(max_size=254))
def test_a_frame_is_what_an_independent_one_is_and_its_checksum_adds_up(body: bytes) -> None:
    framed = frame(body)

    assert in_ascii(body) == framed
    assert ASCII.wire_bytes(len(body)) == len(framed)
    assert lrc(bytes.fromhex(framed[1:-2].decode())) == 0


@pytest.mark.parametrize(
    "noise", [b"", b"\x00", b":", b":11", b":1103\r\n", b"\xff:::", REPLY[:-2], REPLY[:-1], b"\r\n"], ids=repr
)
def test_a_reply_is_found_behind_noise_and_before_more(noise: bytes) -> None:
    begin, end = len(noise), len(noise) + len(REPLY)

    assert ASCII.find(noise + REPLY + b":11", 17, 3, 4) == (begin, end, BODY)


def test_an_exception_of_the_function_is_a_reply() -> None:
    refusal = in_ascii(bytes([17, 0x83, 2]))

    assert ASCII.find(refusal, 17, 3, 4) == (0, len(refusal), bytes([17, 0x83, 2]))


def test_a_reply_that_says_how_long_it_is_is_found() -> None:
    body = bytes([17, 17, 3, 1, 2, 3])

    assert ASCII.find(in_ascii(body), 17, 17, OPEN) == (0, len(in_ascii(body)), body)
    assert ASCII.find(in_ascii(body + b"\0"), 17, 17, OPEN) is None


WRONG = {
    "another unit": in_ascii(bytes([18]) + BODY[1:]),
    "another function": in_ascii(bytes([17, 4]) + BODY[2:]),
    "another byte count": in_ascii(bytes([17, 3, 6]) + BODY[3:]),
    "a byte more": in_ascii(BODY + b"\0"),
    "a byte less": in_ascii(BODY[:-1]),
    "wrong checksum": REPLY[:-3] + bytes([REPLY[-3] ^ 1]) + REPLY[-2:],
    "checksum of RTU": b":" + (BODY + b"\x12\x34").hex().upper().encode() + b"\r\n",
    "small letters": REPLY.lower(),
    "a blank between": REPLY[:5] + b" " + REPLY[5:],
    "half a byte more": REPLY[:-2] + b"0\r\n",
    "no colon": REPLY[1:],
    "no carriage return": REPLY[:-2] + b"\n",
    "no line feed": REPLY[:-1],
    "an exception of two bytes": in_ascii(bytes([17, 0x83, 2, 2])),
    "an exception of another function": in_ascii(bytes([17, 0x84, 2])),
    "only a unit": in_ascii(bytes([17])),
    "nothing": b":\r\n",
    "digits of another alphabet": REPLY[:7] + "\u0661".encode() + REPLY[9:],
}


@pytest.mark.parametrize("heard", WRONG.values(), ids=WRONG)
def test_nothing_else_is_taken(heard: bytes) -> None:
    assert ASCII.find(heard, 17, 3, 4) is None


def test_no_single_wrong_bit_is_taken() -> None:
    flipped = [
        bytes([*REPLY[: i // 8], REPLY[i // 8] ^ 1 << i % 8, *REPLY[i // 8 + 1 :]]) for i in range(8 * len(REPLY))
    ]

    assert {ASCII.find(reply, 17, 3, 4) for reply in flipped} == {None}


def test_no_part_of_a_reply_is_taken() -> None:
    assert {ASCII.find(REPLY[:end], 17, 3, 4) for end in range(len(REPLY))} == {None}


@given(st.lists(st.sampled_from([b":", b"11", b"03", b"\r\n", b"\r", REPLY, REPLY[:5], REPLY[3:]]), max_size=12))
def test_what_is_found_is_the_reply_and_is_found_whenever_it_is_there(pieces: list[bytes]) -> None:
    heard = b"".join(pieces)
    at = heard.find(REPLY)

    assert ASCII.find(heard, 17, 3, 4) == (None if at < 0 else (at, at + len(REPLY), BODY))
