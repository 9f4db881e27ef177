"""Texts in other encodings than UTF-8: the letters that a person wrote, or a bad reading."""

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model import status
from tidegate.model.device import Group
from tidegate.model.frame import unpack_value
from tidegate.model.tag import Tag, Type
from tidegate_drivers.modbus import codec
from tidegate_drivers.modbus.driver import ModbusDriver
from tidegate_drivers.modbus.point import Point
from tidegate_drivers.modbus.tags import parse_tag

# Letters, none of which ends a text or fills it up.
LETTERS = st.characters(min_codepoint=0x21, max_codepoint=0x10FFFF, exclude_categories=("Cs", "Zs"))


def tag(length: int, **options: str) -> Tag:
    return Tag("a", Type.STRING, Type.STRING, "HR0", tuple({"length": str(length), **options}.items()), row=2)


def point(length: int, **options: str) -> Point:
    found, problems = parse_tag(tag(length, **options))
    assert found is not None, problems
    return found


def read(wire: bytes, encoding: str, **options: str) -> tuple[bool, object]:
    values, side = bytearray(8), bytearray(b"before")
    fine = codec.decode_text(wire, 0, point(len(wire), encoding=encoding, **options), values, 0, side)
    return fine, unpack_value(Type.STRING, bytes(values), bytes(side))


@pytest.mark.parametrize(
    ("wire", "encoding", "expected"),
    [
        # GB/T 2312-1980, GBK 1.0 and GB 18030-2022: the codes of these letters.
        ("d6d0cec4b5e7b1ed0000", "gbk", "中文电表"),
        ("b5e7b1ed3120202000ff", "gbk", "电表1"),
        ("90639439fc36", "gb18030", "恈😀"),
        ("8130813000", "gb18030", "\x80"),
        ("5a7b656c6c6520e9e8", "latin-1", "Z{elle éè"),
        ("b0430000ffff", "latin-1", "°C"),
        ("4e2d6587003100200020", "utf-16be", "中文1"),
        ("d83dde000000d800", "utf-16be", "😀"),
        ("01000100", "utf-16be", "ĀĀ"),
    ],
)
def test_letters_are_those_of_the_standard(wire: str, encoding: str, expected: str) -> None:
    assert read(bytes.fromhex(wire), encoding) == (True, expected)


@pytest.mark.parametrize(
    ("wire", "encoding"),
    [("d6", "gbk"), ("ff41", "gbk"), ("fe39fe39", "gb18030"), ("d800", "utf-16be"), ("e9", "utf-8")],
)
def test_what_is_no_text_in_its_encoding_is_not_made_into_one(wire: str, encoding: str) -> None:
    assert read(bytes.fromhex(wire), encoding) == (False, "")


def utf16(letter: str) -> bytes:
    """RFC 2781, §2.1, by arithmetic."""
    code = ord(letter)
    if code < 0x10000:
        return struct.pack(">H", code)
    return struct.pack(">HH", 0xD800 + (code - 0x10000 >> 10), 0xDC00 + (code - 0x10000 & 0x3FF))


def gb18030(letter: str) -> bytes:
    """GB 18030, letters beyond 0xFFFF, by arithmetic: four bytes from 90 30 81 30 on, by 10, 126 and 10."""
    tens, last = divmod(ord(letter) - 0x10000, 10)
    second, third = divmod(tens, 126)
    first, second = divmod(second, 10)
    return bytes((0x90 + first, 0x30 + second, 0x81 + third, 0x30 + last))


@given(st.text(LETTERS, min_size=1, max_size=20), st.booleans())
def test_utf_16_is_read_as_its_standard_writes_it(text: str, swapped: bool) -> None:
    wire = b"".join(utf16(letter) for letter in text) + bytes(4)
    if swapped:
        wire = b"".join(wire[i : i + 2][::-1] for i in range(0, len(wire), 2))

    assert read(wire, "utf-16be", order="BADC" if swapped else "ABCD") == (True, text)


@given(st.text(st.characters(min_codepoint=0x10000, max_codepoint=0x10FFFF), min_size=1, max_size=20))
def test_gb18030_is_read_as_its_standard_writes_it(text: str) -> None:
    assert read(b"".join(gb18030(letter) for letter in text), "gb18030") == (True, text)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF), min_size=1, max_size=40))
def test_latin_1_is_a_letter_a_byte(text: str) -> None:
    assert read(bytes(ord(letter) for letter in text), "latin-1") == (True, text)


@pytest.mark.parametrize(
    ("made", "column"), [(tag(4, encoding="ebcdic"), "encoding"), (tag(5, encoding="utf-16be"), "length")]
)
def test_what_can_not_be_is_one_problem_with_a_remedy(made: Tag, column: str) -> None:
    problems = parse_tag(made)[1]

    assert [(p.row, p.column, bool(p.remedy)) for p in problems] == [(2, column, True)]


def test_the_encoding_of_a_whole_table_is_meant_for_its_texts() -> None:
    found, problems = parse_tag(Tag("a", Type.UINT16, Type.UINT16, "HR0", (("encoding", "gbk"),)))

    assert str(found) == "holding 0x0000, 1 register, uint16"
    assert problems == []
    assert str(point(4, encoding="GBK")) == "holding 0x0000, 2 registers, string of 4 bytes in gbk"


def test_a_text_that_is_none_is_bad_and_the_next_one_is_good(rig: Any) -> None:
    plc = rig.machine({0: 0xFF41, 1: 0xB5E7, 2: 0xB1ED})
    tags = [Tag("no", Type.STRING, Type.STRING, "HR0", (("length", "2"), ("encoding", "gbk"))),
            Tag("yes", Type.STRING, Type.STRING, "HR1", (("length", "4"), ("encoding", "gbk")))]  # fmt: skip

    async def story(driver: ModbusDriver, group: Group, peer: Any) -> None:
        frame = await driver.read(group)

        assert rig.statuses(frame) == [status.BAD_DECODING_ERROR, status.GOOD]
        assert unpack_value(Type.STRING, frame.values[8:], frame.side) == "电表"

    rig.against(plc, tags, story)
