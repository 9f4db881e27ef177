"""The whole gateway on a disk of its own: filled by somebody else's file, and gone read-only.

    python -m tests.campaigns.storage_agent full|readonly FOLDER SECONDS

Run within a mount namespace of its own, so that the disk goes with it (storage.py does that). Prints its claims, and
exits 1 when one does not hold, 77 when this machine lets nobody mount what it takes. Imports nothing of Tidegate.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, wait_for
from tests.campaigns.checker import Finding, check
from tests.campaigns.scene import STOP_DEADLINE_S, Load, Scene, covered_upto, stamp_us
from tests.campaigns.transcript import Transcript

LOAD = Load(units=20, registers=100, interval_ms=200, buses=2, segment="263kB", commit_interval_s=0.25)
DISK_MB = 24
SKIPPED = 77
# In which segments are sealed that can go.
BEFORE_S = 15.0
AFTER_S = 5.0
NORMAL_S_MAX = 10.0
READY_DEADLINE_S = 20.0
DRAIN_DEADLINE_S = 60.0
CLOSE_DEADLINE_S = 45.0
# Shares of the full time at which the broker goes and comes back: what nobody has taken has to go too.
BROKER_GOES, BROKER_COMES = 0.3, 0.6
FILL_CHUNK_BYTES = 64 << 10
FILL_PAUSE_S = 0.25
GROWS_S_MAX = 20.0
# A poll may be late by the disk's fault; at this share of the pace they go on.
PACE_MIN = 0.9
LOOK_S = 0.25


class NoDisk(Exception):
    """This machine does not let us mount what it takes."""


def mount(*arguments: str) -> None:
    """Mount something. Raises NoDisk."""
    ran = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise NoDisk(ran.stderr.strip())


class Foreign:
    """Somebody else's file: takes all that is free, later (`grow`) also what becomes free, until it is removed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ending = threading.Event()
        self.bytes = 0
        self._file = path.open("wb", buffering=0)
        self._fill()
        self._thread = threading.Thread(target=self._grow, daemon=True)

    def _fill(self) -> None:
        size = FILL_CHUNK_BYTES
        while size:
            try:
                self.bytes += self._file.write(bytes(size)) or 0
            except OSError:
                size //= 4

    def grow(self) -> None:
        """From now on it takes whatever the buffer gives up."""
        self._thread.start()

    def _grow(self) -> None:
        while not self._ending.wait(FILL_PAUSE_S):
            self._fill()

    def remove(self) -> None:
        """It is gone, and its bytes with it."""
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._file.close()
        self._path.unlink()


