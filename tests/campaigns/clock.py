"""The clock campaign: a gateway whose wall clock is wrong, late, or stepped, and readings that get their right time.

    python -m tests.campaigns.clock [--only CASE] [--keep FOLDER]

A board starts in 1970 without NTP, is killed, starts again, delivers; NTP comes late; then the clock is stepped by -10
days and by +3 years while the broker is away, and nobody vouches for it. Another board is never synchronised. The
plant's log has the right time of each reply. Exits 1 when a claim does not hold.
"""

import argparse
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from paho.mqtt import publish
from paho.mqtt.enums import MQTTProtocolVersion

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, tidegate, wait_for
from tests.adversity.shims import WallClock
from tests.campaigns.checker import Finding, Poll, check, read_truth
from tests.campaigns.recorder import merged
from tests.campaigns.scene import (
    GATEWAY,
    STOP_DEADLINE_S,
    TARGET,
    Load,
    Scene,
    covered_upto,
    leave,
    stamp_us,
    unit_of,
    workplace,
)
from tests.campaigns.transcript import LANES, entries

LOAD = Load(units=4, registers=20, interval_ms=200, commit_interval_s=0.25, clock="ntp")
TOPIC = f"tidegate/{GATEWAY}/{TARGET}/request"
DAY_S = 86_400.0
STEPS_S = {"-10 days": -10 * DAY_S, "+3 years": 3 * 365 * DAY_S}
PHASE_S = 3.0
DRAIN_DEADLINE_S = 40.0
TIME_OFF_S_MAX = 0.1
TIMER_OFF_S_MAX = 0.1
# Around a step, what a timer does is looked at; a gateway notices within a second.
AROUND_S = (0.5, 2.0)
NOTICED_S = 2.0
SETTLE_S = 1.5
ASKED_AGAIN_MAX = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """A frame as it arrived: what it says of its clock, and how far its time is from the plant's, in seconds."""

    at_us: int
    lane: str
    number: tuple[str, int]
    clock: str
    off_s: float


def frames(folder: Path, truth: dict[Poll, int]) -> Iterator[Sent]:
    """Every frame of the log whose poll the plant knows."""
    for at_us, topic, _, payload in entries(folder / "received.jsonl"):
        if topic.split("/")[3] not in LANES:
            continue
        for frame in payload["frames"]:
            values = dict(zip(frame["tags"], frame["v"], strict=True))
            right_us = truth.get((unit_of(frame["dev"]), values.get(0) or 0))
            if right_us is not None:
                t = frame["t"][0] if isinstance(frame["t"], list) else frame["t"]
                number = (payload["epoch"], frame["seq"])
                yield Sent(at_us, payload["lane"], number, frame.get("clk", "set"), (t - right_us) / 1e6)


def unset_gaps(folder: Path) -> Iterator[tuple[str, int]]:
    """Gaps that were told before the time was known."""
    for _, topic, _, payload in entries(folder / "received.jsonl"):
        if topic.split("/")[3] in LANES:
            yield from ((payload["epoch"], gap["seq"]) for gap in payload["gaps"] if gap.get("clk") == "unset")


