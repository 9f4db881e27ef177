"""Registers into few requests: all of them read, none cut in two, no limit passed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.tag import Type
from tidegate_drivers.modbus.cost import Cost
from tidegate_drivers.modbus.plan import Avoided, Limits, Plan, Request, arrange, plan
from tidegate_drivers.modbus.point import Function, Point
from tidegate_drivers.modbus.quirks import Quirks, Range


def words(*addresses: int, size: int = 1, function: Function = Function.HOLDING) -> list[Point]:
    return [Point(function, address, size, Type.UINT16) for address in addresses]


def asked(made: Plan) -> list[tuple[int, int, int]]:
    return [(request.function.value, request.address, request.count) for request in made.requests]


def test_125_registers_are_one_request() -> None:
    assert asked(plan(words(*range(125)), Limits())) == [(3, 0, 125)]


def test_the_126th_register_begins_another() -> None:
    assert asked(plan(words(*range(126)), Limits())) == [(3, 0, 125), (3, 125, 1)]


def test_2000_bits_are_one_request_and_2001_are_two() -> None:
    bits = words(*range(2001), function=Function.COIL)

    assert asked(plan(bits[:2000], Limits())) == [(1, 0, 2000)]
    assert asked(plan(bits, Limits())) == [(1, 0, 2000), (1, 2000, 1)]


def test_a_device_with_a_lower_limit_gets_smaller_requests() -> None:
    assert asked(plan(words(*range(0, 62, 2), size=2), Limits(registers_max=60))) == [(3, 0, 60), (3, 60, 2)]


def test_a_value_is_never_cut_in_two() -> None:
    assert asked(plan(words(*range(0, 128, 4), size=4), Limits())) == [(3, 0, 124), (3, 124, 4)]


def test_a_hole_up_to_the_limit_is_read_along_and_a_wider_one_is_not() -> None:
    assert asked(plan(words(0, 17), Limits(hole_registers_max=16))) == [(3, 0, 18)]
    assert asked(plan(words(0, 18), Limits(hole_registers_max=16))) == [(3, 0, 1), (3, 18, 1)]
    assert asked(plan(words(0, 2), Limits(hole_registers_max=0))) == [(3, 0, 1), (3, 2, 1)]


def test_each_kind_of_data_is_asked_for_by_its_function() -> None:
    points = [words(5, function=function)[0] for function in reversed(Function)]

    assert asked(plan(points, Limits())) == [(1, 5, 1), (2, 5, 1), (3, 5, 1), (4, 5, 1)]


def test_values_that_overlap_are_read_once() -> None:
    points = [*words(0, size=10), *words(2), *words(9, size=4)]

    assert asked(plan(points, Limits())) == [(3, 0, 13)]


def test_the_sdm630_map_takes_three_requests_of_at_most_60_registers() -> None:
    addresses = [*range(0x00, 0x24, 2), 0x34, 0x38, 0x3C, 0x3E, 0x46, 0x48, 0x4A, 0x156]
    made = plan(words(*addresses, size=2, function=Function.INPUT), Limits(registers_max=60))

    assert asked(made) == [(4, 0x00, 36), (4, 0x34, 24), (4, 0x156, 2)]


def test_the_question_is_function_address_and_count_on_the_wire() -> None:
    request = plan(words(0x006B, 0x006D), Limits()).requests[0]

    # Modbus Application Protocol V1.1b3, §6.3: the example of its table.
    assert request.question == bytes.fromhex("03006b0003")
    assert request.reply_bytes == 6


def test_a_request_is_split_at_its_widest_hole() -> None:
    first, second = plan(words(0, 1, 5, 6, 16, 17), Limits()).requests[0].split()

    assert [(r.address, r.count) for r in (first, second)] == [(0, 7), (16, 2)]


def test_a_request_without_holes_is_split_in_the_middle() -> None:
    first, second = plan(words(*range(9)), Limits()).requests[0].split()

    assert [(r.address, r.count) for r in (first, second)] == [(0, 4), (4, 5)]


POINTS = st.lists(
    st.builds(
        lambda function, address, size: Point(function, address, 1 if function <= 2 else size, Type.UINT16),
        st.sampled_from(Function),
        st.integers(0, 600),
        st.integers(1, 20),
    ),
    min_size=1,
    max_size=60,
)
RANGES = st.builds(
    lambda function, first, size: Range(function, first, first + size),
    st.sampled_from(Function), st.integers(0, 600), st.integers(1, 9),
)  # fmt: skip
QUIRKS = st.builds(Quirks, st.lists(RANGES, max_size=6).map(tuple), st.booleans(), st.booleans())
COSTS = st.builds(Cost, st.floats(0.001, 0.1), st.floats(0, 0.005))
LIMITS = st.builds(Limits, st.integers(22, 125), st.integers(0, 125), QUIRKS, COSTS)
CUTS = st.dictionaries(st.sampled_from(Function), st.lists(st.integers(0, 600), max_size=9).map(sorted))


def holes(request: Request) -> list[tuple[int, int]]:
    """First and end of each."""
    end, found = request.members[0][1].address, []
    for _, point in request.members:
        if point.address > end:
            found.append((end, point.address))
        end = max(end, point.end)
    return found


def fields(request: Request) -> int:
    """How many of its points lie in no other."""
    return 1 + len(request.cuts)


@given(POINTS, LIMITS, CUTS)
def test_any_plan_reads_every_point_once_and_whole_within_its_limits(
    points: list[Point], limits: Limits, cuts: dict[Function, list[int]]
) -> None:
    made = plan(points, limits, Avoided((), cuts))

    assert sorted(slot for request in made.requests for slot, _ in request.members) == list(range(len(points)))
    for request in made.requests:
        assert request.count <= limits.span(request.function)
        for first, end in holes(request):
            assert end - first <= limits.hole(request.function)
            assert limits.quirks.forbids(request.function, first, end) is None
            assert not any(first <= cut <= end for cut in cuts.get(request.function, ()))
        if limits.quirks.even_only and not request.function.of_bits:
            assert (request.address % 2, request.count % 2) == (0, 0)
        if limits.quirks.one_field:
            assert fields(request) == 1
        for slot, point in request.members:
            assert point == points[slot]
            assert point.function == request.function
            assert request.address <= point.address
            assert point.end <= request.address + request.count


def priced(requests: Sequence[Request], limits: Limits) -> float:
    """What requests cost by the model, a bit being an eighth of a byte."""
    data = [request.count / 8 if request.function.of_bits else 2 * request.count for request in requests]
    return sum(limits.cost.request_s + limits.cost.byte_s * size for size in data)


def greedy(points: list[Point], limits: Limits, hole_max: int) -> list[Request]:
    """One after the other in the order of addresses, as long as it fits."""
    requests: list[Request] = []
    for one in sorted(plan(points, replace(limits, quirks=replace(limits.quirks, one_field=True))).requests,
                      key=lambda request: (request.function, request.address)):  # fmt: skip
        if requests:
            joined = Request((*requests[-1].members, *one.members), limits.quirks)
            (gap,) = [address - end for end, address in holes(joined)][-1:] or [0]
            fits = joined.function == one.function and joined.count <= limits.span(one.function)
            forbidden = any(limits.quirks.forbids(one.function, *hole) for hole in holes(joined))
            if fits and gap <= hole_max and not forbidden and not limits.quirks.one_field:
                requests[-1] = joined
                continue
        requests.append(one)
    return requests


@given(POINTS, LIMITS, st.integers(0, 125))
def test_no_plan_costs_more_than_a_greedy_one_of_whatever_holes(
    points: list[Point], limits: Limits, hole_max: int
) -> None:
    other = greedy(points, limits, min(hole_max, limits.hole_registers_max))

    assert priced(plan(points, limits).requests, limits) <= priced(other, limits) + 1e-9


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(1, 4)), min_size=1, max_size=9), COSTS)
def test_a_plan_costs_as_little_as_the_best_of_all_ways_to_cut(spans: list[tuple[int, int]], cost: Cost) -> None:
    limits = Limits(registers_max=30, cost=cost)
    points = [Point(Function.HOLDING, address, size, Type.UINT16) for address, size in spans]
    alone = plan(points, replace(limits, quirks=Quirks(one_field=True))).requests
    best = float("inf")
    for cuts in product((False, True), repeat=len(alone) - 1):
        ways = [list(alone[:1])]
        for cut, one in zip(cuts, alone[1:], strict=True):
            ways.append([one]) if cut else ways[-1].append(one)
        joined = [Request(tuple(member for one in way for member in one.members)) for way in ways]
        if all(request.count <= 30 for request in joined):
            best = min(best, priced(joined, limits))

    assert best == pytest.approx(priced(plan(points, limits).requests, limits), abs=1e-9)


def test_what_was_refused_is_asked_for_alone_and_read_around() -> None:
    refused = plan(words(4), Limits()).requests[0].question
    made = plan(words(*range(9)), Limits(), Avoided([refused], {Function.HOLDING: [4]}))

    assert asked(made) == [(3, 0, 4), (3, 4, 1), (3, 5, 4)]


def test_a_wider_hole_is_read_along_where_a_request_costs_more() -> None:
    slow = Cost(request_s=0.03, byte_s=0.001)

    assert asked(plan(words(0, 15), Limits(cost=slow))) == [(3, 0, 16)]
    assert asked(plan(words(0, 17), Limits(cost=slow))) == [(3, 0, 1), (3, 17, 1)]


def test_a_thousand_tags_of_one_word_are_planned_in_no_time() -> None:
    bits = words(*[address for address in range(1000) for _ in range(16)])

    assert len(plan(bits, Limits()).requests) == 8


@given(POINTS, LIMITS)
def test_the_runs_name_the_request_of_each_slot_in_order(points: list[Point], limits: Limits) -> None:
    made = plan(points, limits)
    owners = [index for index, length in made.runs for _ in range(length)]

    assert [points[slot] in dict(made.requests[o].members).values() for slot, o in enumerate(owners)]
    assert all(slot in dict(made.requests[owner].members) for slot, owner in enumerate(owners))


@given(POINTS)
def test_splitting_again_and_again_ends_with_one_field_each_and_loses_none(points: list[Point]) -> None:
    requests = list(plan(points, Limits()).requests)
    while any(request.splittable for request in requests):
        wide = next(request for request in requests if request.splittable)
        requests.remove(wide)
        requests += wide.split()

    assert sum(length for _, length in arrange(requests).runs) == len(points)
    assert all(len({(point.address, point.end) for _, point in request.members}) == 1 for request in requests)
