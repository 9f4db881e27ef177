"""A frame's bytes: both twins, every type, every damage."""

import math
import struct
from collections.abc import Callable
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.errors import FrameDamaged
from tidegate.model import _frame_c, _frame_py
from tidegate.model.frame import I64, U32, Frame, pack_value, readings, unpack_value
from tidegate.model.tag import Tag, TagTable, Type

TWINS = pytest.mark.parametrize("twin", [_frame_c, _frame_py], ids=["compiled", "pure"])
U64 = (1 << 64) - 1


@st.composite
def parts(draw: Callable[[st.SearchStrategy[object]], object]) -> tuple[object, ...]:
    """Arguments of `encode`: any columns, constant or listed."""
    count = draw(st.integers(0, 6))

    def column(width: int) -> bytes:
        items = 1 if draw(st.booleans()) and count > 1 else count  # type: ignore[operator]
        return bytes(draw(st.binary(min_size=items * width, max_size=items * width)))  # type: ignore[operator, call-overload]

    return (
        draw(st.integers(0, 255)), draw(st.integers(0, 2)), draw(st.integers(0, 2)),
        str(draw(st.text(max_size=12))).encode("utf-8", "replace"), draw(st.binary(min_size=8, max_size=8)), count,
        draw(st.integers(0, 2**32 - 1)), draw(st.integers(-(2**63), 2**63 - 1)),
        draw(st.integers(-(2**63), 2**63 - 1)), column(4), column(8), draw(st.sampled_from([b"", column(8)])),
        column(4), column(8), draw(st.binary(max_size=20)),
    )  # fmt: skip


@given(parts())
def test_twins_write_the_same_bytes_and_read_them_back(some: tuple[object, ...]) -> None:
    written = _frame_py.encode(*some)  # type: ignore[arg-type]

    assert written == _frame_c.encode(*some)
    assert some == _frame_py.decode(written)
    assert some == _frame_c.decode(written)


def sample() -> Frame:
    return Frame(
        "电表1", b"8 bytes.", 2, 7, -5, 1_800_000_000_000_000, U32.pack(0) + U32.pack(1), I64.pack(3), U32.pack(0),
        bytes(range(16)), b"side",
    )  # fmt: skip


@TWINS
def test_every_flipped_bit_is_noticed(twin: ModuleType) -> None:
    good = sample().encode()
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FrameDamaged):
            twin.decode(bytes(bad))


@TWINS
def test_every_cut_is_noticed(twin: ModuleType) -> None:
    good = sample().encode()
    for length in range(len(good)):
        with pytest.raises(FrameDamaged):
            twin.decode(good[:length])


@TWINS
def test_an_unknown_version_is_said(twin: ModuleType) -> None:
    with pytest.raises(FrameDamaged, match="version 2"):
        twin.decode(b"\x02" + sample().encode()[1:])


@TWINS
@pytest.mark.parametrize(
    ("wrong", "what"),
    [({"count": 3}, "column"), ({"boot": 2**32}, "header"), ({"table": b"7 bytes"}, "hash"), ({"kind": 256}, "header")],
)
def test_a_frame_that_does_not_fit_is_refused(twin: ModuleType, wrong: dict[str, object], what: str) -> None:
    names = ("kind", "clock", "origin", "device", "table", "count", "boot", "mono_us", "gateway_us", "tags",
             "source_us", "server_us", "status", "values", "side")  # fmt: skip
    frame = sample()
    given = {name: getattr(frame, name) for name in names} | {"device": b"m"} | wrong

    with pytest.raises(ValueError, match=what):
        twin.encode(*given.values())


EXACT = [
    (Type.UINT64, U64), (Type.INT64, -(2**63)), (Type.INT64, 2**63 - 1), (Type.UINT32, 2**32 - 1), (Type.INT8, -128),
    (Type.BOOL, True), (Type.BOOL, False), (Type.STRING, ""), (Type.STRING, "温度 °C"), (Type.FLOAT64, 5e-324),
    (Type.FLOAT64, -0.0), (Type.FLOAT32, 1e-45), (Type.FLOAT32, -0.0), (Type.FLOAT64, math.inf),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value"), EXACT, ids=lambda x: getattr(x, "word", repr(x)))
def test_a_slot_gives_back_exactly_what_was_put_in(kind: Type, value: bool | int | float | str) -> None:
    side = bytearray(b"before")
    slot = pack_value(kind, value, side)
    back = unpack_value(kind, slot, bytes(side))
    expected = struct.unpack("<f", struct.pack("<f", value))[0] if kind == Type.FLOAT32 else value

    assert expected == back
    assert repr(expected) == repr(back)


def test_nan_keeps_its_bits() -> None:
    slot = struct.pack("<Q", 0x7FF4_0000_DEAD_BEEF)
    frame = Frame("m", b"8 bytes.", 1, 1, 1, 1, U32.pack(0), I64.pack(1), U32.pack(0), slot)

    assert slot == Frame.decode(frame.encode()).values


def test_readings_repeat_what_is_constant() -> None:
    table = TagTable("m", (Tag("a", Type.INT64, Type.INT64), Tag("b", Type.STRING, Type.STRING)))
    side = bytearray()
    values = pack_value(Type.INT64, -7, side) + pack_value(Type.STRING, "on", side)
    tags = U32.pack(0) + U32.pack(1)
    frame = Frame("m", table.hash, 2, 1, 1, 1, tags, I64.pack(42), U32.pack(0), values, bytes(side))

    assert [(r.tag, r.value, r.source_us) for r in readings(frame, table)] == [("a", -7, 42), ("b", "on", 42)]
