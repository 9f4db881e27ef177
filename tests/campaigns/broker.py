"""The broker campaign: everything that brokers and lines do to a publisher, one after the other, under load.

    python -m tests.campaigns.broker 10 [--only STEP] [--seed 5] [--keep FOLDER]

One gateway, one real mosquitto that is killed N times with data in it, and a front between them that refuses, hangs up,
drops the link or says nothing. The recorder sits at the broker itself. Exits 1 when a claim does not hold.
"""

import argparse
import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from demo.broker import Mosquitto
from demo.child import ChildFailed, tidegate, wait_for
from tests.campaigns.checker import Finding, check
from tests.campaigns.front import HANG_UP, PASS, TOO_LARGE, Data, Front, passed
from tests.campaigns.scene import STOP_DEADLINE_S, Load, Scene, leave, stamp_us, workplace, write_configuration
from tests.campaigns.transcript import Transcript

LOAD = Load(units=20, registers=26, interval_ms=500, commit_interval_s=0.25)
DRAIN_DEADLINE_S = 90.0
POISON_DEADLINE_S = 60.0
PARK_DEADLINE_S = 20.0
COMMAND_DEADLINE_S = 20.0
# A connection of such length makes the gateway's next pause a short one again.
GOOD_CONNECTION_S = 5.2
NOTICED_S_MAX = 20.0
OTHERS_LATE_S_MAX = 30.0
RECONNECTS_MAX = 20
# To find one frame of poison.
POISON_RECONNECTS_MAX = 5
# Numbers ahead of the last one that came, so that poison is new.
AHEAD = 60
SLEEP_S = 4.0
QUOTA_S = 3.0
MUTE_S = 5.0
PACKET_BYTES_MAX = 6000
QUEUE_MAX = 20
QUEUE_S = 8.0
# Before a kill the subscriber is still, so that the broker has what it acknowledged.
ASLEEP_S = 1.0
WORD_S = 0.2


class Campaign:
    """The scene with a front in it, and what was found so far."""

    def __init__(self, folder: Path) -> None:
        broker = Mosquitto(folder / "broker", extra=f"max_queued_messages {QUEUE_MAX}")
        self.scene = Scene(folder, LOAD, broker)
        self.front = Front(broker.port)
        self.scene.configuration = write_configuration(folder, LOAD, self.scene.ports, self.front.url)
        self.findings: list[Finding] = []
        # Times in which a reading may be late for a reason that is the campaign's own.
        self.excused: list[tuple[int, int]] = []

    def claim(self, holds: bool, words: str) -> None:
        finding = Finding(holds, words)
        print(finding, flush=True)
        self.findings.append(finding)

    def last(self) -> int:
        return max((stream["last"] for stream in self.scene.progress()["epochs"].values()), default=0)

    def missing(self) -> int:
        return sum(b - a + 1 for stream in self.scene.progress()["epochs"].values() for a, b in stream["missing"])

    def wait(self, what: str, until: Callable[[], bool], deadline_s: float = DRAIN_DEADLINE_S) -> float:
        """Seconds that it took. Raises ChildFailed past the deadline, or when a process has ended."""
        assert self.scene.gateway is not None
        assert self.scene.recorder is not None
        begun_s = time.monotonic()
        wait_for(what, until, deadline_s, self.scene.gateway, self.scene.recorder)
        return time.monotonic() - begun_s

    def drained(self, after: str) -> float:
        """Wait until data that is committed after now has arrived, and nothing before it is missing."""
        time.sleep(WORD_S)
        last = self.last()
        return self.wait(f"all arrives after {after}", lambda: self.last() > last + AHEAD and self.missing() == 0)

    def ask(self, *words: str) -> Any:
        """What a command of `tidegate` prints as JSON."""
        ran = subprocess.run(tidegate(*words), capture_output=True, timeout=COMMAND_DEADLINE_S, check=False)
        return json.loads(ran.stdout) if ran.returncode == 0 else {}

    def target(self) -> dict[str, Any]:
        said = self.ask("status", str(self.scene.configuration), "--json")
        return dict(said["targets"][0]) if said else {}

    def letters(self) -> list[int]:
        found = self.ask("buffer", "letters", "--json", str(self.scene.folder / "state"))
        return [gap["frames"][0][0] for gap in found]

    @contextmanager
    def excuse(self) -> Iterator[None]:
        """What is sent in this time may be late."""
        begin_us = stamp_us()
        try:
            yield
        finally:
            self.excused.append((begin_us, stamp_us()))


