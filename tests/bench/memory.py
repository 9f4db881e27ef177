"""Memory of a gateway that reads 10,000 Modbus tags a second, and what it has imported.

What counts is the resident set of the process (VmRSS of /proc/<pid>/status): its own memory and the libraries that it
has mapped, shared with others or not. Which modules it imports says the interpreter itself, in a second, short run.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

from demo.broker import Mosquitto
from demo.child import Child, tidegate, wait_for
from tests.bench.chain import START_DEADLINE_S, STOP_DEADLINE_S, delivered
from tests.bench.figures import Figure
from tests.campaigns.scene import Load, Scene

# 80 units of 125 tags: a counter of two registers, and 124 words.
LOAD = Load(units=80, registers=126, interval_ms=1000, buses=80)
STEADY_S = 60.0
LOOKS = 10
LOOK_S = 1.0
GOAL_MB, LIMIT_MB = 45.0, 50.0
KB = 1024.0
# What only an OPC UA source, a console, a migration, a spreadsheet or the reading of a configuration needs.
NOT_IMPORTED = (
    "asyncua", "opcua", "cryptography", "starlette", "uvicorn", "fastapi", "jinja2", "aiohttp", "sqlite_utils",
    "pymodbus", "numpy", "pydantic", "python_calamine", "rich",
)  # fmt: skip
IMPORTED = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)", re.MULTILINE)


def resident_mb(child: Child) -> float:
    """Its resident set in MB, which are 2^20 bytes here, as in what the goal was taken from."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / KB


def steady(scene: Scene) -> float:
    """The most that it held in the last seconds of a minute's steady work, MB."""
    gateway = scene.run_gateway()
    wait_for("the gateway publishes", lambda: delivered(scene) > 0, START_DEADLINE_S, gateway)
    time.sleep(STEADY_S - LOOKS * LOOK_S)
    found = []
    for _ in range(LOOKS):
        gateway.expect()
        found.append(resident_mb(gateway))
        time.sleep(LOOK_S)
    gateway.stop(STOP_DEADLINE_S)
    return max(found)


def imported(scene: Scene) -> set[str]:
    """Every module that a gateway imports until it publishes; the interpreter writes them into its log."""
    command = [sys.executable, "-X", "importtime", *tidegate("run", str(scene.configuration))]
    gateway = Child("importing", command, scene.folder)
    try:
        wait_for("the gateway publishes", lambda: delivered(scene) > 0, START_DEADLINE_S, gateway)
        gateway.stop(STOP_DEADLINE_S)
    finally:
        gateway.kill()
    return set(IMPORTED.findall(gateway.log.read_text()))


def measure() -> tuple[list[Figure], bool]:
    """Megabytes, and what was imported that should not be."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as place:
        scene = Scene(Path(place), LOAD, Mosquitto(Path(place) / "broker"))
        try:
            found_mb = steady(scene)
            modules = imported(scene)
        finally:
            scene.close()
    small = found_mb <= LIMIT_MB
    goal = "within" if found_mb <= GOAL_MB else "over"
    tops = {module.partition(".")[0] for module in modules}
    heavy = sorted(tops & set(NOT_IMPORTED))
    lean = "tidegate_drivers" in tops and not heavy
    said = f"(none allowed): {', '.join(heavy)}" if heavy else f"of {len(modules)} (none allowed)"
    return [
        Figure("memory, 10,000 tags at 1 s", found_mb, "MB resident", holds=small,
               beside=f"(at most {LIMIT_MB:g}; {goal} the goal of {GOAL_MB:g})"),
        Figure("memory, heavy modules imported", len(heavy), "modules", holds=lean, beside=said),
    ], small and lean  # fmt: skip


if __name__ == "__main__":
    for figure in measure()[0]:
        print(figure)
