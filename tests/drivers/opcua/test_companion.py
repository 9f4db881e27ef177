"""Machines of companion types are read by their profiles, found by type, and known by their software."""

import asyncio
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.drivers.opcua.peers import FOREIGN, PACKAGES, install
from tests.drivers.opcua.stand import Feed, delivering, until
from tidegate.clock import Clock
from tidegate.config.load import load
from tidegate.model.device import Device
from tidegate.profiles.locks import Locks
from tidegate.profiles.seen import Forgetful
from tidegate_drivers.opcua.driver import OpcuaDriver

CONFIG = """
[gateway]
name = "g1"
state = "state"

[[device]]
name = "{name}"
table = "opcfoundation/{profile}"
address = "opc.tcp://127.0.0.1:{port}"

[[target]]
name = "local"
url = "mqtt://127.0.0.1:1883"
"""


@contextmanager
def hall(folder: Path, revision: str = "2.1") -> Iterator[int]:
    """A machine tool and a robot on node-opcua; the port."""
    install()
    command = ["node", str(FOREIGN / "companion.js"), json.dumps({"revision": revision, "pki": str(folder / "pki")})]
    environment = {**os.environ, "NODE_PATH": str(PACKAGES / "node_modules")}
    with (folder / "hall.err").open("wb") as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
        )
    try:
        assert process.stdout is not None
        line = next((one for one in process.stdout if one.startswith(b"{")), b"")
        if not line:
            pytest.fail(f"it did not start: {(folder / 'hall.err').read_text()[-800:]}")
        yield json.loads(line)["port"]
    finally:
        process.kill()
        process.communicate()


def configured(folder: Path, port: int, profile: str) -> Device:
    """The device of a configuration whose table is the profile: its driver follows from that."""
    file = folder / f"{profile}.toml"
    file.write_text(CONFIG.format(name="m1", profile=profile, port=port))
    [device] = load(file, {}).devices
    return replace(device, groups=tuple(replace(group, interval_s=0.2) for group in device.groups))


def said(folder: Path, port: int, profile: str, wanted: set[str]) -> dict[str, object]:
    """What a machine told of its tags, when all of the wanted ones are Good."""
    feed, device = Feed(), configured(folder, port, profile)

    def good() -> dict[str, object]:
        return {reading.tag: reading.value for reading in feed.readings(device) if reading.status == 0}

    async def main() -> None:
        async with delivering(device, feed):
            await until(lambda: wanted <= set(good()))

    asyncio.run(main())
    return good()


def test_a_machine_tool_is_read_by_its_profile(tmp_path: Path) -> None:
    wanted = {"manufacturer", "serial_number", "operation_mode", "feed_override", "program", "parts_in_lifetime"}
    with hall(tmp_path) as port:
        found = said(tmp_path, port, "machinetool", wanted)

    assert {"manufacturer": "Example Works", "serial_number": "0815", "operation_mode": "Setup", "feed_override": 80.0,
            "program": "O1234", "parts_in_lifetime": 4711} == {tag: found[tag] for tag in wanted}  # fmt: skip


def test_each_axis_of_a_robot_is_a_tag(tmp_path: Path) -> None:
    with hall(tmp_path) as port:
        wanted = {f"axis_position.Cell.MotionDevices.Robot.Axes.Axis_{n}.ParameterSet.ActualPosition" for n in (1, 2)}
        found = said(tmp_path, port, "robotics", {"manufacturer", *wanted})

    assert {10.5, -45.0} == {found[tag] for tag in wanted}
    assert "Example Robots" == found["manufacturer"]


def test_an_update_of_the_machines_software_locks_it(tmp_path: Path) -> None:
    keep = Forgetful()
    locks: Locks | None = None
    why = []

    async def inspect(device: Device, locks: Locks) -> str:
        driver = OpcuaDriver([device], Clock())
        await driver.open()
        try:
            await locks.inspect(device, lambda request: driver.ask(device.name, request))
        finally:
            await driver.close()
        lock = locks.lock(device)
        assert lock is not None
        return lock.why

    for revision in ("2.1", "2.1", "3.0"):
        with hall(tmp_path, revision) as port:
            device = configured(tmp_path, port, "machinetool")
            locks = locks or Locks(load(tmp_path / "machinetool.toml", {}).profiles, keep, {})
            why.append(asyncio.run(inspect(device, locks)))

    assert ["", ""] == why[:2]
    assert "3.0" in why[2]
    assert "2.1" in why[2]
