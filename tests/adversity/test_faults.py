"""A disk whose n-th sync, write or read fails: at test size, and at numbers where it once cost something."""

from pathlib import Path

import pytest

from tests.adversity.faulty import Fault
from tests.campaigns.storage_sweep import FAULTS, sweep

HURT = {
    "a lock that could not be written was never let go of": ([Fault.WRITE_EIO], [1, 4]),
    "a start that failed left control.db open": ([Fault.READ_ONLY, Fault.SYNC_EIO], [2, 13, 55]),
    "a newest segment that could not be synced was salvaged without room": ([Fault.SYNC_ENOSPC], [8, 9]),
    "a newest segment that could not be read for a second was given up": ([Fault.READ_EIO], [48, 55, 70]),
}


@pytest.mark.parametrize(("faults", "numbers"), HURT.values(), ids=HURT.keys())
def test_what_once_hurt_does_so_no_more(tmp_path: Path, faults: list[Fault], numbers: list[int]) -> None:
    assert [] == [str(found) for found in sweep(numbers, tmp_path, faults) if not found.holds]


def test_the_nth_fault_costs_nothing(tmp_path: Path) -> None:
    found = sweep((3, 40, 90), tmp_path, (*FAULTS, Fault.WRITE_SHORT))

    assert [] == [str(one) for one in found if not one.holds]