class Board:
    """A scene whose gateway has a wall clock of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.clock = WallClock(folder)
        self.steps_us: list[int] = []
        self.scene = Scene(folder, LOAD, Mosquitto(folder / "broker"))
        self.scene.record()

    def start(self) -> None:
        """Start the gateway, under the shim."""
        command = tidegate("run", str(self.scene.configuration))
        self.scene.gateway = Child("gateway", command, self.folder, self.clock.environment)

    def step(self, off_s: float, synchronised: bool) -> None:
        """Step the gateway's wall clock."""
        self.clock.set(off_s, synchronised)
        self.steps_us.append(stamp_us())

    def delivered(self) -> None:
        """Wait until all that was committed so far has come."""
        status = json.loads(self.say("status", "--json"))["buffer"]
        wanted = {status["epoch"]: status["last"]}
        wait_for("what was committed arrives", lambda: covered_upto(self.scene.progress(), wanted), DRAIN_DEADLINE_S)

    def say(self, *arguments: str) -> str:
        """What a command of the gateway prints."""
        out = self.folder / "said"
        out.unlink(missing_ok=True)
        command = tidegate(arguments[0], str(self.folder / "state"), *arguments[1:])
        Child("command", command, self.folder, self.clock.environment, out).wait(STOP_DEADLINE_S)
        return out.read_text()

    def ask_again(self) -> int:
        """Ask for numbers that came unset; how many."""
        truth = read_truth(self.folder / "truth.log")
        early = {sent.number for sent in frames(self.folder, truth) if sent.clock == "unset"}
        early |= set(unset_gaps(self.folder))
        for epoch in {epoch for epoch, _ in early}:
            want = merged([[seq, seq] for of, seq in sorted(early) if of == epoch])[:ASKED_AGAIN_MAX]
            body = json.dumps({"id": "campaign", "epoch": epoch, "want": want})
            publish.single(
                TOPIC, body, 1, hostname="127.0.0.1", port=self.scene.broker.port, protocol=MQTTProtocolVersion.MQTTv5
            )
        return len(early)

    def end(self) -> None:
        """Stop in order; everything has arrived."""
        scene = self.scene
        assert scene.gateway is not None
        assert scene.recorder is not None
        scene.gateway.stop(STOP_DEADLINE_S)
        time.sleep(SETTLE_S)
        scene.plant.stop()
        scene.recorder.stop()


def late_and_stepped(folder: Path) -> list[Finding]:
    """1970, a kill, late NTP, then both steps."""
    board = Board(folder)
    scene = board.scene
    try:
        board.clock.set(-time.time(), False)
        scene.broker.stop()
        board.start()
        time.sleep(PHASE_S)
        assert scene.gateway is not None
        scene.gateway.kill()
        board.start()
        scene.broker.start()
        wait_for("readings arrive", lambda: bool(scene.progress()["epochs"]), DRAIN_DEADLINE_S, scene.gateway)
        time.sleep(PHASE_S)
        scene.broker.stop()
        time.sleep(PHASE_S)
        board.step(0.0, True)
        known_us = stamp_us() + round(NOTICED_S * 1e6)
        time.sleep(NOTICED_S)
        scene.broker.start()
        board.delivered()
        for off_s in STEPS_S.values():
            scene.broker.stop()
            board.step(off_s, False)
            time.sleep(PHASE_S)
            scene.broker.start()
            board.delivered()
            board.step(0.0, True)
            time.sleep(PHASE_S)
        asked = board.ask_again()
        time.sleep(PHASE_S)
        words = board.say("status")
        board.end()
    finally:
        scene.close()
    truth = read_truth(folder / "truth.log")
    came = list(frames(folder, truth))
    findings, seen = check(folder, LOAD)
    return [
        *findings,
        right_times(came),
        re_stamped(came, known_us, asked),
        timers_kept(truth, board.steps_us),
        Finding(not any(told.why == "evicted" for told in seen.gaps.values()), "nothing was evicted"),
        Finding("clock   synced" in words, "`tidegate status` says that the clock is synced at the end"),
    ]


def never(folder: Path) -> list[Finding]:
    """Never synchronised: everything arrives, and says that its time is not known."""
    board = Board(folder)
    try:
        board.start()
        wait_for("readings arrive", lambda: bool(board.scene.progress()["epochs"]), DRAIN_DEADLINE_S)
        time.sleep(PHASE_S)
        words = board.say("status")
        board.end()
    finally:
        board.scene.close()
    clocks = [sent.clock for sent in frames(folder, read_truth(folder / "truth.log"))]
    unset = clocks.count("unset")
    findings, _ = check(folder, LOAD)
    return [
        *findings,
        Finding(
            0 < unset == len(clocks), f"never synchronised: {unset} of {len(clocks)} frames say that it is not set"
        ),
        Finding("clock   unset: nothing has synchronised it" in words, "`tidegate status` says so, and what to do"),
    ]


