"""The soak campaign: the whole gateway under steady load, and all that goes on beside it, for as long as is asked for.

    python -m tests.campaigns.soak 600 [--seed 5] [--keep FOLDER]

Broker restarts, a silent plant, units that never answer, reloads, commands, subscribers that come and go, replays, and
a quota so small that segments go all the time. Exits 1 when something grew, got lost or stayed behind.
"""

import argparse
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median_low
from typing import Any

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, tidegate, wait_for
from tests.campaigns.checker import Finding, check
from tests.campaigns.footprint import Footprint, ask, growth_kb_min
from tests.campaigns.scene import GATEWAY, STOP_DEADLINE_S, TARGET, Load, Scene, leave, workplace, write_configuration

LOAD = Load(units=20, registers=125, interval_ms=200, buses=2, segment="270kB", quota="2200kB", commit_interval_s=0.5)
SEGMENT_BYTES, QUOTA_BYTES = 270_000, 2_200_000
# Units that the plant does not have, and a device where nobody listens.
STRANGERS = (
    "absent1,modbus,load,tcp://127.0.0.1:{port},201",
    "absent2,modbus,load,tcp://127.0.0.1:{port},202",
    "nobody,modbus,load,tcp://127.0.0.1:1,1",
)
VARIANTS = 4
SECONDS_MIN = 60.0
# Nothing happens beside the load: at the beginning once everything was used once, and at the end.
QUIET_S = 10.0
BETWEEN_S = (0.3, 1.5)
SILENT_S = 2.5
FOLLOW_S = 2
REPLAYED_NUMBERS = 300
COMMAND_DEADLINE_S = 30.0
DRAIN_DEADLINE_S = 60.0
# Below it lies what an allocator does in minutes (10 to 30 were measured); a byte lost a reading is seven times that.
GROWTH_KB_MIN_MAX = 100.0
# In its first minutes a process still fills caches (0.7 MB were measured over the half of a run of 90 s): a run whose
# half is shorter than this sees coarse leaks only, those of more than so much over the half.
WARM_MIN = 4.0
GROWTH_KB_MAX = 1000.0
LAST_S = 1.0


