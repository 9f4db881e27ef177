"""A disk whose n-th sync, write or read fails: the buffer lives, says nothing false, and is well again soon."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adversity.fault_writer import FRAMES, WELL_S
from tests.adversity.shim import build, under

ROOT = Path(__file__).parent.parent.parent
# (mode of faults.c, how many numbers): a commit that failed is tried again after a second.
SWEEPS = {
    "sync EIO": (1, 6),
    "write ENOSPC": (2, 6),
    "write EIO": (3, 6),
    "write cut short": (4, 6),
    "read EIO": (5, 6),
}


@pytest.mark.parametrize(("mode", "count"), SWEEPS.values(), ids=SWEEPS.keys())
def test_the_nth_fault_costs_nothing(tmp_path: Path, mode: int, count: int) -> None:
    state, control = tmp_path / "state", tmp_path / "control"
    control.write_bytes(bytes(16))
    environment = under(build("faults", tmp_path), FAULTS_BELOW=state, FAULTS_BY=control)
    command = [
        sys.executable,
        "-m",
        "tests.adversity.fault_writer",
        str(state),
        str(control),
        str(mode),
        "1",
        str(count),
    ]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr[-2000:]
    found = json.loads(ran.stdout)

    assert (True, [], count * FRAMES) == (found["right"], found["damage"], found["put"])
    assert max(moment["well_s"] for moment in found["moments"]) <= WELL_S
    assert mode == 5 or all(moment["failed"] for moment in found["moments"])
