"""Versions have their natural order, and ranges hold what a person would say they hold."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.profiles.firmware import Range, key

RISING = ["0.9", "1", "1.2", "1.2b", "1.2.1", "1.9", "1.14", "1.14.3", "2.0", "10.1"]
HUAWEI = ["V100R001C00SPC120", "V100R001C20SPC113", "V200R001C00SPC001"]


@pytest.mark.parametrize(("lower", "higher"), [*pairwise(RISING), *pairwise(HUAWEI)])
def test_versions_have_their_natural_order(lower: str, higher: str) -> None:
    assert key(lower) < key(higher)


@pytest.mark.parametrize(("one", "other"), [("1.0", "1"), ("V1.4", "1.4"), ("v 2.1", "2.1"), ("1.02", "1.2")])
def test_one_version_in_two_spellings_is_one(one: str, other: str) -> None:
    assert key(one) == key(other)


@pytest.mark.parametrize(
    ("text", "version", "held"),
    [
        ("any", "0.1", True), ("any", "", True),
        (">=1.14", "1.14", True), (">=1.14", "1.9", False), (">=1.14", "1.14.1", True), ("from 1.14", "1.9", False),
        ("up to 1.12", "1.12", True), ("up to 1.12", "1.9", True), ("<=1.12", "1.13", False),
        ("2.x", "2.0", True), ("2.x", "2", True), ("2.x", "2.14", True), ("2.x", "20.1", False), ("2.x", "1.9", False),
        ("1.0.x", "1.0.7", True), ("1.0.x", "1.1", False), ("1.0.x", "1", True),
        (">=1.14, <2", "1.99", True), (">=1.14, <2", "2.0", False), ("=1.5", "1.5.0", True), ("1.5", "1.50", False),
        (">1.5", "1.5", False), ("<2", "2.0", False),
    ],
)  # fmt: skip
def test_a_range_holds_what_it_says(text: str, version: str, held: bool) -> None:
    assert Range.parse(text).holds(version) is held


@pytest.mark.parametrize("text", ["", ">=", "1.2,", ">=2.x", "~1.2", "x" * 65])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"firmware|stands for"):
        Range.parse(text)


@pytest.mark.parametrize("text", ["¹", "٣", "9" * 5000, "", "\x00", "1" + "." * 5000])
def test_what_is_no_version_does_no_harm(text: str) -> None:
    assert key(text) == key(text.upper())
    assert not Range.parse("2.x").holds(text)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6), st.lists(st.integers(0, 10**6), min_size=1, max_size=6))
def test_dotted_numbers_are_ordered_as_their_numbers_are(one: list[int], other: list[int]) -> None:
    def bare(numbers: list[int]) -> list[int]:
        width = max(len(one), len(other))
        return numbers + [0] * (width - len(numbers))

    texts = [".".join(map(str, numbers)) for numbers in (one, other)]

    assert (key(texts[0]) < key(texts[1])) == (bare(one) < bare(other))
