"""The disk campaign: what disks do on bad days.

    python -m tests.campaigns.storage [N] [--only PART] [--seed S] [--keep FOLDER]

sweep      the first, second ... 200th sync, write and read fails (N numbers of them, evenly)
full       somebody else's file takes the whole disk of a running gateway
readonly   the file system turns read-only under a running gateway
rot        bits flip in files that lie there
"""

import argparse
import os
import random
import subprocess
import time
from pathlib import Path

from demo.child import ROOT, python
from tests.campaigns.checker import Finding
from tests.campaigns.scene import leave, workplace
from tests.campaigns.storage_agent import SKIPPED
from tests.campaigns.storage_rot import rot
from tests.campaigns.storage_sweep import sweep

PARTS = ("sweep", "full", "readonly", "rot")
NUMBERS = 200
# Two flips a number, and at full size two minutes without a byte free; at CI size all of it is shorter.
FLIPS_A_NUMBER, FLIPS_MIN = 2, 40
FULL_S, FULL_S_MIN = 120.0, 20.0
READONLY_S, READONLY_S_MIN = 15.0, 5.0
AGENT_DEADLINE_S = 400.0


def on_its_own_disk(part: str, folder: Path, seconds: float) -> list[Finding]:
    """A part of storage_agent.py in a mount namespace of its own. What can't be mounted here is said, and counts."""
    rights = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = ["unshare", *rights, "--mount", *python("tests.campaigns.storage_agent", part, str(folder), str(seconds))]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=AGENT_DEADLINE_S)
    if ran.returncode == SKIPPED or "unshare" in ran.stderr:
        return [Finding(True, f"SKIPPED, and so not shown: {(ran.stdout + ran.stderr).strip()[:200]}")]
    found = [(line[:6], line[8:]) for line in ran.stdout.splitlines() if line.startswith(("  ok", "  FAIL"))]
    if not found:
        return [Finding(False, f"it ended with {ran.returncode}: {(ran.stdout + ran.stderr)[-800:]}")]
    return [Finding("ok" in mark, words) for mark, words in found]


def main() -> None:
    """The command: exits 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.storage")
    parser.add_argument("numbers", type=int, nargs="?", default=NUMBERS)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    given = parser.parse_args()
    folder = workplace("disk", given.keep)
    size = min(1.0, given.numbers / NUMBERS)
    parts = {
        "sweep": lambda: sweep(sorted({1 + i * NUMBERS // given.numbers for i in range(given.numbers)}), folder),
        "full": lambda: on_its_own_disk("full", folder / "full", max(FULL_S_MIN, FULL_S * size)),
        "readonly": lambda: on_its_own_disk("readonly", folder / "readonly", max(READONLY_S_MIN, READONLY_S * size)),
        "rot": lambda: rot(max(FLIPS_MIN, FLIPS_A_NUMBER * given.numbers), folder / "rot", given.seed),
    }
    held, begin_s = True, time.monotonic()
    for name, part in parts.items():
        if given.only not in (None, name):
            continue
        begun_s = time.monotonic()
        found = part()
        print(f"disk campaign, {name}: {time.monotonic() - begun_s:.0f} s")
        print("\n".join(map(str, found)), flush=True)
        held = held and all(finding.holds for finding in found)
    print(f"disk campaign: {'every claim holds' if held else 'not every claim holds'}, "
          f"{time.monotonic() - begin_s:.0f} s")  # fmt: skip
    leave(folder, held, given.keep)


if __name__ == "__main__":
    main()
