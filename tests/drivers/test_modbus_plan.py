"""Registers into few requests: all of them read, none cut in two, no limit passed."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.tag import Type
from tidegate_drivers.modbus.plan import Limits, Plan, Request, arrange, plan
from tidegate_drivers.modbus.point import Function, Point


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

    assert asked(made) == [(4, 0x00, 58), (4, 0x3C, 16), (4, 0x156, 2)]


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
LIMITS = st.builds(Limits, st.integers(20, 125), st.integers(0, 125))


def holes(request: Request) -> list[int]:
    end, found = request.address, []
    for _, point in request.members:
        found.append(point.address - end)
        end = max(end, point.end)
    return found


@given(POINTS, LIMITS)
def test_any_plan_reads_every_point_whole_within_its_limits(points: list[Point], limits: Limits) -> None:
    made = plan(points, limits)
    slots = sorted(slot for request in made.requests for slot, _ in request.members)

    assert slots == list(range(len(points)))
    for request in made.requests:
        assert request.count <= limits.span(request.function)
        assert max(holes(request)) <= limits.hole(request.function)
        for slot, point in request.members:
            assert point == points[slot]
            assert point.function == request.function
            assert request.address <= point.address
            assert point.end <= request.address + request.count


@given(POINTS, LIMITS)
def test_the_runs_name_the_request_of_each_slot_in_order(points: list[Point], limits: Limits) -> None:
    made = plan(points, limits)
    owners = [index for index, length in made.runs for _ in range(length)]

    assert [points[slot] in dict(made.requests[o].members).values() for slot, o in enumerate(owners)]
    assert all(slot in dict(made.requests[owner].members) for slot, owner in enumerate(owners))


@given(POINTS)
def test_splitting_again_and_again_ends_with_one_point_each_and_loses_none(points: list[Point]) -> None:
    requests = list(plan(points, Limits()).requests)
    while any(len(request.members) > 1 for request in requests):
        wide = next(request for request in requests if len(request.members) > 1)
        requests.remove(wide)
        requests += wide.split()

    assert len(arrange(requests).requests) == len(points)
