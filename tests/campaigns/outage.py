"""The outage campaign: no broker for a minute at 10,000 readings/s, once with its memory kept, once with all forgotten.

    python -m tests.campaigns.outage [--outage-s 60] [--keep FOLDER]

Before the broker goes, the subscriber falls asleep for some seconds, so that the broker has acknowledged what it has
not yet delivered. A broker that keeps sessions on disk delivers it later; from one that was killed it is lost, and the
subscriber must find the hole and have it replayed. Exits 1 when a claim does not hold.
"""

import argparse
import json
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, tidegate, wait_for
from tests.campaigns.checker import Finding, check
from tests.campaigns.scene import GATEWAY, STOP_DEADLINE_S, TARGET, Load, Scene, leave, stamp_us, workplace
from tests.campaigns.transcript import Transcript

LOAD = Load(units=100, registers=101, interval_ms=1000, buses=4)
WARM_UP_S = 8.0
ASLEEP_S = 6.0
AFTERWARDS_S = 6.0
# The back-off of the gateway ends at 60 s with jitter.
RECONNECT_DEADLINE_S = 90.0
DRAIN_DEADLINE_S = 60.0
PROVEN_DEADLINE_S = 30.0
SETTLE_S = 1.0
LIVE_DELAY_S_MAX = 2.0
DRAIN_RATIO_MIN = 5.0


@dataclass(frozen=True, slots=True)
class Outage:
    """When it began and ended, µs UTC, and how many numbers the subscriber had to ask for."""

    begin_us: int
    end_us: int
    reconnected_us: int
    asked: int


