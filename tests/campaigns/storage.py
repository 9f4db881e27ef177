"""The disk campaign: what disks do on bad days.

python -m tests.campaigns.storage [N] [--keep FOLDER] [--only PART]
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.campaigns.checker import Finding
from tests.campaigns.storage_sweep import sweep


def main() -> None:
    """The command: exits 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.storage")
    parser.add_argument("numbers", type=int, nargs="?", default=200)
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    parser.add_argument("--only", help="one part: sweep")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = given.keep or Path(tempfile.mkdtemp(prefix="tidegate-storage-"))
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Callable[[], list[Finding]]] = {
        "sweep": lambda: sweep(range(1, given.numbers + 1), folder),
    }
    held = True
    for name, part in parts.items():
        if given.only in (None, name):
            begun_s = time.monotonic()
            found = part()
            print(f"disk campaign, {name} ({time.monotonic() - begun_s:.0f} s)")
            print("\n".join(map(str, found)), flush=True)
            held = held and all(finding.holds for finding in found)
    if held and not given.keep:
        shutil.rmtree(folder)
    elif not held:
        print(f"kept for you to look at: {folder}")
    sys.exit(0 if held else 1)


if __name__ == "__main__":
    main()
