"""A disk without a byte left, really: a small file system of the test's own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 100.0
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


def on_a_disk_of_its_own(folder: Path, module: str, *arguments: str) -> Any:
    """What a module prints that mounts a small disk on a folder."""
    probe = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this user may not mount a file system of its own")
    command = [*UNSHARE, sys.executable, "-m", module, str(folder), *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=DEADLINE_S)
    assert 0 == ran.returncode, ran.stderr[-2000:]
    return json.loads(ran.stdout)


@pytest.mark.parametrize("megabytes", [3, 4])
def test_a_full_disk_costs_the_oldest_segments_and_says_so(tmp_path: Path, megabytes: int) -> None:
    found = on_a_disk_of_its_own(tmp_path, "tests.buffer.full_disk", str(megabytes))

    assert (16_000, True, []) == (found["put"], found["right"], found["damage"])
    assert 0 < found["kept"] < 16_000
    assert [[[[1, found["first"] - 1]], "evicted"]] == found["gone"]


def test_somebody_elses_file_stops_the_buffer_from_growing_and_costs_no_more(tmp_path: Path) -> None:
    found = on_a_disk_of_its_own(tmp_path, "tests.buffer.scarce_disk")

    # It holds what it held, but for the segment that takes commits; and grows again when there is room.
    assert found["scarce"] <= found["before"] + found["slack"]
    assert found["scarce"] >= found["before"] - found["slack"]
    assert found["after"] > found["scarce"] + 2 * found["slack"]