def campaign(name: str, forget: bool, folder: Path, outage_s: float) -> list[Finding]:
    """One outage with everything around it; its findings."""
    print(f"outage campaign, {name}: {LOAD.readings_per_s:,.0f} readings/s, {outage_s:.0f} s, in {folder}", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    scene = Scene(folder, LOAD, Mosquitto(folder / "broker", persistence=not forget))
    recorder = scene.record("--receive-maximum", "2", *([] if forget else ["--keep-session"]))
    tail_command = tidegate("tail", scene.broker.url, "--gateway", GATEWAY, "--target", TARGET, "--json")
    tail = Child("tail", tail_command, folder, out=folder / "tail.jsonl")
    gateway = scene.run_gateway()
    try:
        wait_for("readings arrive", lambda: bool(scene.progress()["epochs"]), DRAIN_DEADLINE_S, gateway, recorder)
        time.sleep(WARM_UP_S)
        outage = _take_away(scene, recorder, forget, outage_s)
        print(f"  back after {(outage.end_us - outage.begin_us) / 1e6:.0f} s, connected again "
              f"{(outage.reconnected_us - outage.end_us) / 1e6:.1f} s later; draining", flush=True)  # fmt: skip
        wait_for("the backlog drains", lambda: _missing(scene) == 0, DRAIN_DEADLINE_S, gateway, recorder, tail)
        time.sleep(AFTERWARDS_S)
        wait_for("the holes are filled", lambda: _missing(scene) == 0, DRAIN_DEADLINE_S, gateway, recorder, tail)
        # The second subscriber may have come back after the gateway had sent: it asks while there is a gateway to ask.
        wait_for("`tail` fills its holes", lambda: _tail_misses(scene) == 0, DRAIN_DEADLINE_S, gateway, tail)
        exit_code = gateway.stop(STOP_DEADLINE_S)
        time.sleep(SETTLE_S)
        wait_for("the last numbers arrive", lambda: _missing(scene) == 0, DRAIN_DEADLINE_S, recorder)
        outage = Outage(outage.begin_us, outage.end_us, outage.reconnected_us, scene.progress()["asked"])
        tail.send(signal.SIGINT)
        proven = tail.wait(PROVEN_DEADLINE_S)
        scene.plant.stop()
        recorder.stop()
    finally:
        scene.close()
        tail.kill()
    findings, seen = check(folder, LOAD)
    return [
        *findings,
        live_is_in_time(seen, outage),
        drains_fast(seen, outage),
        Finding(outage.asked > 0 or not forget, f"{outage.asked} numbers were asked for and replayed"),
        Finding(exit_code == 0, f"the gateway's shutdown was clean (exit {exit_code})"),
        Finding(proven == 0, f"`tidegate tail` proved the same by itself (exit {proven})"),
    ]


def _take_away(scene: Scene, recorder: Child, forget: bool, outage_s: float) -> Outage:
    recorder.send(signal.SIGSTOP)
    time.sleep(ASLEEP_S)
    begin_us, last = stamp_us(), _last(scene)
    if forget:
        scene.broker.kill()
    else:
        scene.broker.stop()
    recorder.send(signal.SIGCONT)
    time.sleep(outage_s)
    assert scene.gateway is not None
    scene.gateway.expect()
    scene.broker.start()
    end_us = stamp_us()
    # What a broker kept for us comes at once; only the gateway can tell of numbers that it gave in the meantime.
    given = int(0.8 * outage_s * LOAD.units * 1000 / LOAD.interval_ms)
    wait_for("the gateway connects again", lambda: _last(scene) > last + given, RECONNECT_DEADLINE_S, scene.gateway)
    return Outage(begin_us, end_us, stamp_us(), 0)


def _last(scene: Scene) -> int:
    return max((stream["last"] for stream in scene.progress()["epochs"].values()), default=0)


def _missing(scene: Scene) -> int:
    return sum(b - a + 1 for stream in scene.progress()["epochs"].values() for a, b in stream["missing"])


def _tail_misses(scene: Scene) -> int:
    lines = (scene.folder / "tail.jsonl").read_text().splitlines()
    # The last line may be half written.
    return int(json.loads(lines[-2])["missing"]) if len(lines) > 1 else -1


def live_is_in_time(seen: Transcript, outage: Outage) -> Finding:
    """While the backlog drained, and in the seconds after it, no live reading was later than LIVE_DELAY_S_MAX."""
    begin_us, end_us = drain_us(seen, outage)
    end_us = max(end_us, begin_us + int(AFTERWARDS_S * 1e6))
    live = [a for a in seen.arrivals if a.lane == "live" and a.sent_us >= outage.end_us and a.at_us <= end_us]
    delays_s = sorted((a.at_us - a.oldest_us) / 1e6 for a in live)
    if not delays_s:
        return Finding(False, "no live message came while the backlog drained, nor in the seconds after it")
    words = (
        f"{len(delays_s)} live messages while it drained and up to {AFTERWARDS_S:.0f} s on: delay "
        f"{delays_s[len(delays_s) // 2]:.2f} s in the middle, {delays_s[-1]:.2f} s at most "
        f"(allowed: {LIVE_DELAY_S_MAX:g} s)"
    )
    return Finding(delays_s[-1] <= LIVE_DELAY_S_MAX, words)


def drains_fast(seen: Transcript, outage: Outage) -> Finding:
    """The backlog came at least DRAIN_RATIO_MIN times as fast as readings are taken."""
    begin_us, end_us = drain_us(seen, outage)
    readings = sum(
        a.readings for a in seen.arrivals if a.lane == "backlog" and a.sent_us >= outage.end_us and a.at_us <= end_us
    )
    took_s = max(1e-6, (end_us - begin_us) / 1e6)
    ratio = readings / took_s / LOAD.readings_per_s
    words = (
        f"{readings:,} readings of backlog in {took_s:.1f} s: {readings / took_s:,.0f}/s, {ratio:.1f} times the live "
        f"rate (at least {DRAIN_RATIO_MIN:g})"
    )
    return Finding(ratio >= DRAIN_RATIO_MIN and readings > 0, words)


def drain_us(seen: Transcript, outage: Outage) -> tuple[int, int]:
    """From when the gateway began to send after the outage, to the arrival of the last of what the outage left."""
    sent = [a for a in seen.arrivals if a.sent_us >= outage.end_us]
    backlog = [a.at_us for a in sent if a.lane == "backlog" and a.oldest_us <= outage.reconnected_us]
    return (min(a.sent_us for a in sent), max(backlog)) if backlog else (0, 0)


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.outage")
    parser.add_argument("--outage-s", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    given = parser.parse_args()
    folder = workplace("outage", given.keep)
    findings: dict[str, list[Finding]] = {}
    for name, forget in (("sessions kept on disk", False), ("everything forgotten", True)):
        try:
            findings[name] = campaign(name, forget, folder / ("forget" if forget else "keep"), given.outage_s)
        except ChildFailed as failure:
            findings[name] = [Finding(False, str(failure))]
    for name, found in findings.items():
        print(f"outage campaign, {name}")
        print("\n".join(map(str, found)))
    held = all(finding.holds for found in findings.values() for finding in found)
    leave(folder, held, given.keep)


if __name__ == "__main__":
    main()