class Soak:
    """One gateway, what is done to it, and how often."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.chance = chance
        self.scene = Scene(folder, LOAD, Mosquitto(folder / "broker"))
        self.variant = 0
        self.done: dict[str, int] = {}
        self.wrong: list[str] = []
        self.configure()

    def configure(self) -> None:
        """One of several configurations: with the strangers or without, and with another size of messages."""
        variant = self.variant % VARIANTS
        strangers = [row.format(port=self.scene.ports[0]) for row in STRANGERS] if variant % 2 == 0 else []
        extra = 'message_size = "48kB"\n' if variant >= 2 else ""
        write_configuration(self.folder, LOAD, self.scene.ports, self.scene.broker.url, extra, strangers)

    @property
    def gateway(self) -> Child:
        """The gateway's process."""
        assert self.scene.gateway is not None
        return self.scene.gateway

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        return ask(self.folder / "state")

    def connected(self) -> bool:
        """Whether it is connected, and nothing waits but what was just committed."""
        # While a target is exchanged there is none.
        targets = self.status()["targets"]
        return bool(targets) and targets[0]["state"] == "connected" and targets[0]["backlog"] <= 10 * LOAD.units

    def missing(self) -> int:
        """Numbers that the recorder knows of and does not have."""
        return sum(b - a + 1 for stream in self.scene.progress()["epochs"].values() for a, b in stream["missing"])

    def command(self, name: str, *words: str, codes: tuple[int, ...] = (0,)) -> None:
        """Run a command of Tidegate to its end, and see that it ended well."""
        child = Child(name, tidegate(*words), self.folder)
        code = child.wait(COMMAND_DEADLINE_S)
        if code not in codes:
            self.wrong.append(f"`tidegate {' '.join(words)}` ended with {code}: {child.last_words()[-200:]}")

    def broker_restarts(self) -> None:
        """Killed or stopped; its sessions and what it retained are gone."""
        broker = self.scene.broker
        self.chance.choice((broker.kill, broker.stop))()
        time.sleep(self.chance.uniform(0.1, 1.0))
        broker.start()
        wait_for("it is connected again", self.connected, DRAIN_DEADLINE_S, self.gateway)

    def plant_is_silent(self) -> None:
        """No device answers for a while, and then all at once."""
        self.scene.plant.send(signal.SIGSTOP)
        time.sleep(SILENT_S)
        self.scene.plant.send(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP with another configuration."""
        before = self.status()["config"]
        self.variant += 1
        self.configure()
        self.gateway.send(signal.SIGHUP)
        wait_for("the new configuration is in use", lambda: self.status()["config"] != before, STOP_DEADLINE_S)
        wait_for("it is connected after a reload", self.connected, DRAIN_DEADLINE_S, self.gateway)

    def as_at_first(self) -> None:
        """Reload until the configuration is that of after the first round, so that like is held against like."""
        while self.variant % VARIANTS != 1:
            self.reload()

    def look(self) -> None:
        """An engineer looks."""
        self.command("status", "status", str(self.scene.configuration))
        self.command("doctor", "doctor", str(self.scene.configuration), "--json", codes=(0, 1))

    def follow(self) -> None:
        """A subscriber comes and goes."""
        words = (self.scene.broker.url, "--gateway", GATEWAY, "--target", TARGET, "--seconds", str(FOLLOW_S))
        self.command("follow", "tail", *words, "--from-now", "--json", codes=(0, 2))

    def replay(self) -> None:
        """What was sent is sent once more."""
        first = max(1, self.status()["buffer"]["last"] - REPLAYED_NUMBERS)
        self.command("replay", "buffer", "replay", str(self.folder / "state"), "--from", str(first), "--wait")

    def round(self) -> None:
        """Everything once, in any order."""
        steps: list[Callable[[], None]] = [
            self.broker_restarts, self.plant_is_silent, self.reload, self.look, self.follow, self.replay
        ]  # fmt: skip
        self.chance.shuffle(steps)
        for step in steps:
            step()
            self.done[step.__name__] = self.done.get(step.__name__, 0) + 1
            time.sleep(self.chance.uniform(*BETWEEN_S))


def children_of(session: int) -> list[str]:
    """Processes of this session, zombies too: a gateway leaves none behind."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, fields = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(fields.split()[3]) == session:
            found.append(f"{name}) {fields.split()[0]}")
    return found


def campaign(seconds: float, folder: Path, seed: int) -> list[Finding]:
    """All of it; its findings."""
    soak = Soak(folder, random.Random(seed))
    scene = soak.scene
    recorder = scene.record()
    tail_words = ("tail", scene.broker.url, "--gateway", GATEWAY, "--target", TARGET, "--json")
    tail = Child("tail", tidegate(*tail_words), folder, out=folder / "tail.jsonl")
    gateway = scene.run_gateway()
    footprint: Footprint | None = None
    try:
        wait_for("readings arrive", lambda: bool(scene.progress()["epochs"]), DRAIN_DEADLINE_S, gateway, recorder)
        begun_s = time.monotonic()
        footprint = Footprint(gateway.pid, folder / "state", folder / "footprint.jsonl")
        soak.round()
        footprint.quiet("after the first round", QUIET_S)
        while time.monotonic() - begun_s < seconds - QUIET_S:
            soak.round()
            print(f"  {time.monotonic() - begun_s:.0f} s of {seconds:.0f}: {footprint.words()}", flush=True)
        soak.as_at_first()
        wait_for("all has arrived", lambda: soak.missing() == 0, DRAIN_DEADLINE_S, gateway, recorder, tail)
        footprint.quiet("at the end", QUIET_S)
        footprint.stop()
        ended_s = time.monotonic()
        code = gateway.stop(STOP_DEADLINE_S)
        took_s = time.monotonic() - ended_s
        left = children_of(gateway.pid)
        time.sleep(LAST_S)
        wait_for("the last numbers arrive", lambda: soak.missing() == 0, DRAIN_DEADLINE_S, recorder)
        tail.send(signal.SIGINT)
        proven = tail.wait(DRAIN_DEADLINE_S)
        scene.plant.stop()
        recorder.stop()
    finally:
        if footprint is not None:
            footprint.stop()
        scene.close()
        tail.kill()
    findings, _ = check(folder, LOAD)
    ended = f"it ended {took_s:.1f} s after it was asked to (exit {code}; allowed {STOP_DEADLINE_S:.0f} s)"
    return [
        *findings,
        *grew(footprint),
        went_on(soak),
        within_quota(footprint),
        Finding(code == 0 and not left, "\n        ".join([f"{ended}, {len(left)} processes left behind", *left])),
        Finding(proven == 0, f"`tidegate tail` beside it proved the same by itself (exit {proven})"),
    ]


def grew(footprint: Footprint) -> list[Finding]:
    """Memory over the second half; descriptors, threads and tasks in the quiet at the end, against those in the quiet
    after the first round. Medians, since for a moment there are fewer (a segment is sealed) or more (it is looked at).
    """
    slope, floors = growth_kb_min(footprint.samples)
    half_min = (footprint.samples[-1].at_s - footprint.samples[0].at_s) / 120
    limit = GROWTH_KB_MIN_MAX if half_min >= WARM_MIN else GROWTH_KB_MAX / half_min
    found = [
        Finding(
            slope <= limit,
            f"private memory over the second half: {slope:+.0f} kB/min (at most {limit:.0f}), "
            f"{min(floors) / 1024:.1f} to {max(floors) / 1024:.1f} MB",
        )
    ]
    (_, before), (_, after) = footprint.at_rest
    for name in ("descriptors", "threads", "tasks"):
        was, now = (median_low(getattr(s, name) for s in quiet) for quiet in (before, after))
        peak = max(getattr(s, name) for s in footprint.samples)
        found.append(Finding(now <= was, f"{name}: {now} at the end, {was} after the first round ({peak} at most)"))
    return found


def went_on(soak: Soak) -> Finding:
    """All that was done beside the load ended well."""
    words = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sorted(soak.done.items()))
    said = (soak.folder / "gateway.log").read_text(errors="replace")
    traces = said.count("Traceback")
    words = f"{words}; {len(soak.wrong)} commands ended wrong, {traces} tracebacks in the log"
    return Finding(not soak.wrong and not traces, "\n        ".join([words, *soak.wrong[:5]]))


