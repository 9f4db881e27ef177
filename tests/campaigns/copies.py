"""The copies campaign: a buffer that is there twice, or older than what it sent; no reading is taken for a duplicate.

    python -m tests.campaigns.copies [--only CASE] [--keep FOLDER]

An image is put back; a snapshot is rolled back, and the broker is reached late, or not before the next start; one image
runs in two boxes at once.
Epoch and number must never name two frames, or a subscriber throws the second away. Exits 1 when a claim does not hold.
"""

import argparse
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, tidegate, wait_for
from tests.adversity.shims import compiled
from tests.campaigns.checker import Finding, check
from tests.campaigns.scene import STOP_DEADLINE_S, Load, Scene, covered_upto, leave, workplace

LOAD = Load(units=4, registers=20, interval_ms=200, commit_interval_s=0.25)
RUN_S = 3.0
LATE_S = 4.0
DEADLINE_S = 40.0
SETTLE_S = 1.5


class Copies:
    """A scene whose state folder is copied and put back. The gateway's lives are counted in numbers of epochs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.state = folder / "state"
        self.scene = Scene(folder, LOAD, Mosquitto(folder / "broker", persistence=True))
        self.scene.record()

    def start(self, environment: Mapping[str, str] | None = None) -> Child:
        """Start a gateway, and wait until it speaks."""
        command = tidegate("run", str(self.scene.configuration))
        self.scene.gateway = Child("gateway", command, self.folder, environment)
        return self.scene.gateway

    def run(self, seconds: float = RUN_S) -> None:
        """A life that ends in order, with everything received."""
        gateway = self.start()
        messages = self.scene.progress()["messages"]
        wait_for("it speaks", lambda: self.scene.progress()["messages"] > messages + 3, DEADLINE_S, gateway)
        time.sleep(seconds)
        gateway.stop(STOP_DEADLINE_S)
        self.settle()

    def settle(self) -> None:
        """All that is known to exist has come."""
        time.sleep(SETTLE_S)
        last = {epoch: stream["last"] for epoch, stream in self.scene.progress()["epochs"].items()}
        wait_for("the last numbers arrive", lambda: covered_upto(self.scene.progress(), last), DEADLINE_S)

    def keep(self, name: str) -> Path:
        """An image of the state folder."""
        image = self.folder / name
        shutil.copytree(self.state, image, ignore=shutil.ignore_patterns("agent.sock"))
        return image

    def put_back(self, image: Path) -> None:
        """The image in place of what is there."""
        shutil.rmtree(self.state)
        shutil.copytree(image, self.state)

    def judge(self, epochs: int) -> list[Finding]:
        """End everything, and what the checker says; so many epochs must have been seen."""
        self.scene.plant.stop()
        assert self.scene.recorder is not None
        self.scene.recorder.stop()
        findings, seen = check(self.folder, LOAD)
        # What was numbered again lies on disk under both numbers: the plant's log is the truth here.
        findings = findings[1:]
        twice = [sentence for sentence in seen.wrong if "other content" in sentence]
        words = f"{len(seen.last)} epochs ({epochs} needed): {len(twice)} frames taken for duplicates"
        return [*findings, Finding(not twice and len(seen.last) >= epochs, words)]


def image_put_back(copies: Copies) -> list[Finding]:
    """An engineer restores yesterday's image."""
    copies.run()
    image = copies.keep("image")
    copies.run()
    copies.put_back(image)
    copies.run()
    return copies.judge(2)


def snapshot_rolled_back(copies: Copies) -> list[Finding]:
    """A virtual machine's snapshot: taken while it runs, rolled back after a power cut, the broker reached late."""
    gateway = copies.start()
    wait_for("it speaks", lambda: copies.scene.progress()["messages"] > 3, DEADLINE_S, gateway)
    time.sleep(RUN_S)
    gateway.send(signal.SIGSTOP)
    image = copies.keep("image")
    gateway.send(signal.SIGCONT)
    # Longer than a head waits to be said.
    time.sleep(RUN_S * 2)
    gateway.kill()
    copies.settle()
    copies.scene.broker.stop()
    copies.put_back(image)
    gateway = copies.start()
    time.sleep(LATE_S)
    copies.scene.broker.start()
    time.sleep(LATE_S)
    gateway.stop(STOP_DEADLINE_S)
    copies.settle()
    return copies.judge(2)


def started_twice(copies: Copies) -> list[Finding]:
    """An image is put back where no broker can be reached, and the gateway is started once more before one can."""
    copies.run()
    image = copies.keep("image")
    copies.run(RUN_S + LATE_S)
    copies.scene.broker.stop()
    copies.put_back(image)
    gateway = copies.start()
    time.sleep(LATE_S)
    gateway.kill()
    gateway = copies.start()
    time.sleep(LATE_S)
    copies.scene.broker.start()
    time.sleep(LATE_S)
    gateway.stop(STOP_DEADLINE_S)
    copies.settle()
    return copies.judge(2)


def two_boxes(copies: Copies) -> list[Finding]:
    """A card is cloned, and both run at once, against one broker, under one name."""
    copies.run()
    scene, twin = copies.scene, copies.folder / "twin"
    twin.mkdir()
    for name in ("load.csv", "devices.csv"):
        shutil.copy(copies.folder / name, twin / name)
    text = scene.configuration.read_text().replace("[[target]]", '[[target]]\nclient_id = "twin"')
    (twin / "gateway.toml").write_text(text)
    shutil.copytree(copies.keep("image"), twin / "state")
    (twin / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    environment = {"LD_PRELOAD": str(compiled("boxshim", twin)), "BOX_FILE": str(twin / "machine-id")}
    first = copies.start()
    second = Child("twin", tidegate("run", str(twin / "gateway.toml")), copies.folder, environment)
    try:
        wait_for("both speak", lambda: len(scene.progress()["epochs"]) == 2, DEADLINE_S, first, second)
        time.sleep(RUN_S)
        for gateway in (second, first):
            gateway.stop(STOP_DEADLINE_S)
        copies.settle()
    finally:
        second.kill()
    return copies.judge(2)


CASES = {
    "image put back": image_put_back,
    "snapshot rolled back": snapshot_rolled_back,
    "started twice": started_twice,
    "two boxes": two_boxes,
}


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.copies")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    parser.add_argument("--only", choices=CASES)
    given = parser.parse_args()
    folder = workplace("copies", given.keep)
    begin, held = time.monotonic(), True
    for name, case in CASES.items():
        if given.only not in (None, name):
            continue
        print(f"copies campaign, {name}: in {folder}", flush=True)
        copies = Copies(folder / name.replace(" ", "-"))
        try:
            findings = case(copies)
        except ChildFailed as failure:
            findings = [Finding(False, str(failure))]
        finally:
            copies.scene.close()
        print("\n".join(map(str, findings)), flush=True)
        held = held and all(finding.holds for finding in findings)
    print(
        f"copies campaign: {'every claim holds' if held else 'not every claim holds'}, {time.monotonic() - begin:.0f} s"
    )
    leave(folder, held, given.keep)


if __name__ == "__main__":
    main()