def right_times(came: list[Sent]) -> Finding:
    """Whatever does not say "unset" has its right time."""
    worst = {
        clock: max((abs(s.off_s) for s in came if s.clock == clock), default=0.0) for clock in ("set", "corrected")
    }
    counts = {clock: sum(s.clock == clock for s in came) for clock in ("set", "corrected", "unset")}
    words = (
        f"{counts['set']} frames with the clock set are at most {worst['set'] * 1e3:.0f} ms off the plant's time, "
        f"{counts['corrected']} corrected ones {worst['corrected'] * 1e3:.0f} ms (allowed {TIME_OFF_S_MAX * 1e3:.0f}); "
        f"{counts['unset']} were sent before it was known"
    )
    return Finding(all(counts.values()) and max(worst.values()) <= TIME_OFF_S_MAX, words)


def re_stamped(came: list[Sent], known_us: int, asked: int) -> Finding:
    """Nothing that was unsent when the time became known is sent without it; what was sent before, again when asked."""
    late = sum(sent.clock == "unset" and sent.at_us > known_us for sent in came)
    early = {sent.number for sent in came if sent.clock == "unset"}
    again = {sent.number for sent in came if sent.clock == "corrected" and sent.lane == "replay"}
    words = (
        f"{late} frames were sent unset after the time was known; "
        f"{len(early & again)} of {len(early)} that had been sent unset came corrected when asked for"
    )
    return Finding(late == 0 and asked > 0 and early <= again, words)


def timers_kept(truth: dict[Poll, int], steps_us: list[int]) -> Finding:
    """Around each step, polls came at their interval, and none was left out."""
    worst_us, looked = 0, 0
    for unit in range(1, LOAD.units + 1):
        times = sorted(at for (of, _), at in truth.items() if of == unit)
        for before, after in pairwise(times):
            if any(step - AROUND_S[0] * 1e6 <= after and before <= step + AROUND_S[1] * 1e6 for step in steps_us):
                looked += 1
                worst_us = max(worst_us, abs(after - before - LOAD.interval_ms * 1000))
    # Timers that stand still for good would show no interval at all.
    expected = len(steps_us) * LOAD.units * (int(sum(AROUND_S) * 1000) // LOAD.interval_ms - 1)
    words = (
        f"{len(steps_us)} steps: {looked} polls around them (at least {expected}), at most {worst_us / 1e3:.0f} ms off "
        f"their interval (allowed {TIMER_OFF_S_MAX * 1e3:.0f})"
    )
    return Finding(looked >= expected and worst_us <= TIMER_OFF_S_MAX * 1e6, words)


CASES = {"late and stepped": late_and_stepped, "never": never}


def campaign(folder: Path, only: str | None = None) -> bool:
    """All of it, or one case; whether every claim held."""
    begin = time.monotonic()
    held: list[Any] = []
    for name, run in CASES.items():
        if only not in (None, name):
            continue
        print(f"clock campaign, {name}: in {folder}", flush=True)
        findings = run(folder / name.split()[0])
        print("\n".join(map(str, findings)), flush=True)
        held += [finding.holds for finding in findings]
    print(f"clock campaign: {sum(held)} of {len(held)} claims hold, {time.monotonic() - begin:.0f} s")
    return all(held)


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.clock")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    parser.add_argument("--only", choices=CASES)
    given = parser.parse_args()
    folder = workplace("clock", given.keep)
    try:
        held = campaign(folder, given.only)
    except (ChildFailed, sqlite3.Error) as failure:
        print(f"  FAIL  {failure}")
        held = False
    leave(folder, held, given.keep)


if __name__ == "__main__":
    main()