def within_quota(footprint: Footprint) -> Finding:
    """The buffer never took more than its quota and the segment that is being written."""
    worst = max(sample.used_bytes for sample in footprint.samples)
    first = footprint.samples[-1].first
    words = (
        f"the buffer took {worst / 1e6:.2f} MB at most of {QUOTA_BYTES / 1e6:.1f}; numbers below {first} went for room"
    )
    return Finding(first > 1 and worst <= QUOTA_BYTES + SEGMENT_BYTES, words)


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.soak")
    parser.add_argument("seconds", type=float, nargs="?", default=600.0, help=f"at least {SECONDS_MIN:.0f}")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    given = parser.parse_args()
    if given.seconds < SECONDS_MIN:
        parser.error(f"a soak takes at least {SECONDS_MIN:.0f} s")
    folder = workplace("soak", given.keep)
    pace = f"{LOAD.readings_per_s:,.0f} readings/s for {given.seconds:.0f} s"
    print(f"soak campaign: {pace}, seed {given.seed}, in {folder}", flush=True)
    begun_s = time.monotonic()
    try:
        findings = campaign(given.seconds, folder, given.seed)
    except ChildFailed as failure:
        findings = [Finding(False, str(failure))]
    print(f"soak campaign, {time.monotonic() - begun_s:.0f} s, seed {given.seed}, {os.cpu_count()} cores")
    print("\n".join(map(str, findings)))
    leave(folder, all(finding.holds for finding in findings), given.keep)


if __name__ == "__main__":
    main()
