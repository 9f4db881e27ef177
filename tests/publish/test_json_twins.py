"""A frame's columns as JSON: both twins against each other and against the standard library's parser."""

import json
import math
import struct
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model.frame import pack_value
from tidegate.model.tag import Type
from tidegate.publish.formats import _json_c, _json_py

TWINS = [pytest.param(_json_c, id="compiled"), pytest.param(_json_py, id="pure")]
HEAD, TAIL = b'{"seq":7,', b"}"
INTEGERS = {
    Type.INT8: (-(2**7), 2**7 - 1), Type.UINT8: (0, 2**8 - 1), Type.INT16: (-(2**15), 2**15 - 1),
    Type.UINT16: (0, 2**16 - 1), Type.INT32: (-(2**31), 2**31 - 1), Type.UINT32: (0, 2**32 - 1),
    Type.INT64: (-(2**63), 2**63 - 1), Type.UINT64: (0, 2**64 - 1),
}  # fmt: skip


def encoded(
    twin: ModuleType, kind: Type, values: list[Any], status: int | list[int] = 0, source: int | list[int] = 1,
    server: bytes = b"",
) -> bytes:  # fmt: skip
    """All values as readings of one tag each."""
    side = bytearray()
    slots = b"".join(pack_value(kind, v, side) for v in values)
    n = len(values)
    codes = struct.pack(f"<{n}I", *status) if isinstance(status, list) else struct.pack("<I", status)
    times = struct.pack(f"<{n}q", *source) if isinstance(source, list) else struct.pack("<q", source)
    tags = struct.pack(f"<{n}I", *range(n))
    made = twin.frame(HEAD, TAIL, bytes([kind]) * n, n, 0, n, tags, times, server, codes, slots, bytes(side))
    return bytes(made)


@pytest.mark.parametrize("twin", TWINS)
def test_the_object_is_the_one_of_the_format(twin: ModuleType) -> None:
    made = encoded(twin, Type.INT16, [-5, 12, 7], [0, 0x80310000, 0], [10, 11, 12], struct.pack("<q", 9))

    assert made == b'{"seq":7,"t":[10,11,12],"tags":[0,1,2],"v":[-5,null,7],"st":[0,2150694912,0],"ts":9}'


@pytest.mark.parametrize("twin", TWINS)
def test_what_is_the_same_for_all_is_said_once(twin: ModuleType) -> None:
    made = encoded(twin, Type.BOOL, [True, False], [0x40000000, 0x40000000], [10, 10])

    assert made == b'{"seq":7,"t":10,"tags":[0,1],"v":[true,false],"st":1073741824}'


@pytest.mark.parametrize("twin", TWINS)
def test_a_frame_without_readings_is_empty_lists(twin: ModuleType) -> None:
    assert twin.frame(HEAD, TAIL, b"", 0, 0, 0, b"", b"", b"", b"", b"", b"") == b'{"seq":7,"t":[],"tags":[],"v":[]}'


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Type.UINT64, 2**64 - 1, '"18446744073709551615"'),
        (Type.UINT64, 2**53, '"9007199254740992"'),
        (Type.UINT64, 2**53 - 1, "9007199254740991"),
        (Type.INT64, -(2**63), '"-9223372036854775808"'),
        (Type.INT64, -(2**53) + 1, "-9007199254740991"),
        (Type.FLOAT64, -0.0, "-0.0"),
        (Type.FLOAT64, 5e-324, "5e-324"),
        (Type.FLOAT64, 1e16, "1e+16"),
        (Type.FLOAT64, 230.1, "230.1"),
        (Type.FLOAT64, 0.001, "0.001"),
        (Type.FLOAT64, 0.1 + 0.2, "0.30000000000000004"),
        (Type.FLOAT32, -0.0, "-0.0"),
        (Type.FLOAT32, 230.1, "230.1"),
        (Type.FLOAT32, 16777216.0, "16777216.0"),
        (Type.FLOAT32, 16777216.0 * 8, "134217730.0"),
        (Type.FLOAT32, 1.401298464324817e-45, "1e-45"),
        (Type.FLOAT32, 3.4028234663852886e38, "3.4028235e+38"),
        (Type.FLOAT32, 5.684341886080802e-14, "5.684342e-14"),
        (Type.STRING, "", '""'),
        (Type.STRING, 'a"\\\n\x00\x1f\x7f/', '"a\\"\\\\\\n\\u0000\\u001f\x7f/"'),
        (Type.STRING, "电表 é 🜁", '"电表 é 🜁"'),
    ],
    ids=str,
)
def test_values_are_exact_to_the_last_bit(twin: ModuleType, kind: Type, value: Any, text: str) -> None:
    assert encoded(twin, kind, [value]).decode() == f'{{"seq":7,"t":1,"tags":[0],"v":[{text}]}}'


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("kind", [Type.FLOAT32, Type.FLOAT64])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_can_not_say_is_null_and_out_of_range(twin: ModuleType, kind: Type, value: float) -> None:
    assert json.loads(encoded(twin, kind, [1.5, value]))["v"] == [1.5, None]
    assert json.loads(encoded(twin, kind, [1.5, value]))["st"] == [0, 0x803C0000]
    assert json.loads(encoded(twin, kind, [1.5, value], 0x80310000))["st"] == 0x80310000


