"""Computed tags through a whole gateway: what it keeps and shows is what follows from what it read, in its place."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from demo.broker import Mosquitto
from tests.test_gateway import CONFIG, DEADLINE_S, TABLE, TIDEGATE, ask, published, until
from tidegate.model.status import GOOD

HEADER, *ROWS = TABLE.splitlines()
FORMULAS = {
    "percent": "level * 100",
    "above": "percent > 50",
    "parts_1s": '"difference(parts, 1s)"',
    "busy": '"alarm(percent, high=70, hysteresis=5)"',
}


def run_and_export(folder: Path, broker: Mosquitto) -> list[dict[str, object]]:
    """What a gateway with formulas keeps of a few seconds: its readings, in their order."""
    rows = [f"{HEADER},formula", *(f"{row}," for row in ROWS), *(f"{k},,,,,,,{v}" for k, v in FORMULAS.items())]
    (folder / "machine.csv").write_text("\n".join(rows) + "\n")
    path = folder / "gateway.toml"
    path.write_text(CONFIG.format(url=broker.url) + '\n[clock]\nsource = "system"\n')
    process = subprocess.Popen([*TIDEGATE, "run", str(path)], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: ask(path).returncode == 0)
        # A window of a second that was seen whole is in it.
        until(lambda: published(path) > 35)
        process.send_signal(signal.SIGTERM)
        process.wait(DEADLINE_S)
    finally:
        process.kill()
        process.communicate()
    exported = subprocess.run(
        [*TIDEGATE, "buffer", "export", str(folder / "state"), "--format", "json"], capture_output=True, text=True
    )
    assert exported.returncode == 0, exported.stderr
    return [json.loads(line) for line in exported.stdout.splitlines()]


def test_a_gateway_keeps_what_it_computed_beside_what_it_read(tmp_path: Path, broker: Mosquitto) -> None:
    frames: dict[object, dict[object, Any]] = {}
    windows = []
    for one in run_and_export(tmp_path, broker):
        if one["tag"] == "parts_1s":
            windows.append(one)
        else:
            frames.setdefault(one["seq"], {})[one["tag"]] = one
    read = [tags for tags in frames.values() if "level" in tags]

    assert len(read) > 30
    for tags in read:
        assert {GOOD} == {one["status"] for one in tags.values()}
        assert tags["percent"]["value"] == tags["level"]["value"] * 100
        assert tags["above"]["value"] == (tags["percent"]["value"] > 50)
        assert tags["percent"]["time_us"] == tags["level"]["time_us"]
    assert 0 < len([tags for tags in read if "busy" in tags]) < len(read) / 2
    assert windows
    assert {0} == {one["time_us"] % 1_000_000 for one in windows}
    assert all(0 <= one["value"] for one in windows)