class Agent:
    """A scene whose state folder lies on a disk of its own, and what is looked at while that fails."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.state = folder, folder / "state"
        self.scene = Scene(folder, LOAD, Mosquitto(folder / "broker"))
        self.faults: set[str] = set()
        self.silent = 0

    def status(self) -> dict[str, Any]:
        """The gateway's own word; {} when it says nothing."""
        try:
            with socket.socket(socket.AF_UNIX) as asking:
                asking.settimeout(LOOK_S * 4)
                asking.connect(str(self.state / "agent.sock"))
                asking.sendall(b'{"ask": "status", "with": {}}\n')
                reply: dict[str, Any] = json.loads(asking.makefile().readline())
        except (OSError, ValueError):
            return {}
        return reply.get("answer", reply)

    def fault(self) -> str | None:
        """What the buffer says is wrong; None when nobody answers."""
        buffer = self.status().get("buffer")
        return None if buffer is None else str(buffer["fault"])

    def run(self) -> Child:
        """Start it, and wait until it delivers."""
        gateway = self.scene.run_gateway()
        messages = self.scene.progress()["messages"]
        wait_for("it delivers", lambda: self.scene.progress()["messages"] > messages + 3, READY_DEADLINE_S, gateway)
        return gateway

    def watch(self, seconds: float) -> None:
        """Look at it for a while. Raises ChildFailed when it ends."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            assert self.scene.gateway is not None
            self.scene.gateway.expect()
            fault = self.fault()
            if fault is None:
                self.silent += 1
            elif fault:
                self.faults.add(fault)
            time.sleep(LOOK_S)

    def drained(self) -> bool:
        """Whether everything that is known to exist has come."""
        last = {epoch: stream["last"] for epoch, stream in self.scene.progress()["epochs"].items()}
        return bool(last) and covered_upto(self.scene.progress(), last)

    def polls(self, begin_us: int, end_us: int) -> float:
        """Which share of its pace the plant was asked at."""
        lines = (self.folder / "truth.log").read_text().splitlines()
        count = sum(begin_us <= int(line.split()[2]) < end_us for line in lines)
        return count / (LOAD.units * (end_us - begin_us) / LOAD.interval_ms / 1000)

    def log(self) -> Finding:
        """Nothing was unforeseen."""
        traces = (self.folder / "gateway.log").read_text().count("Traceback")
        return Finding(traces == 0, f"the gateway's log has {traces} tracebacks")

    def judge(self) -> tuple[list[Finding], Transcript]:
        """End the others, and what the checker says."""
        time.sleep(1.0)
        wait_for("the last numbers arrive", self.drained, DRAIN_DEADLINE_S)
        self.scene.plant.stop()
        assert self.scene.recorder is not None
        self.scene.recorder.stop()
        return check(self.folder, LOAD)


def full(folder: Path, full_s: float) -> list[Finding]:
    """The disk is full for `full_s`, at last by a file that also takes what is given up; the broker goes and comes."""
    (folder / "state").mkdir(parents=True)
    mount("-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder / "state"))
    agent = Agent(folder)
    scene = agent.scene
    try:
        scene.record()
        gateway = agent.run()
        agent.watch(BEFORE_S)
        foreign, begin_us = Foreign(agent.state / "somebody-elses.log"), stamp_us()
        agent.watch(full_s * BROKER_GOES)
        scene.broker.kill()
        agent.watch(full_s * (BROKER_COMES - BROKER_GOES))
        scene.broker.start()
        grows_s = min(GROWS_S_MAX, full_s * (1 - BROKER_COMES) / 2)
        agent.watch(full_s * (1 - BROKER_COMES) - grows_s)
        foreign.grow()
        agent.watch(grows_s)
        end_us = stamp_us()
        foreign.remove()
        last = max(stream["last"] for stream in scene.progress()["epochs"].values())
        normal_s = wait_for(
            "commits and deliveries go on as before",
            lambda: agent.fault() == "" and agent.drained() and _last(scene) > last + LOAD.units,
            DRAIN_DEADLINE_S, gateway,
        )  # fmt: skip
        agent.watch(AFTER_S)
        code = gateway.stop(STOP_DEADLINE_S)
        findings, seen = agent.judge()
    finally:
        scene.close()
    gaps: dict[str, int] = {}
    for gap in seen.gaps.values():
        gaps[gap.why] = gaps.get(gap.why, 0) + gap.n
    told = ", ".join(f"{why} {n}" for why, n in sorted(gaps.items()))
    pace = agent.polls(begin_us, end_us)
    return [
        Finding(pace >= PACE_MIN, f"{(end_us - begin_us) / 1e6:.0f} s without a byte free ({foreign.bytes >> 20} MB "
                f"somebody else's): polls went on at {pace:.0%} of their pace (at least {PACE_MIN:.0%})"),
        Finding(agent.silent == 0, f"it lived and answered: {agent.silent} looks without an answer; it said "
                f"{sorted(agent.faults)}"),
        Finding(normal_s <= NORMAL_S_MAX, f"normal {normal_s:.1f} s after the file was gone (allowed: "
                f"{NORMAL_S_MAX:g} s); readings in gaps: {told or 'none'}"),
        Finding(code == 0, f"the shutdown was clean (exit {code})"),
        agent.log(),
        *findings,
    ]  # fmt: skip


def _last(scene: Scene) -> int:
    return max(stream["last"] for stream in scene.progress()["epochs"].values())


def readonly(folder: Path, seconds: float) -> list[Finding]:
    """The file system turns read-only under it, as ext4 does after an error; then a repair, and the next start."""
    state, image = folder / "state", folder / "disk.img"
    state.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(DISK_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True, capture_output=True)
    mount("-o", "loop", str(image), str(state))
    agent = Agent(folder)
    scene = agent.scene
    try:
        scene.record()
        gateway = agent.run()
        agent.watch(BEFORE_S)
        mount("-o", "remount,abort", str(state))
        begin_us = stamp_us()
        wait_for("it says that it can't commit", lambda: bool(agent.fault()), NORMAL_S_MAX, gateway)
        agent.watch(seconds)
        end_us = stamp_us()
        code = gateway.stop(CLOSE_DEADLINE_S)
        closed_us = stamp_us()
        subprocess.run(["umount", str(state)], check=True)
        subprocess.run(["e2fsck", "-fy", str(image)], check=False, capture_output=True)
        mount("-o", "loop", str(image), str(state))
        gateway = agent.run()
        normal_s = wait_for("it is well", lambda: agent.fault() == "" and agent.drained(), DRAIN_DEADLINE_S, gateway)
        agent.watch(AFTER_S)
        gateway.stop(STOP_DEADLINE_S)
        findings, _ = agent.judge()
    finally:
        scene.close()
    pace = agent.polls(begin_us, end_us)
    return [
        Finding(pace >= PACE_MIN, f"{(end_us - begin_us) / 1e6:.0f} s on a disk gone read-only: polls went on at "
                f"{pace:.0%} of their pace (at least {PACE_MIN:.0%})"),
        Finding(bool(agent.faults), f"it lived, and said {sorted(agent.faults)}; {agent.silent} looks unanswered"),
        Finding(normal_s <= NORMAL_S_MAX, f"ended with {code} {(closed_us - end_us) / 1e6:.0f} s after it was asked, "
                f"after the repair well {normal_s:.1f} s after the first message (allowed: {NORMAL_S_MAX:g} s)"),
        agent.log(),
        *findings,
    ]  # fmt: skip


def main() -> None:
    """The command: see the module's text."""
    part, folder, seconds = sys.argv[1:]
    try:
        findings = {"full": full, "readonly": readonly}[part](Path(folder), float(seconds))
    except NoDisk as error:
        print(f"  SKIP  {part}: {error}")
        sys.exit(SKIPPED)
    except ChildFailed as failure:
        findings = [Finding(False, str(failure))]
    print("\n".join(map(str, findings)))
    sys.exit(not all(finding.holds for finding in findings))


if __name__ == "__main__":
    main()
