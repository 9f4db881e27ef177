"""Guesses: every type and order is shown as the driver reads it, and the plausible ones are marked by named rules."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.acquire.guess import best, guesses
from tidegate.model.frame import PAIR
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus.codec import decode, step
from tidegate_drivers.modbus.tags import parse_tag

SLOTS = {Type.FLOAT32: "<f4x", Type.FLOAT64: "<d"}


def told(data: bytes, expect: float | None = None) -> list[tuple[str, str, str, object]]:
    return [(g.type, g.order, g.scale, g.value) for g in best(guesses(data, expect))]


@given(st.binary(min_size=8, max_size=8))
def test_every_guess_is_what_the_driver_would_read_under_those_words(data: bytes) -> None:
    for guess in guesses(data):
        kind = Type.of(guess.type)
        if guess.type == "string" or guess.coding:
            continue
        point, problems = parse_tag(Tag("t", kind, kind, "HR0", (("order", guess.order),)))
        assert point is not None, problems
        values = bytearray(PAIR.size)
        decode(data, step(0, point, 0), values)
        form = SLOTS.get(kind, "<q" if guess.type.startswith("int") else "<Q")

        assert struct.pack(form, guess.value) == struct.pack(form, *struct.unpack(form, values))


@pytest.mark.parametrize("order", ["ABCD", "BADC", "CDAB", "DCBA"])
def test_what_the_machine_shows_finds_its_order(order: str) -> None:
    wire = bytes(struct.pack(">f", 230.6)["ABCD".index(letter)] for letter in order)

    assert ("float32", order) == told(wire, 230)[0][:2]


def test_a_scaled_integer_is_found_by_what_the_machine_shows() -> None:
    assert ("int16", "AB", "0.1", 2301) == told(struct.pack(">h", 2301), 230)[0]


def test_a_reading_that_needs_no_scale_comes_before_those_that_do() -> None:
    assert ("float32", "ABCD", "", 50.0) == told(struct.pack(">f", 50.0) + bytes(4), 50)[0]


def test_zero_is_expected_where_it_is_said() -> None:
    assert "" == told(bytes(4), 0)[0][2]


@pytest.mark.parametrize(
    ("data", "kind", "reason"),
    [
        (struct.pack(">f", 49.98), "float32", "usual size"),
        (struct.pack(">f", -1e6), "float32", "usual size"),
        (struct.pack(">h", -12), "int16", "small"),
        (struct.pack(">q", 123_456_789), "int64", "small"),
        (bytes.fromhex("00123456"), "uint32", "decimal digits only"),
        (b"SDM630\0\0", "string", "printable"),
    ],
)
def test_a_rule_speaks_for_it(data: bytes, kind: str, reason: str) -> None:
    assert any(guess.type == kind and reason in guess.reasons for guess in guesses(data))


@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800000, 0xFF800000, 0x00000001, 0x4E800000])
def test_no_rule_speaks_for_a_float_that_is_none(bits: int) -> None:
    [guess] = [g for g in guesses(bits.to_bytes(4, "big")) if (g.type, g.order) == ("float32", "ABCD")]

    assert not guess.plausible


def test_zeros_say_nothing() -> None:
    assert [] == told(bytes(8))


@pytest.mark.parametrize("data", [b"", b"abc"])
def test_only_whole_registers_are_guessed(data: bytes) -> None:
    with pytest.raises(ValueError, match="no whole registers"):
        guesses(data)


@given(st.binary(min_size=2, max_size=20).filter(lambda data: len(data) % 2 == 0), st.none() | st.floats())
def test_no_bytes_and_no_expectation_are_too_strange(data: bytes, expect: Any) -> None:
    found = guesses(data, expect)

    assert all(guess in found for guess in best(found))
