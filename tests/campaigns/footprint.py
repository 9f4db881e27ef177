"""Footprint: what a running gateway takes of its machine, looked at once a second. Imports nothing of Tidegate."""

import json
import os
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

LOOK_S = 1.0
ASK_DEADLINE_S = 10.0
# Memory is taken as the least of so many looks: what is only used for a moment is no growth.
FLOOR_LOOKS_MIN = 3
FLOORS = 30


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: kB of private memory, counts, what the buffer takes, and the lowest number that it keeps."""

    at_s: float
    private_kb: int
    descriptors: int
    threads: int
    tasks: int
    used_bytes: int
    first: int


class Footprint:
    """Looks at a process, from a thread of its own, until it is stopped; each look is a line of `log`, too.

    `at_rest` are the quiet times, by name.
    """

    def __init__(self, pid: int, state: Path, log: Path) -> None:
        self.samples: list[Sample] = []
        self.at_rest: list[tuple[str, list[Sample]]] = []
        self._pid, self._state, self._log = pid, state, log
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="footprint", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join(ASK_DEADLINE_S)

    def quiet(self, name: str, seconds: float) -> None:
        """Nothing happens for so long but looks."""
        before = len(self.samples)
        time.sleep(seconds)
        self.at_rest.append((name, self.samples[before:]))

    def words(self) -> str:
        """The last look."""
        now = self.samples[-1]
        return (
            f"{now.private_kb / 1024:.1f} MB private, {now.descriptors} descriptors, {now.threads} threads, "
            f"{now.tasks} tasks, buffer {now.used_bytes / 1e6:.2f} MB from number {now.first} on"
        )

    def _run(self) -> None:
        with self._log.open("w", buffering=1) as log:
            while not self._stopping.wait(LOOK_S):
                try:
                    sample = look(self._pid, self._state)
                except OSError:
                    continue  # It is busy beyond the deadline, or gone: who runs it will notice.
                self.samples.append(sample)
                log.write(json.dumps(asdict(sample)) + "\n")


def look(pid: int, state: Path) -> Sample:
    """One look. Raises OSError when the process is gone or does not answer in time."""
    process = Path(f"/proc/{pid}")
    lines = (process / "smaps_rollup").read_text().splitlines()
    private_kb = sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))
    threads = len(os.listdir(process / "task"))
    descriptors = len(os.listdir(process / "fd"))
    said = ask(state)
    buffer = said["buffer"]
    return Sample(
        time.monotonic(), private_kb, descriptors, threads, said["tasks"], buffer["bytes_used"], buffer["first"]
    )


def ask(state: Path) -> dict[str, Any]:
    """`status`, asked at the gateway's own socket. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(ASK_DEADLINE_S)
        link.connect(str(state / "agent.sock"))
        link.sendall(b'{"ask": "status"}\n')
        with link.makefile("rb") as answers:
            line = answers.readline()
    if not line:
        raise ConnectionError("the gateway hung up without an answer")
    said: dict[str, Any] = json.loads(line)["answer"]
    return said


def growth_kb_min(samples: Sequence[Sample]) -> tuple[float, list[int]]:
    """How fast private memory grew over the second half, in kB a minute, and the floors that this was taken from.

    The median of the slopes between all pairs of floors (Theil and Sen): a few that lie off change nothing.
    """
    half = samples[len(samples) // 2 :]
    size = max(FLOOR_LOOKS_MIN, len(half) // FLOORS)
    groups = [half[i : i + size] for i in range(0, len(half) - size + 1, size)]
    floors = [min(group, key=lambda sample: sample.private_kb) for group in groups]
    slopes = [(b.private_kb - a.private_kb) / (b.at_s - a.at_s) * 60 for a, b in combinations(floors, 2)]
    return median(slopes), [floor.private_kb for floor in floors]