@pytest.mark.parametrize("twin", TWINS)
def test_columns_of_a_wrong_length_are_refused(twin: ModuleType) -> None:
    good = [b"\5\5", 2, 0, 2, bytes(8), bytes(16), b"", bytes(8), bytes(16), b""]
    for place, wrong in ((4, bytes(7)), (5, bytes(17)), (6, bytes(9)), (7, bytes(12)), (8, b""), (0, b""), (3, 3)):
        arguments = [*good[:place], wrong, *good[place + 1 :]]

        with pytest.raises(ValueError, match=r"column|tag|readings"):
            twin.frame(HEAD, TAIL, *arguments)


@pytest.mark.parametrize("twin", TWINS)
def test_a_string_that_points_past_its_bytes_is_cut(twin: ModuleType) -> None:
    slot = struct.pack("<II", 1, 99)

    made = twin.frame(HEAD, TAIL, b"\x0c", 1, 0, 1, bytes(4), bytes(8), b"", bytes(4), slot, b"ab\xff")

    assert json.loads(made)["v"] == ["b�"]


@st.composite
def frames(draw: st.DrawFn) -> tuple[Any, ...]:
    """Arguments of `frame` with every type, constant and listed columns, and slices."""
    n = draw(st.integers(0, 12))
    kinds = draw(st.lists(st.sampled_from(list(Type)), min_size=1, max_size=4))
    start = draw(st.integers(0, n))
    stop = draw(st.integers(start, n))
    side = draw(st.binary(max_size=30))

    def column(width: int, item: st.SearchStrategy[bytes]) -> bytes:
        constant = n > 1 and draw(st.booleans())
        return b"".join(draw(st.lists(item, min_size=1 if constant else n, max_size=1 if constant else n)))

    tags = column(4, st.integers(0, len(kinds) - 1).map(lambda i: struct.pack("<I", i)))
    times = st.one_of(st.just(5), st.integers(-(2**63), 2**63 - 1)).map(lambda t: struct.pack("<q", t))
    codes = st.sampled_from([0, 0x40900000, 0x80310000, 0xFFFFFFFF]).map(lambda c: struct.pack("<I", c))
    small = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda p: struct.pack("<II", *p))
    slots = st.one_of(st.binary(min_size=8, max_size=8), small, st.floats().map(lambda f: struct.pack("<d", f)))
    server = column(8, times) if draw(st.booleans()) else b""
    return (bytes(kinds), n, start, stop, tags, column(8, times), server, column(4, codes), column(8, slots), side)


@settings(max_examples=600, deadline=None)
@given(frames())
def test_the_twins_agree_on_every_frame(arguments: tuple[Any, ...]) -> None:
    made = _json_c.frame(HEAD, TAIL, *arguments)

    assert made == _json_py.frame(HEAD, TAIL, *arguments)
    json.loads(made)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_float32_comes_back_bit_by_bit(values: list[float]) -> None:
    made = encoded(_json_c, Type.FLOAT32, values)

    assert made == encoded(_json_py, Type.FLOAT32, values)
    assert struct.pack("<30f", *json.loads(made)["v"], *[0] * (30 - len(values)))[: 4 * len(values)] == struct.pack(
        f"<{len(values)}f", *values
    )


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(-(10**9), 10**9), min_size=1), st.integers(0, 12))
def test_decimals_print_as_they_were_meant(numbers: list[int], places: int) -> None:
    values = [n / 10**places for n in numbers]
    made = encoded(_json_c, Type.FLOAT64, values)

    assert made == encoded(_json_py, Type.FLOAT64, values)
    assert json.loads(made)["v"] == values


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(INTEGERS)).flatmap(lambda k: st.tuples(st.just(k), st.lists(st.integers(*INTEGERS[k])))))
def test_integers_come_back_whole(kind_and_values: tuple[Type, list[int]]) -> None:
    kind, values = kind_and_values
    if not values:
        return

    assert [int(v) for v in json.loads(encoded(_json_c, kind, values))["v"]] == values


@pytest.mark.parametrize("twin", TWINS)
def test_a_list_of_tags_that_somebody_has_stands_as_it_is(twin: ModuleType) -> None:
    tags, values = struct.pack("<3I", 0, 1, 2), struct.pack("<3q", 5, 6, 7)
    columns = (tags, struct.pack("<q", 9), b"", bytes(4), values, b"")

    plain = twin.frame(HEAD, TAIL, bytes([Type.INT16]) * 3, 3, 0, 3, *columns)

    assert plain == twin.frame(HEAD, TAIL, bytes([Type.INT16]) * 3, 3, 0, 3, *columns, b"0,1,2")
