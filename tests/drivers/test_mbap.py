"""Replies of Modbus TCP taken apart at once: all that came, or nothing, and the same by both twins."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate_drivers.modbus import _mbap_c, _mbap_py

TWINS = pytest.mark.parametrize("twin", [_mbap_c, _mbap_py], ids=["compiled", "pure"])
READ_TWO = (bytes([3, 0, 0, 0, 2]), 4)
READ_ONE = (bytes([3, 0, 9, 0, 1]), 2)


def reply(transaction: int, data: bytes, unit: int = 1, function: int = 3) -> bytes:
    return transaction.to_bytes(2, "big") + bytes([0, 0, 0, 3 + len(data), unit, function, len(data)]) + data


@TWINS
def test_replies_of_questions_under_way_are_taken_in_any_order(twin: ModuleType) -> None:
    heard = reply(8, b"cd") + reply(7, b"abcd")

    taken = twin.whole(bytearray(heard) + b"rest of before", len(heard), 1, {7: 0, 8: 1}, [READ_TWO, READ_ONE])

    assert {8: (1, b"cd"), 7: (0, b"abcd")} == taken


@TWINS
@pytest.mark.parametrize(
    "heard",
    [
        reply(9, b"abcd"),
        reply(7, b"abcd", unit=2),
        reply(7, b"abcd", function=4),
        reply(7, b"ab"),
        reply(7, b"abcdef"),
        reply(7, b"abcd")[:-1],
        reply(7, b"abcd") + b"\0",
        reply(7, b"abcd") + reply(7, b"abcd"),
        reply(7, b"abcd")[:2] + b"\0\1" + reply(7, b"abcd")[4:],
        reply(7, b"abcd")[:5] + b"\x08" + reply(7, b"abcd")[6:],
        b"\0\7\0\0\0\3\1\x83\2",
        b"\0\7",
    ],
    ids=[
        "not asked", "other unit", "other function", "short", "long", "broken off", "a byte behind", "twice",
        "no protocol", "other length", "exception", "no header",
    ],
)  # fmt: skip
def test_whatever_else_comes_is_left_to_a_closer_look(twin: ModuleType, heard: bytes) -> None:
    assert twin.whole(bytearray(heard), len(heard), 1, {7: 0, 8: 1}, [READ_TWO, READ_ONE]) is None


@TWINS
def test_only_reads_are_taken(twin: ModuleType) -> None:
    heard = reply(7, b"abcd", function=16)

    assert twin.whole(bytearray(heard), len(heard), 1, {7: 0}, [(bytes([16, 0, 0, 0, 2]), 4)]) is None


PIECES = st.lists(
    st.one_of(
        st.builds(reply, st.integers(0, 4), st.sampled_from([b"", b"ab", b"abcd", b"abcdef"]), st.integers(1, 2),
                  st.sampled_from([1, 3, 4, 0x83, 16])),
        st.binary(max_size=12),
    ),
    max_size=4,
)  # fmt: skip


@given(PIECES, st.integers(0, 40), st.integers(0, 3))
def test_both_twins_say_the_same(pieces: list[bytes], flip: int, by: int) -> None:
    heard = bytearray(b"".join(pieces))
    if flip < len(heard):
        heard[flip] ^= by
    due, questions = {1: 0, 2: 1, 3: 2}, [READ_TWO, READ_ONE, (bytes([1, 0, 0, 0, 9]), 2)]

    pure = _mbap_py.whole(heard, len(heard), 1, due, questions)

    assert pure == _mbap_c.whole(heard, len(heard), 1, due, questions)
