"""Breaks Tidegate on purpose, one promise at a time, and requires that the kill campaign turns red.

    python -m tests.campaigns.mutations [--kills 14]

Each mutation is one change of text in a copy of the source; the campaign then runs against that copy. A mutation that
no longer applies is an error: the code has moved on, and the mutation has to follow it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from demo.child import ROOT, python

SOURCES = ("agent", "drivers")
KILLS = 14
SEED = "1"
DEADLINE_S = 400.0
FAIL = "  FAIL"
LINES_SHOWN_MAX = 4


@dataclass(frozen=True, slots=True)
class Mutation:
    """One broken promise: what is broken, the change of text that breaks it, and words of the finding to expect."""

    name: str
    file: str
    old: str
    new: str
    found_by: tuple[str, ...]


MUTATIONS = (
    Mutation(
        "the next start says nothing of what a crash cost",
        "agent/tidegate/buffer/recovery.py",
        "        if not clean or (found.boot and not last_boot):",
        "        if False:",
        ("unexplained",),
    ),
    Mutation(
        "gaps are written down but not announced",
        "agent/tidegate/buffer/writer.py",
        "        rows = state.ledger.waiting()\n",
        "        state.ledger.announced([(gap.id, state.epoch, 1) for gap in state.ledger.waiting()])\n"
        "        rows: list[Gap] = []\n",
        ("unexplained",),
    ),
    Mutation(
        "frames are numbered and sent, but not written",
        "agent/tidegate/buffer/writer.py",
        "            state.active.append(attempt.blocks, attempt.tables)\n",
        "            pass\n",
        ("other content", "damaged", "did not arrive", "ended with", "not within"),
    ),
    Mutation(
        "what was acknowledged is written down once and never again",
        "agent/tidegate/buffer/control.py",
        "    def store_marks(self, marks: Iterable[Mark]) -> None:\n",
        "    def store_marks(self, marks: Iterable[Mark]) -> None:\n"
        "        if self.db.execute('SELECT count(*) FROM cursors').fetchone()[0]:\n            return\n",
        ("after one kill",),
    ),
    Mutation(
        "every fortieth frame is left out of a message that claims it",
        "agent/tidegate/publish/formats/tidegate_json.py",
        "for piece in pieces if piece.data and not piece.gap]",
        "for piece in pieces if piece.data and not piece.gap and piece.number % 40]",
        ("claims more",),
    ),
)


def broken_copy(mutation: Mutation, folder: Path) -> str:
    """A copy of the sources with this mutation, as a PYTHONPATH. Raises ValueError when it does not apply."""
    for source in SOURCES:
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / mutation.file
    text = path.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.name}: {mutation.file} no longer has this once: {mutation.old.strip()}")
    path.write_text(text.replace(mutation.old, mutation.new))
    return os.pathsep.join(str(folder / source) for source in SOURCES)


def caught(mutation: Mutation, kills: int) -> tuple[bool, str]:
    """Whether the campaign against the broken copy fails in the way that is expected, and its failing lines."""
    with tempfile.TemporaryDirectory(prefix="tidegate-mutation-") as place:
        folder = Path(place)
        path = broken_copy(mutation, folder)
        (folder / "run").mkdir()
        ran = subprocess.run(
            python("tests.campaigns.kill", str(kills), "--seed", SEED, "--keep", str(folder / "run")),
            cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=DEADLINE_S,
            check=False,
        )  # fmt: skip
    failed = "\n".join(line for line in ran.stdout.splitlines() if line.startswith((FAIL, "        ")))
    expected = any(words in failed for words in mutation.found_by)
    return ran.returncode == 1 and expected, failed or (ran.stdout + ran.stderr)[-500:]


def main() -> None:
    """The command: exits 1 when a mutation is not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.mutations")
    parser.add_argument("--kills", type=int, default=KILLS)
    given = parser.parse_args()
    missed = 0
    for mutation in MUTATIONS:
        seen, words = caught(mutation, given.kills)
        missed += not seen
        print(f"  {'ok  ' if seen else 'FAIL'}  {mutation.name}: {'caught' if seen else 'NOT caught'} by", flush=True)
        print("\n".join(words.splitlines()[:LINES_SHOWN_MAX]), flush=True)
    print(f"mutations: {len(MUTATIONS) - missed} of {len(MUTATIONS)} caught")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
