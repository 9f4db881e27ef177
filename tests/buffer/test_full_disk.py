"""A disk without a byte left, really: a small file system of the test's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]


@pytest.mark.parametrize("megabytes", [3, 4])
def test_a_full_disk_costs_the_oldest_segments_and_says_so(tmp_path: Path, megabytes: int) -> None:
    probe = subprocess.run([*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", tmp_path], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip("this user may not mount a file system of its own")
    command = [*UNSHARE, sys.executable, "-m", "tests.buffer.full_disk", str(tmp_path), str(megabytes)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert 0 == ran.returncode, ran.stderr[-2000:]
    found = json.loads(ran.stdout)

    assert (16_000, True, []) == (found["put"], found["right"], found["damage"])
    assert 0 < found["kept"] < 16_000
    assert [[[[1, found["first"] - 1]], "evicted"]] == found["gone"]
