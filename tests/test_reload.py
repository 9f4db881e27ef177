"""SIGHUP: what differs is changed, what does not is not touched, and what can't be used is refused aloud."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from demo.broker import Mosquitto
from tests.fakes.service_manager import Manager
from tests.test_gateway import CONFIG, DEADLINE_S, TABLE, TIDEGATE, ask, until

SECOND = '\n[[device]]\nname = "machine2"\ndriver = "simulator"\ntable = "machine"\naddress = "sim://hall2"\n'


class Service:
    """An agent whose configuration the test edits."""

    def __init__(self, folder: Path, text: str) -> None:
        self.manager = Manager(folder)
        self.text = text
        self.path = folder / "gateway.toml"
        self.log = folder / "agent.log"
        self.path.write_text(text)
        with self.log.open("w") as log:
            environment = {**os.environ, **self.manager.environment}
            self.process = subprocess.Popen([*TIDEGATE, "run", str(self.path)], env=environment, stderr=log)
        self.manager.wait_for("READY=1", DEADLINE_S)

    def reload(self, text: str) -> None:
        """Write another configuration, and wait until the agent says that it has dealt with it."""
        ready = self.manager.listen().count("READY=1")
        self.path.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        self.manager.wait_for("RELOADING=1", DEADLINE_S)
        self.manager.wait_for("READY=1", DEADLINE_S, count=ready + 1)

    def health(self) -> Any:
        return json.loads(ask(self.path).stdout)

    def wait(self, so: Callable[[Any], bool]) -> Any:
        until(lambda: so(self.health()))
        return self.health()

    def close(self) -> None:
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0
        self.manager.close()


@pytest.fixture
def service(tmp_path: Path, broker: Mosquitto) -> Iterator[Service]:
    (tmp_path / "machine.csv").write_text(TABLE)
    service = Service(tmp_path, CONFIG.format(url=broker.url))
    yield service
    service.close()


def connected(health: Any) -> bool:
    return all(target["state"] == "connected" and target["acknowledged"] for target in health["targets"])


def test_a_new_device_is_read_and_nothing_else_is_touched(service: Service) -> None:
    before = service.wait(connected)
    service.reload(service.text + SECOND)
    after = service.wait(lambda health: health["devices"][-1]["reads"] > 3)

    assert ["machine1", "machine2"] == [device["name"] for device in after["devices"]]
    assert before["devices"][0]["since_us"] == after["devices"][0]["since_us"]
    assert 0 == after["devices"][0]["missed"]
    assert before["targets"][0]["since_us"] == after["targets"][0]["since_us"]
    assert before["targets"][0]["runs"] == after["targets"][0]["runs"]
    assert before["config"] != after["config"]
    assert "reloaded: configuration" in service.log.read_text()


def test_targets_come_and_go_and_a_new_one_is_owed_what_comes_from_now_on(service: Service, broker: Mosquitto) -> None:
    before = service.wait(connected)
    service.reload(service.text + f'\n[[target]]\nname = "second"\nurl = "{broker.url}"\n')
    both = service.wait(lambda health: len(health["targets"]) == 2 and connected(health))
    service.reload(service.text)
    one = service.wait(lambda health: health["buffer"]["last"] > both["buffer"]["last"])

    assert before["targets"][0]["since_us"] == both["targets"][0]["since_us"] == one["targets"][0]["since_us"]
    assert both["targets"][1]["acknowledged"] < both["buffer"]["last"]
    assert ["cloud"] == [target["name"] for target in one["targets"]]


def test_a_changed_target_goes_on_where_it_was(service: Service) -> None:
    service.wait(connected)
    service.reload(service.text + 'window = 4\nprefix = "elsewhere"\n')
    after = service.wait(connected)

    assert 4 == after["targets"][0]["window"]
    assert after["targets"][0]["backlog"] < 20


def test_a_changed_target_gives_no_runs_number_to_another_run(service: Service) -> None:
    runs = [service.wait(connected)["targets"][0]["runs"]]
    for window in (4, 5, 6):
        service.reload(service.text + f"window = {window}\n")
        runs.append(service.wait(connected)["targets"][0]["runs"])

    assert sorted(set(runs)) == runs


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text + SECOND.replace("simulator", "simulater"), "simulater"),
        (lambda text: text.replace('name = "g1"', 'name = "g2"'), "[gateway] name changed, which takes a restart"),
        (lambda text: text.replace('"200ms"', '"300ms"'), "[buffer] changed, which takes a restart"),
        (lambda text: "not TOML at all", "reload refused"),
    ],
    ids=["unknown driver", "another name", "another buffer", "no TOML"],
)
def test_what_cannot_be_used_is_refused_aloud_and_the_old_one_goes_on(
    service: Service, edit: Callable[[str], str], said: str
) -> None:
    before = service.wait(connected)
    service.reload(edit(service.text))
    log = service.log.read_text()
    service.path.write_text(service.text)
    after = service.wait(lambda health: health["buffer"]["last"] > before["buffer"]["last"])

    assert said in log
    assert "reload refused: " in log
    assert before["config"] == after["config"]
    assert before["targets"][0]["since_us"] == after["targets"][0]["since_us"]
