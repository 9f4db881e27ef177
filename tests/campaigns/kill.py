"""The kill campaign: the gateway under load is SIGKILLed at random moments, and a checker proves that nothing is lost.

    python -m tests.campaigns.kill 30 [--seed 7] [--keep FOLDER]

A round: start, now and then kill at once (while it recovers), start again, wait until all that was committed has
arrived, read on for a random time, kill, let the buffer verify itself. Exits 1 when a claim does not hold.
"""

import argparse
import json
import random
import signal
import time
from pathlib import Path

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, tidegate, wait_for
from tests.campaigns.checker import check
from tests.campaigns.scene import (
    GATEWAY,
    STOP_DEADLINE_S,
    TARGET,
    Load,
    Scene,
    covered_upto,
    leave,
    stamp_us,
    workplace,
)

# Small segments and quick commits, so that kills fall into commits, seals and openings too.
LOAD = Load(units=20, registers=125, interval_ms=100, buses=4, segment="300kB", commit_interval_s=0.25)
EARLY_SHARE = 0.25
EARLY_S = (0.05, 0.9)
UNDER_LOAD_S = (0.0, 2.0)
DRAIN_DEADLINE_S = 20.0
PROVEN_DEADLINE_S = 30.0
# In which a last head reaches the recorder, and its progress reaches us.
SETTLE_S = 1.0


class KillCampaign:
    """Counts what happens over all rounds of one scene."""

    def __init__(self, scene: Scene, chance: random.Random) -> None:
        self._scene = scene
        self._chance = chance
        self._kills = (scene.folder / "kills.jsonl").open("a")
        self.kills = 0
        self.early = 0
        self.drained = 0
        self.slowest_drain_s = 0.0

    def round(self, kills_left: int) -> None:
        """One or two kills. Raises ChildFailed when the gateway does not come back or does not drain."""
        if self.kills and kills_left > 1 and self._chance.random() < EARLY_SHARE:
            self._scene.run_gateway()
            time.sleep(self._chance.uniform(*EARLY_S))
            self.early += 1
            self._kill()
        self.slowest_drain_s = max(self.slowest_drain_s, self.start_and_drain())
        time.sleep(self._chance.uniform(*UNDER_LOAD_S))
        self._kill()

    def start_and_drain(self) -> float:
        """Start; wait until a new boot speaks and all that was committed before has arrived; the seconds it took."""
        scene = self._scene
        before = scene.progress()
        gateway = scene.run_gateway()
        begin = time.monotonic()
        wait_for(
            f"the gateway speaks again after kill {self.kills}",
            lambda: scene.progress()["boot"] > before["boot"],
            DRAIN_DEADLINE_S,
            gateway,
        )
        # Of its own boot at least one message has come, so that `last` is past everything of the boots before.
        owed = {epoch: stream["last"] for epoch, stream in scene.progress()["epochs"].items()}
        wait_for(
            f"everything committed before kill {self.kills} arrives",
            lambda: covered_upto(scene.progress(), owed),
            DRAIN_DEADLINE_S,
            gateway,
        )
        self.drained += 1
        return time.monotonic() - begin

    def _kill(self) -> None:
        gateway = self._scene.gateway
        assert gateway is not None
        # A gateway that died by itself is a finding, not a kill.
        gateway.expect()
        gateway.kill()
        # Taken when it is certainly dead: up to here the plant may have answered it.
        at_us = stamp_us()
        self.kills += 1
        self._kills.write(json.dumps({"at_us": at_us, "damage": self._scene.verify()}) + "\n")
        self._kills.flush()


def campaign(kills: int, folder: Path, seed: int) -> bool:
    """All of it; whether every claim held. Prints figures last."""
    print(f"kill campaign: {kills} kills, {LOAD.readings_per_s:,.0f} readings/s, seed {seed}, in {folder}", flush=True)
    scene = Scene(folder, LOAD, Mosquitto(folder / "broker"))
    scene.record()
    tail = _tail(scene)
    try:
        rounds = KillCampaign(scene, random.Random(seed))
        begin = time.monotonic()
        while rounds.kills < kills:
            rounds.round(kills - rounds.kills)
            print(f"  {rounds.kills} of {kills} kills, {rounds.drained} drained", flush=True)
        rounds.start_and_drain()
        took_s = time.monotonic() - begin
        exit_code = _end(scene)
        tail.send(signal.SIGINT)
        proven = tail.wait(PROVEN_DEADLINE_S)
    finally:
        scene.close()
        tail.kill()
    findings, _ = check(folder, LOAD)
    print(f"kill campaign: {rounds.kills} kills ({rounds.early} while it recovered) in {took_s:.0f} s, seed {seed}")
    print("\n".join(map(str, findings)))
    starts = rounds.kills - rounds.early + 1
    print(f"  {'ok  ' if rounds.drained == starts else 'FAIL'}  drained {rounds.drained} of {starts} times, "
          f"at the slowest {rounds.slowest_drain_s:.1f} s after the start")  # fmt: skip
    print(f"  {'ok  ' if exit_code == 0 else 'FAIL'}  the last shutdown was clean (exit {exit_code})")
    print(f"  {'ok  ' if proven == 0 else 'FAIL'}  `tidegate tail` proved the same by itself (exit {proven})")
    return all(f.holds for f in findings) and rounds.drained == starts and exit_code == 0 and proven == 0


def _tail(scene: Scene) -> Child:
    """Tidegate's own subscriber beside the recorder; it ends by SIGINT and says by its exit code what it proved."""
    command = tidegate("tail", scene.broker.url, "--gateway", GATEWAY, "--target", TARGET, "--json")
    return Child("tail", command, scene.folder, out=scene.folder / "tail.jsonl")


def _end(scene: Scene) -> int:
    """A clean shutdown, all of it received, and the others ended; the gateway's exit code."""
    assert scene.gateway is not None
    assert scene.recorder is not None
    code = scene.gateway.stop(STOP_DEADLINE_S)
    time.sleep(SETTLE_S)
    last = {epoch: stream["last"] for epoch, stream in scene.progress()["epochs"].items()}
    wait_for("the last numbers arrive", lambda: covered_upto(scene.progress(), last), DRAIN_DEADLINE_S)
    scene.plant.stop()
    scene.recorder.stop()
    return code


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.kill")
    parser.add_argument("kills", type=int, nargs="?", default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    given = parser.parse_args()
    folder = workplace("kill", given.keep)
    try:
        held = campaign(given.kills, folder, given.seed)
    except ChildFailed as failure:
        print(f"  FAIL  {failure}")
        held = False
    leave(folder, held, given.keep)


if __name__ == "__main__":
    main()
