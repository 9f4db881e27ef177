"""RTU frames: the checksum is the standard's, the reply is found through noise, and both twins find the same."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.serial_line import framed
from tidegate_drivers.modbus import _rtu_c, _rtu_py

TWINS = pytest.mark.parametrize("twin", [_rtu_c, _rtu_py], ids=["compiled", "pure"])
REPLY = framed(bytes([17, 3, 4, 0, 1, 0, 2]))


@TWINS
@pytest.mark.parametrize(("body", "wire"), [("01030000000a", "c5cd"), ("0207", "4112"), ("", "ffff")])
def test_the_checksum_is_that_of_the_standard(twin: ModuleType, body: str, wire: str) -> None:
    assert bytes.fromhex(wire) == twin.crc16(bytes.fromhex(body)).to_bytes(2, "little")


@TWINS
@pytest.mark.parametrize("noise", [b"", b"\x00", b"\xff\x11\x03", b"\x11\x03\x04", REPLY[:-1]], ids=bytes.hex)
def test_a_reply_is_found_behind_noise_and_before_more(twin: ModuleType, noise: bytes) -> None:
    assert len(noise) == twin.find(noise + REPLY + b"\x00\x11", 17, 3, 4)


@TWINS
def test_an_exception_of_the_function_is_a_reply(twin: ModuleType) -> None:
    assert twin.find(b"\x83" + framed(bytes([17, 0x83, 2])), 17, 3, 4) == 1


@TWINS
@pytest.mark.parametrize(
    ("unit", "function", "reply_bytes"), [(18, 3, 4), (17, 4, 4), (17, 3, 6)], ids=["unit", "function", "length"]
)
def test_what_is_not_the_reply_is_not_found(twin: ModuleType, unit: int, function: int, reply_bytes: int) -> None:
    assert twin.find(REPLY, unit, function, reply_bytes) == -1


@TWINS
def test_no_single_wrong_bit_is_taken(twin: ModuleType) -> None:
    flipped = [
        bytes([*REPLY[: i // 8], REPLY[i // 8] ^ 1 << i % 8, *REPLY[i // 8 + 1 :]]) for i in range(8 * len(REPLY))
    ]

    assert {twin.find(reply, 17, 3, 4) for reply in flipped} == {-1}


@TWINS
def test_no_part_of_a_reply_is_taken(twin: ModuleType) -> None:
    assert {twin.find(REPLY[:end], 17, 3, 4) for end in range(len(REPLY))} == {-1}


@given(st.lists(st.sampled_from([b"\x11", b"\x03", b"\x04", b"\x83", b"\x00", REPLY, REPLY[:5]]), max_size=12))
def test_both_twins_find_the_same(pieces: list[bytes]) -> None:
    heard = b"".join(pieces)

    assert _rtu_py.find(heard, 17, 3, 4) == _rtu_c.find(heard, 17, 3, 4)


@given(st.binary(max_size=300))
def test_both_twins_have_one_checksum(data: bytes) -> None:
    assert _rtu_py.crc16(data) == _rtu_c.crc16(data)
