"""The gateway is killed again and again while every node of a server changes; what is missing must be named."""

import random
import time
from pathlib import Path

from tests.campaigns.checker import Finding
from tests.campaigns.opcua_checker import findings
from tests.campaigns.opcua_scene import Load, Scene, scene

EARLY_SHARE = 0.25
EARLY_S = (0.05, 1.2)
UNDER_LOAD_S = (0.0, 2.0)
# Each start makes one session; one more where a server refuses what it was asked first.
SESSIONS_PER_START_MAX = 2.0


class Kills:
    """Counts what happens over all rounds of one scene."""

    def __init__(self, at: Scene, chance: random.Random) -> None:
        self._scene, self._chance = at, chance
        self.kills, self.early, self.starts = 0, 0, 0
        self.slowest_s = 0.0

    def start(self) -> None:
        """Start the gateway and wait until it goes on."""
        begin = time.monotonic()
        self._scene.run_gateway()
        self.starts += 1
        self._scene.goes_on()
        self.slowest_s = max(self.slowest_s, time.monotonic() - begin)

    def round(self, left: int) -> None:
        """One or two kills, and the gateway is back."""
        time.sleep(self._chance.uniform(*UNDER_LOAD_S))
        before = self._scene.census()["subscriptions_ever"]
        killed = [self._scene.kill()]
        if left > 1 and self._chance.random() < EARLY_SHARE:
            self._scene.run_gateway()
            self.starts += 1
            time.sleep(self._chance.uniform(*EARLY_S))
            killed.append(self._scene.kill())
            self.early += 1
        self.start()
        kept = self._scene.census()["subscriptions_ever"] == before
        for at_us in killed:
            self._scene.tell_kill(at_us, kept)
        self.kills += len(killed)


def kill_campaign(server: str, kills: int, load: Load, folder: Path, seed: int, all_kept: bool) -> list[Finding]:
    """So many kills; every claim. `all_kept` where the server is one that hands subscriptions over."""
    with scene(server, folder, load) as at:
        rounds = Kills(at, random.Random(seed))
        at.run_gateway()
        rounds.starts += 1
        at.watched()
        at.peer.ask("start", hz=load.hz)
        at.goes_on()
        begin = time.monotonic()
        while rounds.kills < kills:
            rounds.round(kills - rounds.kills)
            print(f"  {server}: {rounds.kills} of {kills} kills", flush=True)
        took_s = time.monotonic() - begin
        code = at.end()
        seen = at.census()
    found = findings(folder)
    made = seen["subscriptions_ever"] - 1
    few = seen["sessions_ever"] <= rounds.starts * SESSIONS_PER_START_MAX
    return [
        *found,
        Finding(not all_kept or made == 0, f"{made} subscriptions were made anew after {rounds.kills} kills "
                f"({rounds.early} while it came back) in {took_s:.0f} s"),
        Finding(few, f"{seen['sessions_ever']} CreateSession calls for {rounds.starts} starts; back after "
                f"{rounds.slowest_s:.1f} s at the slowest"),
        Finding(code == 0, f"the last shutdown was clean (exit {code})"),
    ]  # fmt: skip
