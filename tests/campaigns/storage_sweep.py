"""The fault sweep of `make campaign-disk`: the first, second ... n-th sync, write and read of a buffer fails.

Many writers (tests/adversity/fault_writer.py) run side by side, each under faults.c with a disk of its own: most of a
case is waiting. What their buffers' files hold is read by tests/campaigns/disk.py. Imports nothing of Tidegate.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.child import ROOT, python
from tests.adversity.faulty import Fault, FaultyDisk
from tests.adversity.shim import build, under
from tests.campaigns.checker import Finding
from tests.campaigns.disk import contents, floors, ledger

FAULTS = (Fault.SYNC_EIO, Fault.SYNC_ENOSPC, Fault.WRITE_EIO, Fault.WRITE_ENOSPC, Fault.READ_EIO, Fault.READ_ONLY)
# A disk that is full may cost the oldest segments: "lost" where its fullness even kept that from being written down.
FULL = (Fault.WRITE_ENOSPC, Fault.SYNC_ENOSPC)
MAY_CLOSE = {"evicted"}
MAY_CLOSE_FULL = {"evicted", "lost"}
# The kill that made the buffer left a crash window.
MAY_TELL = {"crash_window"}
# A write that is cut short is carried on, and a read that fails is tried again for a while: nothing is wrong then.
UNTOLD = (Fault.WRITE_SHORT, Fault.READ_EIO)
LASTING_S = 1.0
WELL_S_MAX = 5.0
GROWTH_KB_MAX = 8 << 10
WRITERS = 20
WRITER_DEADLINE_S = 300.0
MEMORY = Path("/dev/shm")
VALUE_AT = 8  # Bytes of a value, the first of its frame's column of values.
READINGS = 20
DATA = 1


@dataclass(frozen=True, slots=True)
class Judged:
    """One case: its answer, what is wrong with it, and how many said frames were closed by a row."""

    fault: Fault
    number: int
    lasting_s: float
    answer: dict[str, Any]
    wrong: tuple[str, ...]
    evicted: int

    def __str__(self) -> str:
        lasting = f"for {self.lasting_s:g} s" if self.lasting_s else "once"
        return f"{self.fault.words} {self.number} {lasting}: {'; '.join(self.wrong[:3])}"


def judge(state: Path, answer: dict[str, Any]) -> Judged:
    """Hold what the writer said, and delivered, against the files."""
    fault = Fault(answer["fault"])
    wrong = [answer["error"]] if answer["error"] else []
    said = {(epoch, number): value for epoch, number, value in answer["said"]}
    closing = MAY_CLOSE_FULL if fault in FULL else MAY_CLOSE
    evicted = 0
    try:
        rows, floor = ledger(state), floors(state)
        kept = {(e, n): _value(frame) for e, n, frame in contents(state) if frame[1] == DATA}
    except Exception as error:
        return Judged(fault, answer["number"], answer["lasting_s"], answer, (*wrong, f"unreadable: {error!r}"), 0)
    closed = {(row.epoch, n) for row in rows for a, b in row.frames for n in range(a, b + 1)}
    delivered = {(epoch, number): value for epoch, number, value in answer["delivered"]}
    for key, value in said.items():
        if kept.get(key) != value and not (key not in kept and key[1] < floor.get(key[0], 1)):
            wrong.append(f"{key} was confirmed and is not on disk ({kept.get(key)}, not {value})")
        if key in delivered and delivered[key] != value:
            wrong.append(f"{key} was delivered as {delivered[key]}, not {value}")
        evicted += key in closed and key not in delivered
        # Up to 20 the template's target had acknowledged.
        if key not in delivered and key not in closed and not (value >= 10_000 and key[1] <= 20):
            wrong.append(f"{key} was confirmed and not delivered, and no row says why")
    wrong += [f"a row says {row.why} of {row.frames}" for row in rows
              if row.why not in (closing if row.frames else MAY_TELL)]  # fmt: skip
    wrong += [f"{row.why} of {row.frames} was not announced" for row in rows if not row.announced]
    return Judged(fault, answer["number"], answer["lasting_s"], answer, tuple(wrong), evicted)


def _value(frame: bytes) -> int:
    at = len(frame) - 4 - VALUE_AT * READINGS
    return int.from_bytes(frame[at : at + VALUE_AT], "little")


class Writer:
    """One writer and its disk; answers are judged as they come."""

    def __init__(self, library: Path, folder: Path, cases: Sequence[tuple[Fault, int, float]]) -> None:
        folder.mkdir()
        self._disk, self._cases = folder / "disk", cases
        self._disk.mkdir()
        self.judged: list[Judged] = []
        self.died = ""
        FaultyDisk(folder / "by")
        self._errors = folder / "errors"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                python("tests.adversity.fault_writer", str(self._disk), str(folder / "by")),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT,
                env=under(library, FAULTS_BELOW=self._disk, FAULTS_BY=folder / "by"),
            )  # fmt: skip
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._process.stdin as asking:
            asking.write("".join(f"[{int(f)}, {n}, {s}]\n" for f, n, s in self._cases).encode())
        with self._process.stdout as said:
            for at, line in enumerate(said):
                self.judged.append(judge(self._disk / str(at), json.loads(line)))
                if not self.judged[-1].wrong:
                    shutil.rmtree(self._disk / str(at))

    def wait(self) -> None:
        """Until it has answered all; says in `died` when it did not."""
        try:
            code: int | str = self._process.wait(WRITER_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = f"nothing within {WRITER_DEADLINE_S:.0f} s"
        self._thread.join(WRITER_DEADLINE_S)
        if code or len(self.judged) < len(self._cases):
            words = self._errors.read_text()[-500:]
            self.died = f"a writer ended with {code} in case {self._cases[len(self.judged) :][:1]}: {words}"


def sweep(numbers: Iterable[int], folder: Path, faults: Sequence[Fault] = FAULTS) -> list[Finding]:
    """Every fault with every number, once and lasting; the claims. Keeps in `folder` what went wrong."""
    cases = [(fault, number, lasting) for number in numbers for fault in faults for lasting in (0.0, LASTING_S)]
    library = build("faults", folder)
    place = Path(tempfile.mkdtemp(prefix="tidegate-disk-", dir=MEMORY if os.access(MEMORY, os.W_OK) else folder))
    count = min(WRITERS, len(cases))
    try:
        writers = [Writer(library, place / str(i), cases[i::count]) for i in range(count)]
        for writer in writers:
            writer.wait()
        judged = [one for writer in writers for one in writer.judged]
        died = [writer.died for writer in writers if writer.died]
        if died or any(one.wrong for one in judged):
            shutil.copytree(place, folder / "sweep", dirs_exist_ok=True)
    finally:
        shutil.rmtree(place)
    return findings(judged, died, [writer.judged for writer in writers], len(cases))


def findings(
    judged: Sequence[Judged], died: Sequence[str], by_writer: Sequence[Sequence[Judged]], cases: int
) -> list[Finding]:
    """The claims."""
    wrong = [one for one in judged if one.wrong]
    met = Counter(one.fault for one in judged if one.answer["failed"])
    said = sum(len(one.answer["said"]) for one in judged)
    evicted = sum(one.evicted for one in judged)
    well = sorted((one.answer["well_s"], str(one)) for one in judged)
    lasting = [one for one in judged if one.lasting_s and one.fault not in UNTOLD]
    untold = [one for one in lasting if not one.answer["told"]]
    told = sum(one.answer["told"] for one in lasting)
    left = [max(one.answer["left"][k] for one in judged) for k in range(3)] if judged else [-1] * 3
    grown = max((one[-1].answer["rss_kb"] - one[len(one) // 4].answer["rss_kb"] for one in by_writer if one), default=0)
    kinds = ", ".join(f"{fault.words} {met[fault]}" for fault in sorted(met))
    slowest, unwell = (well[-1] if well else (-1.0, "")), sum(1 for s, _ in well if not 0 <= s <= WELL_S_MAX)
    refused = sum(one.answer["refused_starts"] for one in judged)
    return [
        Finding(not died and len(judged) == cases,
                f"{len(judged)} of {cases} cases ended in order, {len(died)} writers died {' '.join(died)[:400]}"),
        Finding(all(one.answer["failed"] for one in judged), f"the fault came: {kinds}"),
        Finding(not wrong, f"{said} frames confirmed, in {len(wrong)} cases one was lost, changed or told wrong; "
                f"{evicted} gave way to a full disk and are named{_listed(wrong)}"),
        Finding(not unwell, f"well again {slowest[0]:.2f} s after the fault's end at the slowest (allowed: "
                f"{WELL_S_MAX:g} s; {slowest[1].partition(':')[0]}); {refused} starts were refused and tried again"),
        Finding(told == len(lasting), f"told by status, or by a start refused, in {told} of {len(lasting)} cases "
                f"without syncs or writes for {LASTING_S:g} s{_listed(untold)}"),
        Finding(max(left) <= 0, f"left behind after a case, at most: {left[0]} descriptors, {left[1]} threads, "
                f"{left[2]} tasks"),
        Finding(grown <= GROWTH_KB_MAX, f"memory of a writer grew by {grown / 1024:.1f} MB at most over its cases "
                f"(allowed: {GROWTH_KB_MAX >> 10} MB)"),
    ]  # fmt: skip


def _listed(cases: Sequence[Judged]) -> str:
    return "".join(f"\n        {one}" for one in cases[:8])