def kills(campaign: Campaign, count: int, rng: random.Random) -> None:
    """SIGKILL with data in it: what the broker acknowledged and did not deliver is asked for again."""
    broker, front, recorder = campaign.scene.broker, campaign.front, campaign.scene.recorder
    assert recorder is not None
    begun_s, asked = time.monotonic(), campaign.scene.progress()["asked"]
    with campaign.excuse():
        for _ in range(count):
            time.sleep(GOOD_CONNECTION_S + rng.uniform(0, 0.5))
            before = front.connections
            recorder.send(signal.SIGSTOP)
            time.sleep(ASLEEP_S)
            broker.kill()
            recorder.send(signal.SIGCONT)
            broker.start()
            campaign.wait("the gateway connects again", lambda before=before: front.connections > before)
        campaign.drained("the kills")
    took_s = time.monotonic() - begun_s
    asked = campaign.scene.progress()["asked"] - asked
    words = f"{count} kills of the broker with data in it, {took_s:.0f} s: {asked} numbers asked for, none missing"
    campaign.claim(campaign.missing() == 0 and asked > 0, words)
    campaign.claim(campaign.letters() == [], "no kill was taken for the fault of a message")


def full_queue(campaign: Campaign) -> None:
    """The subscriber sleeps; the broker acknowledges what it has no room for, and drops it."""
    recorder = campaign.scene.recorder
    assert recorder is not None
    asked = campaign.scene.progress()["asked"]
    with campaign.excuse():
        recorder.send(signal.SIGSTOP)
        time.sleep(QUEUE_S)
        recorder.send(signal.SIGCONT)
        took_s = campaign.drained("a full queue")
    asked = campaign.scene.progress()["asked"] - asked
    words = f"room for {QUEUE_MAX} messages, the subscriber asleep: {asked} numbers dropped, whole {took_s:.1f} s later"
    campaign.claim(asked > 0, words)


def poison(campaign: Campaign, name: str, verdict: int) -> None:
    """One frame is never taken: it becomes a dead letter, all others arrive; later it is sent again."""
    front, number = campaign.front, campaign.last() + AHEAD
    before = front.connections

    def judge(data: Data) -> int:
        return verdict if data.first <= number <= data.last else PASS

    front.judge = judge
    took_s = campaign.wait(f"the poison is found ({name})", lambda: number in campaign.letters(), POISON_DEADLINE_S)
    campaign.drained(name)
    found, reconnects = campaign.letters(), front.connections - before
    campaign.claim(
        found == [number] and reconnects <= POISON_RECONNECTS_MAX,
        f"{name}: poison found after {took_s:.1f} s, {len(found)} dead letter of 1, {reconnects} reconnects "
        f"(at most {POISON_RECONNECTS_MAX})",
    )
    front.judge = passed
    with campaign.excuse():
        subprocess.run(
            tidegate("buffer", "resubmit", str(campaign.scene.folder / "state")), timeout=COMMAND_DEADLINE_S, check=True
        )
        campaign.wait(f"it is sent again ({name})", lambda: campaign.letters() == [])
        campaign.drained(name)


def oversize(campaign: Campaign) -> None:
    """A broker that takes only small packets, and hangs up without a word on others."""
    front, before = campaign.front, campaign.front.connections
    front.judge = lambda data: HANG_UP if data.size > PACKET_BYTES_MAX else PASS
    refused = front.refused
    with campaign.excuse():
        # What gathers meanwhile makes large messages.
        campaign.scene.broker.kill()
        time.sleep(SLEEP_S)
        campaign.scene.broker.start()
        took_s = campaign.drained("small packets only")
    front.judge = passed
    reconnects = front.connections - before
    campaign.claim(
        campaign.letters() == [] and reconnects <= RECONNECTS_MAX and front.refused > refused,
        f"packets over {PACKET_BYTES_MAX} bytes are hung up on: all arrived cut smaller, {took_s:.1f} s, "
        f"{reconnects} reconnects",
    )


def quota(campaign: Campaign) -> None:
    """0x97 for some seconds: nothing is lost, nobody reconnects."""
    front, before = campaign.front, campaign.front.connections
    front.judge = lambda _: 0x97
    with campaign.excuse():
        time.sleep(QUOTA_S)
        front.judge = passed
        took_s = campaign.drained("0x97")
    campaign.claim(front.connections == before, f"0x97 for {QUOTA_S:.0f} s: whole {took_s:.1f} s later, no reconnect")


def dropped(campaign: Campaign) -> None:
    """The link dies without a word; what was on its way is sent again, and nobody has to ask for it."""
    front, before = campaign.front, campaign.front.connections
    asked = campaign.scene.progress()["asked"]
    with campaign.excuse():
        front.dropped = True
        noticed_s = campaign.wait("the dead link is noticed", lambda: front.connections > before)
        front.dropped = False
        campaign.drained("a dropped link")
    asked = campaign.scene.progress()["asked"] - asked
    campaign.claim(
        noticed_s <= NOTICED_S_MAX and asked == 0,
        f"a link that died without a word: noticed after {noticed_s:.1f} s (at most {NOTICED_S_MAX:.0f}), what was on "
        f"its way came again by itself ({asked} numbers had to be asked for)",
    )


def mute(campaign: Campaign) -> None:
    """Whoever connects hears nothing."""
    front, broker, before = campaign.front, campaign.scene.broker, campaign.front.connections
    with campaign.excuse():
        front.mute = True
        broker.kill()
        time.sleep(MUTE_S)
        broker.start()
        front.mute = False
        took_s = campaign.drained("a mute peer")
    reconnects = front.connections - before
    campaign.claim(
        reconnects <= RECONNECTS_MAX, f"a peer that says nothing: whole {took_s:.1f} s later, {reconnects} reconnects"
    )


