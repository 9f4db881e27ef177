"""The command `tidegate` as somebody types it, in a process of its own; also by somebody whom permissions hold up."""

import os
import subprocess
import sys
from pathlib import Path

DEADLINE_S = 60.0
# Root without these is held to modes like anybody else, and may still read this checkout wherever it lies.
_HELD = "-dac_override,-dac_read_search"
HELD = ["setpriv", f"--bounding-set={_HELD}", f"--inh-caps={_HELD}"] if os.geteuid() == 0 else []


def tidegate(*arguments: object, cwd: Path, held: bool = False, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run it to its end; with `held` it can't read what its mode forbids, also where the tests are run by root."""
    program = [sys.executable, "-c", "from tidegate.cli.main import main; main()"]
    return subprocess.run(
        [*(HELD if held else []), *program, *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, **env}, timeout=DEADLINE_S,
    )  # fmt: skip
