"""Ranges against Python's own set of integers, which is what it stands for."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.proof import Ranges

NUMBER_MAX = 60
numbers = st.integers(0, NUMBER_MAX)
spans = st.tuples(numbers, st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))
many_spans = st.lists(spans, max_size=12)


def members(pairs: list[tuple[int, int]]) -> set[int]:
    return {n for first, last in pairs for n in range(first, last + 1)}


def in_set(ranges: Ranges) -> set[int]:
    return members(list(ranges))


def test_neighbours_become_one_range() -> None:
    assert Ranges([(1, 3), (7, 9), (4, 6)]).pairs == [[1, 9]]


def test_removing_a_range_that_ends_before_it_begins_removes_nothing() -> None:
    ranges = Ranges([(1, 10)])
    ranges.remove(7, 3)

    assert [[1, 10]] == ranges.pairs


def test_the_head_of_a_set_is_bounded_in_numbers_and_in_ranges() -> None:
    ranges = Ranges([(1, 3), (5, 9), (20, 29)])

    assert [[[1, 3], [5, 6]], [[1, 3]], [], []] == [
        ranges.head(numbers, most).pairs for numbers, most in ((5, 9), (5, 1), (0, 9), (-1, 9))
    ]


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="must not end before it begins"):
        Ranges().add(5, 4)


def test_the_printed_set_says_what_it_holds() -> None:
    assert repr(Ranges([(1, 2), (4, 4)])) == "Ranges([[1, 2], [4, 4]])"


def test_memory_is_by_ranges_and_not_by_numbers() -> None:
    ranges = Ranges([(1, 2**53 - 1)])

    assert (len(ranges), ranges.total) == (1, 2**53 - 1)


@given(many_spans)
def test_the_shape_is_sorted_disjoint_and_not_adjacent(pairs: list[tuple[int, int]]) -> None:
    shape = Ranges(pairs).pairs

    assert all(a <= b for a, b in shape)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(shape))


@given(many_spans)
def test_it_holds_what_was_put_in(pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)

    assert members(pairs) == in_set(ranges)
    assert len(members(pairs)) == ranges.total
    assert bool(members(pairs)) == bool(ranges)
    assert members(pairs) == {n for n in range(NUMBER_MAX * 2) if n in ranges}


@given(many_spans, spans)
def test_adding_counts_what_was_new(pairs: list[tuple[int, int]], span: tuple[int, int]) -> None:
    ranges = Ranges(pairs)

    assert len(members([span]) - members(pairs)) == ranges.add(*span)


@given(many_spans, numbers, numbers)
def test_removing_takes_out_exactly_what_was_said(pairs: list[tuple[int, int]], first: int, last: int) -> None:
    ranges = Ranges(pairs)
    ranges.remove(first, last)

    assert members(pairs) - set(range(first, last + 1)) == in_set(ranges)
    assert Ranges(ranges.pairs) == ranges


@given(many_spans, numbers, numbers)
def test_holes_and_members_share_a_stretch_between_them(pairs: list[tuple[int, int]], first: int, last: int) -> None:
    ranges, stretch = Ranges(pairs), set(range(first, last + 1))

    assert stretch - members(pairs) == in_set(ranges.holes(first, last))
    assert stretch & members(pairs) == in_set(ranges.within(first, last))


@given(many_spans, many_spans)
def test_union_and_difference_are_those_of_sets(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    union = Ranges(left)
    union.update(Ranges(right))

    assert members(left) | members(right) == in_set(union)
    assert members(left) - members(right) == in_set(Ranges(left).without(Ranges(right)))


@given(many_spans, numbers)
def test_reach_is_the_end_of_the_unbroken_stretch(pairs: list[tuple[int, int]], first: int) -> None:
    expected = first - 1
    while expected + 1 in members(pairs):
        expected += 1

    assert expected == Ranges(pairs).reach(first)


@given(many_spans, spans)
def test_a_copy_does_not_follow_the_original(pairs: list[tuple[int, int]], span: tuple[int, int]) -> None:
    ranges = Ranges(pairs)
    copied = ranges.copy()
    ranges.add(*span)

    assert members(pairs) == in_set(copied)


@given(many_spans)
def test_equal_sets_are_equal_however_they_were_made(pairs: list[tuple[int, int]]) -> None:
    assert Ranges(pairs) == Ranges(reversed(pairs))


def test_people_read_ranges_as_first_and_last() -> None:
    assert "1..4, 7..7" == str(Ranges([(1, 4), (7, 7)]))
    assert "none" == str(Ranges())
