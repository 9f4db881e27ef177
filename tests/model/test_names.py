"""Names of values and bits, as a person sees them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.names import WIDTH_BITS, Names

STATES = Names(values=((-1, "Unknown"), (2, "Fault")))
BITS = Names(bits=((0, "Overload"), (3, "Door open"), (15, "Trip")))


@pytest.mark.parametrize(
    ("names", "value", "kind", "expected"),
    [
        (STATES, 2, "int16", "2 (Fault)"),
        (STATES, -1, "int16", "-1 (Unknown)"),
        (STATES, 7, "int16", "7"),
        (Names(values=((0, "Closed"), (1, "Open"))), 1, "bool", "true (Open)"),
        (BITS, 9, "uint16", "0x0009 (Overload, Door open)"),
        (BITS, 0x19, "uint16", "0x0019 (Overload, Door open, bit 4)"),
        (BITS, 0, "uint8", "0x00"),
        (BITS, -32768, "int16", "0x8000 (Trip)"),
        (Names(bits=((63, "Top"),)), -(2**63), "int64", "0x8000000000000000 (Top)"),
    ],
)
def test_a_value_is_shown_with_what_it_means(names: Names, value: int, kind: str, expected: str) -> None:
    assert expected == names.shown(value, kind)


@given(st.sampled_from([k for k in WIDTH_BITS if k != "bool"]), st.data())
def test_no_bit_that_is_set_goes_untold(kind: str, data: st.DataObject) -> None:
    width = WIDTH_BITS[kind]
    low, high = (0, 2**width - 1) if kind.startswith("u") else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
    value = data.draw(st.integers(low, high))
    named = data.draw(st.sets(st.integers(0, width - 1), min_size=1))
    shown = Names(bits=tuple((bit, f"n{bit}") for bit in sorted(named))).shown(value, kind)
    told = shown.partition(" (")[2].rstrip(")").split(", ") if "(" in shown else []
    expected = [f"n{bit}" if bit in named else f"bit {bit}" for bit in range(width) if value >> bit & 1]

    assert expected == told
