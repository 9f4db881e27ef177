"""What a day in fast-forward says of what it saw: a leak is one."""

from dataclasses import replace

import pytest

from tests.campaigns.day import GROWTH_HOUR_MAX, Look, grew, value

# Buses come and go, and an allocator takes and gives.
FLAT = [
    Look(hour, 42_000 + 300 * (hour % 3), 52_000 + hour % 5, 30 + hour % 4, 13, 14 + hour % 3) for hour in range(1, 25)
]


def test_a_level_day_is_well() -> None:
    assert all(finding.holds for finding in grew(FLAT))


@pytest.mark.parametrize(("name", "_", "least"), GROWTH_HOUR_MAX, ids=[name for name, *_ in GROWTH_HOUR_MAX])
def test_what_grows_each_hour_is_told(name: str, _: str, least: float) -> None:
    leaking = [replace(one, **{name: getattr(one, name) + 2 * least * one.hour}) for one in FLAT]

    assert [finding.holds for finding in grew(leaking)].count(False) == 1


def test_two_registers_never_hold_the_same() -> None:
    assert len({value(1000.0, address) for address in range(600)}) == 600
