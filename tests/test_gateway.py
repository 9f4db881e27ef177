"""The whole way in one process and a real broker: what starts, answers, ends, and what is never opened."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo.broker import Mosquitto

TIDEGATE = [str(Path(sys.executable).parent / "tidegate")]
DEADLINE_S = 15.0

CONFIG = """
[gateway]
name = "g1"
state = "state"

[buffer]
commit_interval = "200ms"

[groups.fast]
interval = "100ms"

[tables.machine]
file = "machine.csv"

[[device]]
name = "machine1"
driver = "simulator"
table = "machine"
address = "sim://hall1"

[[target]]
name = "cloud"
url = "{url}"
"""
TABLE = "name,address,type,from,to,period,group\nlevel,sine,float64,0,1,10s,fast\nparts,counter,uint32,0,,,fast\n"


@pytest.fixture
def config(tmp_path: Path, broker: Mosquitto) -> Path:
    """A configuration of one simulated machine that publishes to the test's own broker."""
    (tmp_path / "machine.csv").write_text(TABLE)
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(url=broker.url))
    return path


@pytest.fixture
def agent(config: Path) -> Iterator["subprocess.Popen[str]"]:
    """`tidegate run`, ready to answer."""
    process = subprocess.Popen([*TIDEGATE, "run", str(config)], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: ask(config).returncode == 0)
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(config: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*TIDEGATE, "status", str(config), "--json"], capture_output=True, text=True)


def until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not so():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.1)


def published(config: Path) -> int:
    """Frames that the broker acknowledged, as the agent says."""
    health = json.loads(ask(config).stdout)
    return int(health["buffer"]["last"] - health["targets"][0]["backlog"])


def listening(pid: int) -> list[str]:
    """Network sockets of a process that wait for others to come, or that have a port open (TCP and UDP)."""
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        name = str(entry.readlink())
        if name.startswith("socket:["):
            inodes.add(name[8:-1])
    found = []
    for table, state in (("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == state and parts[9] in inodes:
                found.append(f"{table} {parts[1]}")
    return found


def test_a_running_gateway_publishes_and_says_how_it_is(agent: "subprocess.Popen[str]", config: Path) -> None:
    until(lambda: published(config) > 0)
    health = json.loads(ask(config).stdout)

    assert health["gateway"] == "g1"
    assert health["devices"][0]["state"] == "up"
    assert health["targets"][0]["state"] == "connected"
    assert set(health["twins"].values()) == {"compiled"}


def test_a_running_gateway_opens_no_network_port(agent: "subprocess.Popen[str]", config: Path) -> None:
    until(lambda: published(config) > 0)

    assert listening(agent.pid) == []


def test_a_signal_ends_it_sealed_and_the_buffer_verifies(agent: "subprocess.Popen[str]", config: Path) -> None:
    until(lambda: published(config) > 0)
    agent.send_signal(signal.SIGTERM)
    agent.wait(DEADLINE_S)
    state = config.parent / "state"
    verified = subprocess.run([*TIDEGATE, "buffer", "verify", str(state)], capture_output=True, text=True)

    assert agent.returncode == 0
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert list(state.glob("segments/*-wal")) == []
    for segment in state.glob("segments/*.db"):
        with sqlite3.connect(f"file:{segment}?mode=ro&immutable=1", uri=True) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_second_gateway_on_the_same_buffer_is_refused(agent: "subprocess.Popen[str]", config: Path) -> None:
    second = subprocess.run([*TIDEGATE, "run", str(config)], capture_output=True, text=True, timeout=DEADLINE_S)

    assert second.returncode == 1
    assert "Traceback" not in second.stderr
    assert "state" in second.stderr


def test_a_clean_restart_goes_on_counting_and_tells_no_gap(agent: "subprocess.Popen[str]", config: Path) -> None:
    until(lambda: published(config) > 0)
    agent.send_signal(signal.SIGTERM)
    agent.communicate(timeout=DEADLINE_S)
    again = subprocess.Popen([*TIDEGATE, "run", str(config)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: ask(config).returncode == 0)
        health = json.loads(ask(config).stdout)
    finally:
        again.terminate()
        again.wait(DEADLINE_S)

    assert health["boot"] == 2
    assert health["buffer"]["gaps"] == 0
    assert health["buffer"]["last"] >= 1


def test_a_broken_configuration_ends_with_every_problem_and_exit_78(config: Path) -> None:
    config.write_text(config.read_text().replace('driver = "simulator"', 'driver = "simulater"') + 'colour = "red"\n')
    ran = subprocess.run([*TIDEGATE, "run", str(config)], capture_output=True, text=True, timeout=DEADLINE_S)

    assert ran.returncode == 78
    assert "simulater" in ran.stderr
    assert "colour" in ran.stderr
    assert "Traceback" not in ran.stderr
