"""The shim moves the wall clock of a process that runs, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

from tests.adversity.shims import WallClock

LOOK = """
import sys, time
from tidegate.clock import kernel_synchronised
for _ in sys.stdin:
    print(time.time(), time.monotonic(), kernel_synchronised(), flush=True)
"""
YEAR_S = 365 * 86_400.0


def test_wall_time_and_the_kernels_word_are_moved_while_it_runs_and_monotonic_time_is_not(tmp_path: Path) -> None:
    clock = WallClock(tmp_path)
    environment = {**os.environ, **clock.environment}
    seen = []
    with subprocess.Popen(
        [sys.executable, "-c", LOOK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for off_s, synchronised in ((0.0, False), (-YEAR_S, True)):
            clock.set(off_s, synchronised)
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic, said = process.stdout.readline().split()
            seen.append((float(wall), float(monotonic), said))
        process.stdin.close()

    assert [said for *_, said in seen] == ["False", "True"]
    assert abs(seen[1][0] - seen[0][0] + YEAR_S) < 5
    assert 0 <= seen[1][1] - seen[0][1] < 5
