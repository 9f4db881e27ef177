"""Breaks Tidegate on purpose, one promise at a time, and requires that the test of that promise turns red.

    python -m tests.campaigns.mutations [--list] [NUMBER or words of a name ...]

Each mutation is one change of text in a copy of the source, and the command that has to fail against that copy for the
reason that is expected. A mutation that no longer applies is a failure: the code has moved on, and it has to follow.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from demo.child import ROOT, python
from tests.campaigns.mutations_line import SHARED_LINES
from tests.campaigns.mutations_locks import LOCKS
from tests.campaigns.mutations_opcua_faults import OPCUA_FAULTS
from tests.campaigns.mutations_opcua_types import OPCUA_TYPES
from tests.campaigns.mutations_plans import PLANS
from tests.campaigns.mutations_surveys import SURVEYS
from tests.campaigns.mutations_table import MUTATIONS, Mutation
from tests.campaigns.mutations_transports import TRANSPORTS
from tests.campaigns.mutations_types import TYPES
from tests.campaigns.mutations_writes import WRITES

SOURCES = ("agent", "drivers")
# What compiling a twin needs beside the sources.
BUILD_FILES = ("setup.py", "pyproject.toml", "README.md", "LICENSE")
DEADLINE_S = 400.0
COMPILE_DEADLINE_S = 120.0
# A campaign continues a finding in lines that are indented as far as its words.
CONTINUED = "        "
LINES_SHOWN_MAX = 3
LINE_CHARS_MAX = 160
LAST_WORDS_CHARS = 500


class DoesNotApply(Exception):
    """The source no longer has what a mutation changes, or the change has no effect. The message says which."""


def broken_copy(mutation: Mutation, folder: Path) -> str:
    """A copy of the sources with this mutation in effect, as a PYTHONPATH. Raises DoesNotApply."""
    for source in SOURCES:
        shutil.copytree(ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / mutation.file
    text = path.read_text() if path.exists() else ""
    if text.count(mutation.old) != 1:
        raise DoesNotApply(f"{mutation.file} no longer has this once: {mutation.old.strip()}")
    path.write_text(text.replace(mutation.old, mutation.new))
    stem = path.stem.removesuffix("_py")
    if path.suffix == ".pyx":
        _compile(path, folder)
    elif stem != path.stem:
        # Where there is no compiled twin, the pure one runs.
        for compiled in path.parent.glob(f"{stem}_c.*.so"):
            compiled.unlink()
    return os.pathsep.join(str(folder / source) for source in SOURCES)


def _compile(path: Path, folder: Path) -> None:
    """Compile this one twin; the others of the copy stay as they were built."""
    for source in SOURCES:
        for other in (folder / source).rglob("*.pyx"):
            if other != path:
                other.unlink()
    for name in BUILD_FILES:
        shutil.copy(ROOT / name, folder)
    ran = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, capture_output=True, text=True,
        timeout=COMPILE_DEADLINE_S, check=False,
    )  # fmt: skip
    if ran.returncode != 0:
        raise DoesNotApply(f"{path.name} does not compile any more: {ran.stderr[-LAST_WORDS_CHARS:]}")


def require_in_effect(mutation: Mutation, environment: dict[str, str]) -> None:
    """Whether it is the copy that would be imported. Raises DoesNotApply."""
    module = ".".join(Path(mutation.file).with_suffix("").parts[1:])
    script = f"import importlib.util as u; print(u.find_spec({module!r}).origin)"
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    copies = environment["PYTHONPATH"].split(os.pathsep)
    if not any(found.startswith(copy + os.sep) for copy in copies):
        raise DoesNotApply(f"{module} is taken from {found.strip()}")


def caught(mutation: Mutation) -> tuple[bool, str]:
    """Whether its command against the broken copy fails in the way that is expected, and the lines that say so."""
    # Short, since a socket's path has little room.
    with tempfile.TemporaryDirectory(prefix="tg-") as place:
        folder = Path(place)
        try:
            environment = {**os.environ, "PYTHONPATH": broken_copy(mutation, folder), "TMPDIR": str(folder / "t")}
            require_in_effect(mutation, environment)
        except DoesNotApply as error:
            return False, str(error)
        (folder / "t").mkdir()
        with subprocess.Popen(
            python(*mutation.command), cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, _ = process.communicate(timeout=DEADLINE_S)
            except subprocess.TimeoutExpired:
                return False, f"its command took longer than {DEADLINE_S:.0f} s"
            finally:
                # What a command that broke left running goes with it.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    lines = failing(said)
    told = sorted(lines, key=lambda line: not any(words in line for words in mutation.found_by))
    expected = any(words in line for line in lines for words in mutation.found_by)
    shown = "\n".join(f"        {line.strip()[:LINE_CHARS_MAX]}" for line in told[:LINES_SHOWN_MAX])
    return process.returncode == 1 and expected, shown or said[-LAST_WORDS_CHARS:]


def failing(said: str) -> list[str]:
    """The lines that say FAIL, and those that go on from one."""
    found: list[str] = []
    goes_on = False
    for line in said.splitlines():
        goes_on = line.strip().startswith("FAIL") or (goes_on and line.startswith(CONTINUED))
        if goes_on:
            found.append(line)
    return found


def chosen(wanted: Sequence[str]) -> list[tuple[int, Mutation]]:
    """Mutations by number (from 1) or by words of their name; all of them when nothing is wanted."""
    table = (
        *MUTATIONS, *PLANS, *TRANSPORTS, *LOCKS, *SURVEYS, *TYPES, *SHARED_LINES, *WRITES, *OPCUA_FAULTS, *OPCUA_TYPES,
    )  # fmt: skip
    numbered = list(enumerate(table, 1))
    if not wanted:
        return numbered
    return [(n, m) for n, m in numbered if any(w == str(n) or (not w.isdigit() and w in m.name) for w in wanted)]


def main() -> None:
    """The command: exits 1 when a mutation is not caught, 2 when none is called so."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.mutations")
    parser.add_argument("which", nargs="*", help="numbers, or words of a name; nothing means all")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    given = parser.parse_args()
    listed, missed, begun_s = chosen(given.which), 0, time.monotonic()
    if not listed:
        parser.error("no mutation is called so")
    for number, mutation in listed:
        if given.list:
            print(f"{number:4}  {mutation.name}: {' '.join(mutation.command)}")
            continue
        at_s = time.monotonic()
        seen, words = caught(mutation)
        missed += not seen
        print(f"  {'ok  ' if seen else 'FAIL'}  {number}. {mutation.name}: {'caught' if seen else 'NOT caught'} "
              f"in {time.monotonic() - at_s:.0f} s by {' '.join(mutation.command)}\n{words}", flush=True)  # fmt: skip
    if not given.list:
        took_s = time.monotonic() - begun_s
        print(f"mutations: {len(listed) - missed} of {len(listed)} caught, {took_s:.0f} s")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
