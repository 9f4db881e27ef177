"""`tidegate run` under a service manager of the test's own: what it is told, when it is fed, and when not."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.broker import Mosquitto
from tests.fakes.service_manager import Manager
from tests.test_gateway import CONFIG, DEADLINE_S, TABLE, TIDEGATE

WATCHDOG_S = 2.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path, WATCHDOG_S)
    yield manager
    manager.close()


@pytest.fixture
def service(tmp_path: Path, broker: Mosquitto, manager: Manager) -> Iterator["subprocess.Popen[str]"]:
    """The agent, started as systemd would."""
    (tmp_path / "machine.csv").write_text(TABLE)
    (tmp_path / "gateway.toml").write_text(CONFIG.format(url=broker.url))
    process = subprocess.Popen(
        [*TIDEGATE, "run", str(tmp_path / "gateway.toml")],
        env={**os.environ, **manager.environment},
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        manager.wait_for("READY=1", DEADLINE_S)
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_says_ready_and_how_it_is_feeds_the_watchdog_and_says_goodbye(
    manager: Manager, service: "subprocess.Popen[str]"
) -> None:
    manager.wait_for("STATUS=1 device up, 0 down; 1 of 1 target connected", DEADLINE_S)
    manager.wait_for("WATCHDOG=1", DEADLINE_S, count=4)
    service.send_signal(signal.SIGTERM)
    service.wait(DEADLINE_S)

    assert 0 == service.returncode
    assert "STOPPING=1" == [said for said in manager.listen() if not said.startswith(("STATUS", "WATCHDOG"))][-1]


def test_a_loop_that_is_held_up_starves_the_watchdog(manager: Manager, service: "subprocess.Popen[str]") -> None:
    manager.wait_for("WATCHDOG=1", DEADLINE_S)
    service.send_signal(signal.SIGSTOP)
    time.sleep(0.2)
    fed = manager.listen().count("WATCHDOG=1")
    time.sleep(WATCHDOG_S)
    starved = manager.listen().count("WATCHDOG=1")
    service.send_signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1", DEADLINE_S, count=fed + 1)

    assert fed == starved