def denied(campaign: Campaign) -> None:
    """0x87 for all data: the target is parked, and nothing at all is deleted; a restart knocks again."""
    front, scene = campaign.front, campaign.scene
    assert scene.gateway is not None
    front.judge = lambda _: 0x87
    with campaign.excuse():
        campaign.wait("the target is parked", lambda: campaign.target().get("state") == "parked", PARK_DEADLINE_S)
        owed, letters, before = campaign.target()["backlog"], campaign.letters(), front.connections
        time.sleep(SLEEP_S)
        campaign.claim(
            letters == [] and owed > 0 and front.connections == before,
            f"0x87 for a whole target: parked with {owed} frames kept, no dead letter, no reconnect in {SLEEP_S:.0f} s",
        )
        scene.gateway.stop(STOP_DEADLINE_S)
        front.judge = passed
        scene.run_gateway()
        campaign.drained("0x87")


def others_are_in_time(seen: Transcript, campaign: Campaign) -> Finding:
    """While poison was looked for, no other reading was late."""
    delays_s = [
        (a.at_us - a.oldest_us) / 1e6
        for a in seen.arrivals
        if a.lane != "replay" and not any(begin <= a.at_us <= end for begin, end in campaign.excused)
    ]
    worst_s = max(delays_s, default=0.0)
    words = f"{len(delays_s)} messages beside poison: {worst_s:.1f} s late at most (allowed: {OTHERS_LATE_S_MAX:.0f} s)"
    return Finding(worst_s <= OTHERS_LATE_S_MAX and bool(delays_s), words)


def judged(campaign: Campaign) -> list[Finding]:
    """The checker's verdict. That a run has a hole where a broker refused or dropped a message is what runs are for."""
    findings, seen = check(campaign.scene.folder, LOAD)
    holes = [sentence for sentence in seen.wrong if " came after .." in sentence]
    wrong = [sentence for sentence in seen.wrong if sentence not in holes]
    kept = [finding for finding in findings if not any(sentence in finding.words for sentence in holes)]
    return [
        *kept,
        Finding(
            wrong == [], f"every message is as documented ({len(holes)} holes in runs where messages were refused)"
        ),
        others_are_in_time(seen, campaign),
    ]


def steps(count: int, rng: random.Random) -> dict[str, Callable[[Campaign], None]]:
    """The faults, in the order in which they come."""
    return {
        "0x99": lambda campaign: poison(campaign, "0x99", 0x99),
        "close": lambda campaign: poison(campaign, "a silent close", HANG_UP),
        "0x95": lambda campaign: poison(campaign, "0x95", TOO_LARGE),
        "0x97": quota,
        "oversize": oversize,
        "kills": lambda campaign: kills(campaign, count, rng),
        "queue": full_queue,
        "dropped": dropped,
        "mute": mute,
        "0x87": denied,
    }


def run(folder: Path, chosen: Iterable[Callable[[Campaign], None]]) -> list[Finding]:
    """These faults, one after the other."""
    campaign = Campaign(folder)
    scene = campaign.scene
    recorder = scene.record("--receive-maximum", "2")
    gateway = scene.run_gateway()
    try:
        wait_for("readings arrive", lambda: bool(scene.progress()["epochs"]), DRAIN_DEADLINE_S, gateway, recorder)
        for step in chosen:
            step(campaign)
        assert scene.gateway is not None
        code = scene.gateway.stop(STOP_DEADLINE_S)
        wait_for("the last numbers arrive", lambda: campaign.missing() == 0, DRAIN_DEADLINE_S, recorder)
        time.sleep(WORD_S)
        scene.plant.stop()
        recorder.stop()
    finally:
        scene.close()
        campaign.front.close()
    damage = scene.verify()
    return [
        *campaign.findings,
        *judged(campaign),
        Finding(
            code == 0 and not damage, f"the gateway's shutdown was clean (exit {code}), its buffer is whole {damage}"
        ),
    ]


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.broker")
    parser.add_argument("kills", type=int, nargs="?", default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    parser.add_argument("--only", help="one of: " + ", ".join(steps(0, random.Random())))
    given = parser.parse_args()
    listed = steps(given.kills, random.Random(given.seed))
    if given.only is not None and given.only not in listed:
        parser.error(f"no step is called {given.only}")
    folder = workplace("broker", given.keep)
    print(f"broker campaign: {LOAD.readings_per_s:,.0f} readings/s, seed {given.seed}, in {folder}", flush=True)
    begun_s = time.monotonic()
    try:
        findings = run(folder, [step for name, step in listed.items() if given.only in (None, name)])
    except ChildFailed as failure:
        findings = [Finding(False, str(failure))]
    print(f"broker campaign, {time.monotonic() - begun_s:.0f} s")
    print("\n".join(map(str, findings)))
    held = all(finding.holds for finding in findings)
    leave(folder, held, given.keep)


if __name__ == "__main__":
    main()
