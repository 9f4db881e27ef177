"""Whether a bus can do what is asked of it: what is said holds, and what is proposed is enough."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.acquire.capacity import LOAD_MAX, judge, measured, time, written
from tidegate.model.busplan import BusPlan, PlannedGroup
from tidegate.model.option import duration_s


def group(device: str, name: str, interval_s: float, time_s: float, deadline_s: float = 10.0) -> PlannedGroup:
    return PlannedGroup(device, name, interval_s, deadline_s, (), time_s)


def bus(*groups: PlannedGroup, lanes: int = 1) -> BusPlan:
    return BusPlan("ttyUSB0", "line", "9600 baud", lanes, groups)


def test_a_line_that_cannot_hold_a_second_is_told_what_it_needs_and_what_to_do() -> None:
    found = judge(bus(*(group(f"m{n}", "default", 1.0, 0.2) for n in range(7))))

    assert not found.holds
    assert found.what == "this line cannot hold 1 s: it needs 1.4 s"
    assert found.remedies == (
        'write interval = "2s" in [groups.default]', "move 3 of its 7 devices to another line"
    )  # fmt: skip


def test_where_slower_groups_leave_some_time_only_the_fastest_is_to_change() -> None:
    found = judge(bus(group("a", "fast", 0.1, 0.09), group("b", "slow", 10.0, 3.0)))

    assert found.what == "this line cannot hold 100 ms: it needs 129 ms"
    assert found.remedies[0] == 'write interval = "200ms" in [groups.fast]'


def test_where_the_slower_groups_alone_are_too_much_all_have_to_change() -> None:
    found = judge(bus(group("a", "fast", 1.0, 0.1), group("b", "slow", 2.0, 3.0)))

    assert found.what == "this line cannot hold its intervals: it needs 1.6 times as long"


def test_a_single_read_that_takes_longer_than_its_interval_can_be_held_by_no_number_of_connections() -> None:
    found = judge(bus(group("a", "fast", 1.0, 1.5), lanes=4))

    assert found.what == "a read of a, group fast, cannot hold its interval of 1 s: it needs 1.5 s"
    assert found.remedies[0] == 'write interval = "2s" in [groups.fast]'


def test_a_read_that_its_deadline_ends_is_told() -> None:
    found = judge(bus(group("a", "slow", 60.0, 11.0)))

    assert found.what == "a read of a, group slow, cannot hold its deadline of 10 s: it needs 11 s"


def test_little_to_spare_and_a_group_that_waits_for_another_are_notes() -> None:
    found = judge(bus(group("a", "fast", 0.5, 0.2), group("b", "slow", 2.0, 0.9)))

    assert found.holds
    assert ["to spare" in note or "waits while" in note for note in found.notes] == [True, True]


def test_reads_that_take_longer_than_was_foreseen_are_reckoned_with_as_they_are() -> None:
    foreseen = bus(group("a", "fast", 1.0, 0.1), group("a", "slow", 60.0, 2.0), group("b", "fast", 1.0, 0.1))
    found = measured(foreseen, {"a": 0.3})

    assert [one.time_s for one in found.groups] == pytest.approx([0.3, 6.0, 0.1])
    assert found.words == "9600 baud; reads as measured of 1 device"


GROUPS = st.lists(
    st.builds(
        lambda device, interval_s, time_s: group(f"d{device}", f"g{interval_s}", interval_s, time_s, 1e9),
        st.integers(0, 5), st.sampled_from([0.1, 0.5, 1.0, 5.0, 60.0]), st.floats(0.001, 2.0),
    ), min_size=1, max_size=12,
)  # fmt: skip


@given(GROUPS, st.integers(1, 4))
def test_the_interval_that_is_proposed_is_enough(groups: list[PlannedGroup], lanes: int) -> None:
    plan = bus(*groups, lanes=lanes)
    found = judge(plan)
    proposed = re.search(r'write interval = "(\w+)" in (.*)', " ; ".join(found.remedies[:1]))
    if found.holds:
        assert plan.load <= 1
        assert all(one.time_s <= one.interval_s for one in groups)
    elif proposed and plan.load > 1:
        interval_s = duration_s(proposed[1])
        changed = [replace(o, interval_s=interval_s) if f"[groups.{o.group}]" in proposed[2] else o for o in groups]

        assert bus(*changed, lanes=lanes).load <= LOAD_MAX + 1e-9


@pytest.mark.parametrize(
    ("seconds", "told", "in_file"), [(0.085, "85 ms", "85ms"), (1.0, "1 s", "1s"), (120.0, "120 s", "2min")]
)
def test_times_are_told_to_people_and_written_as_the_configuration_has_them(
    seconds: float, told: str, in_file: str
) -> None:
    assert (time(seconds), written(seconds)) == (told, in_file)
    assert duration_s(written(seconds)) == seconds
