"""A paced gateway beside the probe: CPU of both at the same pace, at the same time, on the same plant and broker.

What one of them gets of the machine (cold caches, a busy core) the other gets too. Readings a second and shape decide
what a reading costs: where polls are few, it is waking up that costs, and not the readings.
"""

import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, python, wait_for
from tests.bench.chain import START_DEADLINE_S, STOP_DEADLINE_S, cpu_s, delivered, usual
from tests.bench.figures import ROOT, Figure, against
from tests.campaigns.scene import Load, Scene

STRETCHES = 3
STRETCH_S = 7.0
WARM_UP_S = 4.0
ASKED_DEADLINE_S = 5.0
# What a gateway may cost that proves every reply, names every gap and keeps what was acknowledged.
RATIO_MAX = 2.0
# A gateway that falls behind costs little.
KEPT_MIN = 0.97
COMPILED = ROOT / "build" / "probe"
SOURCE = Path(__file__).parent / "probe_columns.pyx"


@dataclass(frozen=True, slots=True)
class Shape:
    """So many units of so many registers, each polled at this interval; each has an address of its own.

    Ours learns to have all requests of a poll in flight at a time, as the probe has them. `times_cheaper_min` is how
    much cheaper than a pymodbus call per tag it is to be (0: nothing is claimed).
    """

    name: str
    units: int
    registers: int
    interval_ms: int
    times_cheaper_min: float = 0.0

    @property
    def load(self) -> Load:
        """As the gateway is configured."""
        return Load(self.units, self.registers, self.interval_ms, buses=self.units)


# Where the usual way costs 88 µs a reading, 2 and 0.6 are asked of a gateway: what that is here follows from it.
SHAPES = (
    Shape("10,000 readings/s, 100 x 125", 100, 125, 1250),
    Shape("100,000 readings/s, 100 x 125", 100, 125, 125),
    Shape("10,000 readings/s, 10 x 1,000", 10, 1000, 1000, 44.0),
    Shape("100,000 readings/s, 10 x 1,000", 10, 1000, 100, 147.0),
)


def compile_probe() -> None:
    """Make the probe's compiled half in build/, where PYTHONPATH finds it."""
    COMPILED.mkdir(parents=True, exist_ok=True)
    copy = COMPILED / SOURCE.name
    if copy.exists() and copy.read_bytes() == SOURCE.read_bytes() and list(COMPILED.glob("*.so")):
        return
    shutil.copy(SOURCE, copy)
    command = [sys.executable, "-m", "Cython.Build.Cythonize", "-q", "-3", "-i", copy.name]
    subprocess.run(command, cwd=COMPILED, check=True, capture_output=True)


class Beside:
    """Gateway and probe at work on one scene."""

    def __init__(self, folder: Path, shape: Shape) -> None:
        self._shape = shape
        self._progress = folder / "probe.progress"
        self._scene = Scene(folder, shape.load, Mosquitto(folder / "broker"))
        try:
            self._gateway = self._scene.run_gateway()
            addresses = [f"127.0.0.1:{self._scene.ports[i % len(self._scene.ports)]}" for i in range(shape.units)]
            command = python(
                "tests.bench.probe", "--modbus", *addresses, "--broker", f"127.0.0.1:{self._scene.broker.port}",
                "--registers", str(shape.registers), "--interval-ms", str(shape.interval_ms),
                "--progress", str(self._progress),
            )  # fmt: skip
            self._probe = Child("probe", command, folder, environment={"PYTHONPATH": f"{ROOT}:{COMPILED}"})
        except BaseException:
            self._scene.close()
            raise

    def measure(self) -> tuple[list[float], list[float]]:
        """CPU µs a reading of each stretch: the gateway's and the probe's. Raises ChildFailed when one fell behind."""
        shape, load = self._shape, self._shape.load
        both = self._gateway, self._probe
        wait_for("both deliver", lambda: delivered(self._scene) > 0 and bool(self._said()), START_DEADLINE_S, *both)
        time.sleep(WARM_UP_S)
        before, since_s = (delivered(self._scene), self._of_probe()), time.monotonic()
        ours, probes = [], []
        for _ in range(STRETCHES):
            begin_s, gateway_s, probe_s = time.monotonic(), cpu_s(self._gateway), cpu_s(self._probe)
            time.sleep(STRETCH_S)
            polls = shape.units * 1000 / shape.interval_ms * (time.monotonic() - begin_s)
            ours.append((cpu_s(self._gateway) - gateway_s) / (polls * load.tags) * 1e6)
            probes.append((cpu_s(self._probe) - probe_s) / (polls * shape.registers) * 1e6)
        due = shape.units * 1000 / shape.interval_ms * (time.monotonic() - since_s)
        frames, readings = delivered(self._scene) - before[0], self._of_probe() - before[1]
        if frames < KEPT_MIN * due or readings < KEPT_MIN * due * shape.registers:
            raise ChildFailed(
                f"{shape.name}: {due:,.0f} polls were due; ours delivered {frames:,}, "
                f"the probe {readings / shape.registers:,.0f}"
            )
        self._gateway.stop(STOP_DEADLINE_S)
        return ours, probes

    def _of_probe(self) -> int:
        """Readings of the probe that the broker has acknowledged."""
        self._progress.unlink(missing_ok=True)
        self._probe.send(signal.SIGUSR1)
        wait_for("the probe answers", lambda: bool(self._said()), ASKED_DEADLINE_S, self._probe)
        return int(self._said())

    def _said(self) -> str:
        return self._progress.read_text() if self._progress.exists() else ""

    def close(self) -> None:
        """End everything."""
        self._probe.kill()
        self._scene.close()


def measure() -> tuple[list[Figure], bool]:
    """A figure a shape; whether all are within the limit."""
    compile_probe()
    figures = []
    for shape in SHAPES:
        with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as place:
            folder = Path(place)
            tags = [usual(folder / "before", block=False).us] if shape.times_cheaper_min else []
            both = Beside(folder, shape)
            try:
                ours, probes = both.measure()
            finally:
                both.close()
            tags += [usual(folder / "after", block=False).us] if shape.times_cheaper_min else []
        ratio = statistics.median(a / b for a, b in zip(ours, probes, strict=True))
        value, baseline = statistics.median(ours), statistics.median(probes)
        print(f"  paced, {shape.name}: ours {_list(ours)}, probe {_list(probes)} µs CPU a reading", flush=True)
        beside = f"the probe {baseline:.3f}: {ratio:.2f} times (at most {RATIO_MAX:g})"
        name, unit = f"paced, {shape.name}", "µs CPU a reading"
        figures.append(Figure(name, value, unit, baseline, holds=ratio <= RATIO_MAX, beside=beside))
        if tags:
            cheaper = against(f"{name}, a call per tag", unit, ours, tags)
            holds = (cheaper.ratio or 0) >= shape.times_cheaper_min
            figures.append(replace(cheaper, holds=holds, beside=f"(at most 1/{shape.times_cheaper_min:.0f})"))
    return figures, all(figure.holds for figure in figures)


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)
