"""The lock of a state folder, also where nothing can be written."""

import subprocess
import sys
from pathlib import Path

import pytest

from tidegate.buffer import lock
from tidegate.errors import BufferLocked

# Files may not grow at all: what a full disk does to a write.
TAKE_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from tidegate.buffer import lock
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
lock.take(Path(sys.argv[1]))
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_full_disk_does_not_keep_the_lock_from_being_taken(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE_ON_A_FULL_DISK, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert "taken\n" == holder.stdout.readline()
        with pytest.raises(BufferLocked, match="pid unknown"):
            lock.take(tmp_path)
        holder.communicate(timeout=10)

    assert 0 == holder.returncode
