"""The stage of a campaign: plant, broker, recorder and gateway as processes, and the gateway's configuration."""

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from demo.broker import Mosquitto
from demo.child import Child, ChildFailed, python, start_plant, tidegate, wait_for

GATEWAY = "campaign"
TARGET = "checker"
WINDOW = 16
STOP_DEADLINE_S = 20.0
VERIFY_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much is read: units, registers of each (one counter of two, the rest words), and how often."""

    units: int
    registers: int
    interval_ms: int
    buses: int = 1
    segment: str = "8MB"
    quota: str = "2GB"
    commit_interval_s: float = 1.0
    # Plant, recorder and gateway share the clock of this machine, whoever sets it.
    clock: str = "system"

    @property
    def tags(self) -> int:
        """Tags of a unit: the counter, and a word a register."""
        return self.registers - 1

    @property
    def readings_per_s(self) -> float:
        """What the plant gives at this pace."""
        return self.units * self.tags * 1000 / self.interval_ms


def device(unit: int) -> str:
    """The configured name of a unit."""
    return f"unit{unit:03d}"


def unit_of(name: str) -> int:
    """The unit of a configured name."""
    return int(name.removeprefix("unit"))


def write_configuration(
    folder: Path, load: Load, ports: list[int], broker_url: str, extra: str = "", strangers: Sequence[str] = ()
) -> Path:
    """Configuration, device list and tag table for a load; the path of the configuration. State is `folder`/state.

    `extra` lines go to the target, `strangers` are rows of devices beside those of the load.
    """
    tags = ["name,address,type,group", "poll,0,uint32,load"]
    tags += [f"r{register:03d},{register},uint16,load" for register in range(2, load.registers)]
    (folder / "load.csv").write_text("\n".join(tags) + "\n")
    devices = ["name,driver,table,address,unit"]
    for unit in range(1, load.units + 1):
        devices.append(f"{device(unit)},modbus,load,tcp://127.0.0.1:{ports[unit % len(ports)]},{unit}")
    (folder / "devices.csv").write_text("\n".join([*devices, *strangers]) + "\n")
    path = folder / "gateway.toml"
    path.write_text(f"""\
[gateway]
name = "{GATEWAY}"
state = "state"

[buffer]
commit_interval = "{load.commit_interval_s * 1000:g}ms"
quota = "{load.quota}"
segment = "{load.segment}"

[clock]
source = "{load.clock}"

[groups.load]
interval = "{load.interval_ms}ms"
deadline = "1s"

[tables.load]
file = "load.csv"
base = 0
registers = "holding"

[devices]
file = "devices.csv"

[[target]]
name = "{TARGET}"
url = "{broker_url}"
window = {WINDOW}
{extra}""")
    return path


class Scene:
    """A folder with everything in it: a plant that runs, a broker, and ways to start and end the rest."""

    def __init__(self, folder: Path, load: Load, broker: Mosquitto) -> None:
        self.folder, self.load, self.broker = folder, load, broker
        self.log = folder / "received.jsonl"
        self.progress_file = folder / "progress.json"
        self.gateway: Child | None = None
        self.recorder: Child | None = None
        self.broker.start()
        try:
            self.plant, ports = start_plant(
                folder, "--units", str(load.units), "--registers", str(load.registers), "--ports", str(load.buses)
            )
        except ChildFailed:
            self.broker.kill()
            raise
        self.ports = ports
        self.configuration = write_configuration(folder, load, ports, broker.url)

    def record(self, *arguments: str) -> Child:
        """Start the recorder and wait until it has a connection's worth of progress."""
        self.recorder = Child(
            "recorder",
            python(
                "tests.campaigns.recorder", self.broker.url, "--gateway", GATEWAY, "--target", TARGET,
                "--log", str(self.log), "--progress", str(self.progress_file), *arguments,
            ),
            self.folder,
        )  # fmt: skip
        wait_for("the recorder records", self.progress_file.exists, STOP_DEADLINE_S, self.recorder)
        return self.recorder

    def run_gateway(self) -> Child:
        """Start `tidegate run`."""
        self.gateway = Child("gateway", tidegate("run", str(self.configuration)), self.folder)
        return self.gateway

    def progress(self) -> dict[str, Any]:
        """What the recorder last said of itself."""
        said: dict[str, Any] = json.loads(self.progress_file.read_bytes())
        return said

    def verify(self) -> str:
        """`tidegate buffer verify`; "" when the buffer is whole, else what it said."""
        child = Child("verify", tidegate("buffer", "verify", str(self.folder / "state")), self.folder)
        code = child.wait(VERIFY_DEADLINE_S)
        return "" if code == 0 else f"exit {code}: {child.last_words().splitlines()[-1]}"

    def close(self) -> None:
        """End whatever still runs, in the order of the way of a reading."""
        for child in (self.gateway, self.recorder, self.plant):
            if child is not None:
                child.kill()
        self.broker.kill()


def workplace(name: str, keep: Path | None) -> Path:
    """The folder to work in: `keep`, or a new one. SIGTERM ends a campaign as Ctrl-C does: with its processes."""
    folder = keep or Path(tempfile.mkdtemp(prefix=f"tidegate-{name}-"))
    folder.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return folder


def leave(folder: Path, held: bool, keep: Path | None) -> NoReturn:
    """Exit 0 when every claim held, else 1. The folder stays when it was asked for, or holds something to look at."""
    if held and not keep:
        shutil.rmtree(folder)
    elif not held:
        print(f"kept for you to look at: {folder}")
    sys.exit(0 if held else 1)


def covered_upto(progress: dict[str, Any], wanted: dict[str, int]) -> bool:
    """Whether the recorder has everything up to these numbers of these epochs."""
    for epoch, last in wanted.items():
        stream = progress["epochs"].get(epoch)
        if stream is None or any(first <= last for first, _ in stream["missing"]):
            return False
        if not stream["covered"] or stream["covered"][-1][1] < last:
            return False
    return True


def stamp_us() -> int:
    """Now, µs UTC, by the clock that plant, gateway and recorder on this machine all read."""
    return time.time_ns() // 1000
