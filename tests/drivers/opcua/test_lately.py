"""What was told last of each tag is known, by both twins alike."""

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.frame import U32
from tidegate_drivers.opcua import _lately_c, _lately_py

EITHER = pytest.mark.parametrize("twin", [_lately_c, _lately_py], ids=["compiled", "pure"])


@EITHER
@given(st.lists(st.tuples(st.integers(0, 9), st.binary(min_size=8, max_size=8))))
def test_what_was_told_last_of_each_tag_is_noted(twin: ModuleType, told: list[tuple[int, bytes]]) -> None:
    last = bytearray(80)
    twin.note(last, b"".join(U32.pack(tag) for tag, _ in told), b"".join(item for _, item in told))
    expected = {**dict.fromkeys(range(10), bytes(8)), **dict(told)}

    assert b"".join(expected[tag] for tag in range(10)) == last


@EITHER
def test_one_item_is_noted_for_all(twin: ModuleType) -> None:
    last = bytearray(24)
    twin.note(last, U32.pack(0) + U32.pack(2), b"12345678")

    assert b"12345678" + bytes(8) + b"12345678" == last


@EITHER
def test_a_tag_without_a_place_is_not_noted(twin: ModuleType) -> None:
    for tags, items in ((U32.pack(1), bytes(8)), (b"\0\0\0", bytes(8)), (U32.pack(0) * 3, bytes(16))):
        with pytest.raises(ValueError, match=r"no place|an item"):
            twin.note(bytearray(8), tags, items)
