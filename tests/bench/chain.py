"""The whole chain against the usual way: Modbus socket → committed with FULL → PUBACK, CPU seconds a million readings.

Both read the same simulated units (changing values) and publish to the same broker, in turns, so that a busy machine
is unfair to both alike. Ours is `tidegate run` as a process, in a flood: more polls are due than it can make.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, python, tidegate, wait_for
from tests.bench.figures import Figure, against
from tests.campaigns.scene import Load, Scene

UNITS, REGISTERS = 100, 125
# 100 units each 10 ms are 10,000 polls a second: 1.24 million readings.
FLOOD = Load(units=UNITS, registers=REGISTERS, interval_ms=10, buses=20)
PACED = Load(units=UNITS, registers=REGISTERS, interval_ms=1000, buses=20)
ROUNDS = 3
WARM_UP_S = 2.0
MEASURED_S = 6.0
PACED_MEASURED_S = 8.0
START_DEADLINE_S = 15.0
STOP_DEADLINE_S = 30.0
NAIVE_DEADLINE_S = 120.0
NS = 1e9
NAIVE_UNITS, NAIVE_POLLS, BLOCK_POLLS = 10, 4, 20
# Against the baseline that makes a call per tag.
RATIO_MIN = 30.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What one measured stretch cost."""

    readings: int
    cpu_s: float
    wall_s: float

    @property
    def us(self) -> float:
        """CPU µs a reading, which is CPU seconds a million."""
        return self.cpu_s / self.readings * 1e6


def ours(folder: Path, load: Load, measured_s: float) -> Spent:
    """`tidegate run` under this load, measured between two looks at what the broker has acknowledged."""
    scene = Scene(folder, load, Mosquitto(folder / "broker"))
    try:
        gateway = scene.run_gateway()
        wait_for("the gateway publishes", lambda: delivered(scene) > 0, START_DEADLINE_S, gateway)
        time.sleep(WARM_UP_S)
        before, spent_s, wall_s = delivered(scene), cpu_s(gateway), time.monotonic()
        time.sleep(measured_s)
        after = delivered(scene)
        spent = Spent((after - before) * load.tags, cpu_s(gateway) - spent_s, time.monotonic() - wall_s)
        gateway.stop(STOP_DEADLINE_S)
    finally:
        scene.close()
    return spent


def cpu_s(child: Child) -> float:
    """CPU time of all its threads so far, to the ns: ticks of 10 ms are too coarse for a paced gateway."""
    threads = Path(f"/proc/{child.pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / NS


def delivered(scene: Scene) -> int:
    """Frames that the broker has acknowledged; here each is one poll of one unit."""
    asked = subprocess.run(
        tidegate("status", str(scene.configuration), "--json"), capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        return 0
    status: dict[str, Any] = json.loads(asked.stdout)
    return int(status["buffer"]["frames"]) - int(status["targets"][0]["backlog"])


def usual(folder: Path, block: bool) -> Spent:
    """The naive gateway on the same plant and broker."""
    load = Load(units=NAIVE_UNITS, registers=REGISTERS, interval_ms=1000)
    folder.mkdir(exist_ok=True)
    scene = Scene(folder, load, Mosquitto(folder / "broker"))
    out = folder / "naive.json"
    try:
        command = python(
            "tests.bench.naive", "--modbus", f"127.0.0.1:{scene.ports[0]}",
            "--broker", f"127.0.0.1:{scene.broker.port}", "--units", str(NAIVE_UNITS), "--registers", str(REGISTERS),
            "--polls", str(BLOCK_POLLS if block else NAIVE_POLLS), *(["--block"] if block else []),
        )  # fmt: skip
        child = Child("naive", command, folder, out=out)
        if child.wait(NAIVE_DEADLINE_S) != 0:
            raise ChildFailed(f"the baseline failed: {child.last_words()}")
    finally:
        scene.close()
    said = json.loads(out.read_text())
    return Spent(said["readings"], said["cpu_s"], said["wall_s"])


def measure() -> tuple[list[Figure], bool]:
    """All figures of the chain; whether it is cheap enough."""
    flood: list[Spent] = []
    paced: list[Spent] = []
    by_tag: list[Spent] = []
    by_block: list[Spent] = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as place:
            folder = Path(place)
            runs: list[tuple[str, list[Spent], Callable[[Path], Spent]]] = [
                ("flood", flood, lambda at: ours(at, FLOOD, MEASURED_S)),
                ("by-tag", by_tag, lambda at: usual(at, block=False)),
                ("by-poll", by_block, lambda at: usual(at, block=True)),
                ("1-Hz", paced, lambda at: ours(at, PACED, PACED_MEASURED_S)),
            ]
            for name, spent, run in runs:
                at = folder / name
                at.mkdir()
                spent.append(run(at))
                print(f"  round {number + 1} of {ROUNDS}, {name}: {spent[-1].us:.3f} µs CPU a reading", flush=True)
    ours_us, tag_us, block_us = ([s.us for s in spent] for spent in (flood, by_tag, by_block))
    rates = sorted(s.readings / s.wall_s for s in flood)
    by_call = against("chain, flood, a call per tag", "µs CPU a reading", ours_us, tag_us)
    cheap = (by_call.ratio or 0) >= RATIO_MIN
    figures = [
        replace(by_call, holds=cheap, beside=f"(at most 1/{RATIO_MIN:.0f})"),
        against("chain, flood, a call per poll", "µs CPU a reading", ours_us, block_us),
        against("chain, 1 Hz, a call per tag", "µs CPU a reading", [s.us for s in paced], tag_us),
        Figure("chain, flood, delivered", rates[len(rates) // 2], "readings/s"),
        Figure("chain, 1 Hz, CPU", 100 * sorted(s.cpu_s / s.wall_s for s in paced)[ROUNDS // 2], "% of a core"),
    ]
    return figures, cheap
