"""A flood beside the probe: both read as fast as they can, in turns, on the same plant; CPU a reading, readings a core.

Each unit has 1,000 registers: eight requests a poll, which both have in flight together.
"""

import signal
import statistics
import tempfile
import time
from pathlib import Path

from demo.broker import Mosquitto
from demo.child import Child, python, wait_for
from tests.bench.chain import START_DEADLINE_S, STOP_DEADLINE_S, Spent, cpu_s, delivered
from tests.bench.figures import ROOT, Figure
from tests.bench.paced import ASKED_DEADLINE_S, COMPILED, compile_probe
from tests.campaigns.scene import Load, Scene

# 4 million readings a second are due, which is more than a core can do.
LOAD = Load(units=40, registers=1000, interval_ms=10, buses=40)
ROUNDS = 3
WARM_UP_S = 3.0
MEASURED_S = 6.0
# What a gateway may cost that proves every reply, names every gap and keeps what was acknowledged.
RATIO_MAX = 2.0
PER_CORE_MIN = 1_500_000


def ours(folder: Path) -> Spent:
    """`tidegate run`, between two looks at what the broker has acknowledged."""
    scene = Scene(folder, LOAD, Mosquitto(folder / "broker"))
    try:
        gateway = scene.run_gateway()
        wait_for("the gateway publishes", lambda: delivered(scene) > 0, START_DEADLINE_S, gateway)
        time.sleep(WARM_UP_S)
        before, spent_s, wall_s = delivered(scene), cpu_s(gateway), time.monotonic()
        time.sleep(MEASURED_S)
        frames = delivered(scene) - before
        spent = Spent(frames * LOAD.tags, cpu_s(gateway) - spent_s, time.monotonic() - wall_s)
        gateway.stop(STOP_DEADLINE_S)
    finally:
        scene.close()
    return spent


def probe(folder: Path) -> Spent:
    """The probe, between two of its own counts of what was acknowledged."""
    scene = Scene(folder, LOAD, Mosquitto(folder / "broker"))
    progress = folder / "probe.progress"
    try:
        addresses = [f"127.0.0.1:{port}" for port in scene.ports]
        command = python(
            "tests.bench.probe", "--modbus", *addresses, "--broker", f"127.0.0.1:{scene.broker.port}",
            "--registers", str(LOAD.registers), "--interval-ms", "0", "--progress", str(progress),
        )  # fmt: skip
        child = Child("probe", command, folder, environment={"PYTHONPATH": f"{ROOT}:{COMPILED}"})

        def said() -> int:
            """Readings that were acknowledged so far."""
            progress.unlink(missing_ok=True)
            child.send(signal.SIGUSR1)
            wait_for("the probe answers", lambda: _text(progress) != "", ASKED_DEADLINE_S, child)
            return int(_text(progress))

        try:
            wait_for("the probe begins", lambda: _text(progress) != "", START_DEADLINE_S, child)
            time.sleep(WARM_UP_S)
            before, spent_s, wall_s = said(), cpu_s(child), time.monotonic()
            time.sleep(MEASURED_S)
            spent = Spent(said() - before, cpu_s(child) - spent_s, time.monotonic() - wall_s)
        finally:
            child.kill()
    finally:
        scene.close()
    return spent


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def measure() -> tuple[list[Figure], bool]:
    """The figures of the flood; whether they are within their limits."""
    compile_probe()
    gateway: list[Spent] = []
    lean: list[Spent] = []
    for number in range(ROUNDS):
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as place:
            for name, spent, run in (("ours", gateway, ours), ("probe", lean, probe)):
                folder = Path(place) / name
                folder.mkdir()
                spent.append(run(folder))
                last = spent[-1]
                print(
                    f"  flood, round {number + 1} of {ROUNDS}, {name}: {last.us:.3f} µs CPU a reading, "
                    f"{last.readings / last.wall_s:,.0f} readings/s",
                    flush=True,
                )
    ratio = statistics.median(a.us / b.us for a, b in zip(gateway, lean, strict=True))
    value, baseline = statistics.median(s.us for s in gateway), statistics.median(s.us for s in lean)
    per_core = statistics.median(s.readings / s.cpu_s for s in gateway)
    beside = f"the probe {baseline:.3f}: {ratio:.2f} times (at most {RATIO_MAX:g})"
    figures = [
        Figure("flood, 40 x 1,000", value, "µs CPU a reading", baseline, holds=ratio <= RATIO_MAX, beside=beside),
        Figure("flood, 40 x 1,000, per core", per_core, "readings/s", holds=per_core >= PER_CORE_MIN,
               beside=f"(at least {PER_CORE_MIN:,})"),
    ]  # fmt: skip
    return figures, all(figure.holds for figure in figures)
