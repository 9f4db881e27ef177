"""The drain: ten million readings of backlog through gateway and broker to a subscriber that proves every message.

    python -m tests.bench.drain fill STATE        a buffer, written by the real writer
    python -m tests.bench.drain prove HOST:PORT …  a subscriber that hands every message to `tidegate.proof`

What counts are readings in the proof, from the first message of the backlog until nothing of it is missing. The proof
parses the messages itself, with the standard library. While it drains, live data comes beside it.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from struct import pack
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, python, wait_for
from tests.bench.chain import STOP_DEADLINE_S
from tests.bench.figures import Figure
from tests.campaigns.scene import GATEWAY, TARGET, Load, Scene
from tidegate.buffer.buffer import Buffer
from tidegate.buffer.settings import BufferSettings
from tidegate.clock import Clock, Source
from tidegate.model.frame import ALL_GOOD, I64, U32, Frame
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.proof import Proof

READINGS = 10_000_000
DEVICES, TAGS = 80, 125
FRAMES_A_FLUSH = 32
# So many different polls; more would only cost the bench memory.
POOL = 499
READINGS_S_MIN = 500_000
FILL_DEADLINE_S = 180.0
START_DEADLINE_S = 20.0
DRAIN_DEADLINE_S = 120.0
LOOK_S = 0.2
WORD_MAX = 65_535


async def fill(state: Path) -> None:
    """Words and numbers with a decimal, half and half, random, of 80 devices, a poll a second."""
    noise = random.Random(1)
    kinds = [Type.UINT16 if i % 2 else Type.FLOAT64 for i in range(TAGS)]
    tables = [
        TagTable(f"old{device:03d}", tuple(Tag(f"t{i:03d}", kind, kind) for i, kind in enumerate(kinds)))
        for device in range(DEVICES)
    ]
    polls = [
        b"".join(
            pack("<q", noise.randrange(WORD_MAX)) if kind is Type.UINT16 else pack("<d", noise.randrange(10_000) / 10)
            for kind in kinds
        )
        for _ in range(POOL)
    ]
    indexes = b"".join(map(U32.pack, range(TAGS)))
    clock = Clock(source=Source.SYSTEM)
    buffer = Buffer.open(BufferSettings(folder=state), clock, [TARGET])
    for table in tables:
        buffer.know(table)
    await buffer.start()
    begin_us = clock.now_us() - READINGS // TAGS // DEVICES * 1_000_000
    for i in range(READINGS // TAGS):
        table, at_us = tables[i % DEVICES], begin_us + i // DEVICES * 1_000_000
        await buffer.put(
            Frame(
                table.device, table.hash, TAGS, clock.boot, at_us, at_us, indexes, I64.pack(at_us), ALL_GOOD,
                polls[noise.randrange(POOL)],
            )
        )  # fmt: skip
        if i % FRAMES_A_FLUSH == 0:
            await buffer.flush()
    await buffer.close()


@dataclass
class Prover:
    """A subscriber that proves; what it counts goes into `progress` now and then."""

    progress: Path
    proof: Proof = field(default_factory=Proof)
    begin_s: float = 0.0
    prove_s: float = 0.0
    bytes: int = 0

    def take(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        """A message of any topic, as it came."""
        leaf = message.topic.rpartition("/")[2]
        if leaf == "backlog" and not self.begin_s:
            self.begin_s = time.monotonic()
        if leaf not in ("live", "backlog", "replay", "head"):
            return
        begin_s = time.thread_time()
        self.proof.take(message.payload, time.monotonic())
        self.prove_s += time.thread_time() - begin_s
        self.bytes += len(message.payload)

    def say(self) -> None:
        """How far it is, in one step."""
        report = self.proof.report(time.monotonic())
        said = {
            "readings": report.readings, "missing": sum(e.missing.total for e in report.epochs) + report.waiting,
            "since_s": time.monotonic() - self.begin_s if self.begin_s else 0.0, "duplicates": report.duplicates,
            "prove_s": self.prove_s, "bytes": self.bytes,
        }  # fmt: skip
        part = self.progress.with_suffix(".part")
        part.write_text(json.dumps(said))
        part.replace(self.progress)


def prove(broker: str, progress: Path) -> None:
    """Subscribe, and prove until killed."""
    host, _, port = broker.rpartition(":")
    prover = Prover(progress)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_message = prover.take
    client.connect(host, int(port))
    client.subscribe(f"tidegate/{GATEWAY}/{TARGET}/+", 1)
    due_s = 0.0
    while client.loop(LOOK_S) == mqtt.MQTT_ERR_SUCCESS:
        if time.monotonic() >= due_s:
            prover.say()
            due_s = time.monotonic() + LOOK_S


def drained(folder: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What the subscriber said when nothing was missing any more, and CPU seconds meanwhile of each process."""
    state, progress = folder / "state", folder / "prover.json"
    filling = Child("fill", python("tests.bench.drain", "fill", str(state)), folder)
    if filling.wait(FILL_DEADLINE_S) != 0:
        raise ChildFailed(f"no backlog: {filling.last_words()}")
    scene = Scene(folder, Load(1, TAGS, 1000), Mosquitto(folder / "broker"))
    prover = None
    try:
        command = python("tests.bench.drain", "prove", f"127.0.0.1:{scene.broker.port}", str(progress))
        prover = Child("prover", command, folder)
        wait_for("the subscriber is there", progress.exists, START_DEADLINE_S, prover)
        begun_s = prover.cpu_s()
        gateway = scene.run_gateway()

        def said() -> dict[str, Any]:
            found: dict[str, Any] = json.loads(progress.read_text())
            return found

        def through() -> bool:
            return bool(said()["readings"] >= READINGS and not said()["missing"])

        wait_for("the backlog drains", through, DRAIN_DEADLINE_S, gateway, prover)
        cpu = {"gateway": gateway.cpu_s(), "prover": prover.cpu_s() - begun_s}
        told = said()
        gateway.stop(STOP_DEADLINE_S)
    finally:
        if prover is not None:
            prover.kill()
        scene.close()
    return told, cpu


def measure() -> tuple[list[Figure], bool]:
    """How fast, and what it was spent on."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as place:
        told, cpu = drained(Path(place))
    rate = told["readings"] / told["since_s"]
    well = rate >= READINGS_S_MIN
    beside = f"(at least {READINGS_S_MIN:,}); {told['readings']:,} of them, {told['duplicates']} twice"
    million = told["readings"] / 1e6
    return [
        Figure("drain, counted at the proof", rate, "readings/s", holds=well, beside=beside),
        Figure("drain, the proof with its JSON", told["prove_s"] / million, "CPU s a million"),
        Figure("drain, all of the subscriber", cpu["prover"] / million, "CPU s a million"),
        Figure("drain, the gateway", cpu["gateway"] / million, "CPU s a million"),
        Figure("drain, on the wire", told["bytes"] / told["readings"], "bytes a reading"),
    ], well


def main() -> None:
    """The two helpers of the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.drain")
    parser.add_argument("part", choices=("fill", "prove"))
    parser.add_argument("place")
    parser.add_argument("progress", nargs="?", type=Path)
    given = parser.parse_args()
    if given.part == "fill":
        asyncio.run(fill(Path(given.place)))
    elif given.progress is None:
        parser.error("prove takes a broker and a file for its progress")
    else:
        prove(given.place, given.progress)


if __name__ == "__main__":
    main()
