"""Processes of the demo and the campaigns: each with its own log and its own session, ended within a deadline."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
STOP_DEADLINE_S = 15.0
PLANT_DEADLINE_S = 10.0
LOOK_INTERVAL_S = 0.02
LAST_WORDS_BYTES = 2000


class ChildFailed(RuntimeError):
    """A process ended that should not have, or did not do its part in time. The message holds its last words."""


class Child:
    """A process that runs from the moment of construction on. Its output goes to `<folder>/<name>.log`.

    With `out`, standard output goes to that file instead.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        out: Path | None = None,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        # PYTHONPATH lets `demo` and `tests` be found; the packages of the gateway are installed.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        env = {**os.environ, "PYTHONPATH": path, **(environment or {})}
        with self.log.open("ab") as log, (out or self.log).open("ab") as written:
            # Its own session, so that Ctrl-C reaches only who started it, and is passed on in good order.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=written, stderr=log, start_new_session=True, env=env
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.poll()

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """Ask it to end, wait, and return its exit code. Raises ChildFailed (after SIGKILL) past the deadline."""
        self.send(signal.SIGTERM)
        return self.wait(deadline_s)

    def wait(self, deadline_s: float) -> int:
        """Wait for its end by itself. Raises ChildFailed (after SIGKILL) past the deadline."""
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ChildFailed(f"{self.name} did not end within {deadline_s:.0f} s: {self.last_words()}") from None

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send(signal.SIGKILL)
        self._process.wait()

    def send(self, which: signal.Signals) -> None:
        """A signal: SIGSTOP and SIGCONT to make it sleep. Nothing when it has ended."""
        if self._process.poll() is None:
            self._process.send_signal(which)

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace").strip() or "(it said nothing)"

    def expect(self) -> None:
        """Raise ChildFailed when it has ended."""
        if self.code is not None:
            raise ChildFailed(f"{self.name} ended with {self.code}: {self.last_words()}")

    def cpu_s(self) -> float:
        """User and system time so far, of the process and all its threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(what: str, until: Callable[[], bool], deadline_s: float, *needed: Child) -> float:
    """Look until it is so; the seconds it took. Raises ChildFailed past the deadline or when a needed child ends."""
    begin = time.monotonic()
    while not until():
        for child in needed:
            child.expect()
        if time.monotonic() - begin > deadline_s:
            raise ChildFailed(f"not within {deadline_s:.0f} s: {what}")
        time.sleep(LOOK_INTERVAL_S)
    return time.monotonic() - begin


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this repository with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def tidegate(*arguments: str) -> list[str]:
    """The command line of Tidegate as a user has it: the console script beside this interpreter."""
    return [str(Path(sys.executable).parent / "tidegate"), *arguments]


def start_plant(folder: Path, *arguments: str) -> tuple[Child, list[int]]:
    """A simulated plant with its truth in `<folder>/truth.log`, and the ports at which it answers."""
    port_file = folder / "plant.ports"
    port_file.unlink(missing_ok=True)
    command = python(
        "demo.plant", "--port-file", str(port_file), "--truth", str(folder / "truth.log"), *arguments
    )  # fmt: skip
    child = Child("plant", command, folder)
    wait_for("the plant listens", port_file.exists, PLANT_DEADLINE_S, child)
    return child, [int(line) for line in port_file.read_text().split()]
