"""A meter that comes back with another firmware: its subscriber is told, the operator is told, and accepts it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.broker import Mosquitto, free_port
from tests.fakes.subscriber import Subscriber
from tidegate.config.load import load
from tidegate.errors import ConfigError
from tidegate.model.status import BAD, UNCERTAIN_CONFIGURATION_ERROR

TIDEGATE = [str(Path(sys.executable).parent / "tidegate")]
DEADLINE_S = 40.0
NOBODY = "mqtt://127.0.0.1:9"
CONFIG = """
[gateway]
name = "g1"
state = "state"

[buffer]
commit_interval = "100ms"

[groups.default]
interval = "200ms"
deadline = "5s"

[[device]]
name = "meter"
table = "abb/b23"
address = "tcp://127.0.0.1:{port}"

[[target]]
name = "cloud"
url = "{url}"
"""


def until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not so():
        assert time.monotonic() < end, "it did not come to be in time"
        time.sleep(0.1)


@contextmanager
def meter(port: int, firmware: str) -> Iterator[None]:
    """A B23 at this port."""
    words = ["profile", "simulate", "abb/b23", "--port", str(port), "--firmware", firmware, "--change", "500ms"]
    process = subprocess.Popen([*TIDEGATE, *words], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert firmware in process.stdout.readline()
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)


def told(subscriber: Subscriber) -> list[set[int]]:
    """Of each frame of readings the statuses that are not bad."""
    found = []
    for one in list(subscriber.received):
        for frame in one.said.get("frames", []):
            if "v" in frame:
                codes = frame.get("st", 0)
                found.append({code for code in (codes if isinstance(codes, list) else [codes]) if code < BAD})
    return found


def test_another_firmware_is_uncertain_until_it_is_accepted(tmp_path: Path, broker: Mosquitto) -> None:
    port, path = free_port(), tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(port=port, url=broker.url))

    def status() -> dict[str, str]:
        ran = subprocess.run([*TIDEGATE, "status", str(path), "--json"], capture_output=True, text=True)
        return dict(json.loads(ran.stdout)["devices"][0]) if ran.returncode == 0 else {"state": "", "lock": ""}

    def last() -> set[int]:
        said = told(subscriber)
        return said[-1] if said else set()

    agent = subprocess.Popen([*TIDEGATE, "run", str(path)], stderr=subprocess.PIPE, text=True)
    try:
        with Subscriber(broker.port) as subscriber:
            with meter(port, "1.2.3"):
                until(lambda: status()["state"] == "up")
                until(lambda: last() == {0})
            until(lambda: status()["state"] in ("down", "backing off"))
            with meter(port, "1.3.0"):
                until(lambda: last() == {UNCERTAIN_CONFIGURATION_ERROR})
                since = told(subscriber)
                text = subprocess.run([*TIDEGATE, "status", str(path)], capture_output=True, text=True).stdout
                accepted = subprocess.run(
                    [*TIDEGATE, "profile", "accept", str(path), "meter"], capture_output=True, text=True
                )
                until(lambda: last() == {0})
                after = status()
    finally:
        agent.send_signal(signal.SIGTERM)
        log = agent.communicate(timeout=DEADLINE_S)[1]

    assert "LOCKED: it is ABB B23, firmware 1.3.0, and was ABB B23, firmware 1.2.3" in text
    assert "tidegate profile accept" in text
    assert accepted.stdout == "meter is accepted as ABB B23, firmware 1.3.0: its readings are good again\n"
    assert after["lock"] == ""
    assert "meter is LOCKED" in log
    # From the first reading of the new meter until the acceptance nothing was good.
    first = next(at for at, codes in enumerate(since) if UNCERTAIN_CONFIGURATION_ERROR in codes)
    assert {0} in since[:first]
    assert {code for codes in since[first:] for code in codes} == {UNCERTAIN_CONFIGURATION_ERROR}


def test_accepting_what_is_not_locked_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(port=free_port(), url=NOBODY))
    agent = subprocess.Popen([*TIDEGATE, "run", str(path)], stderr=subprocess.PIPE, text=True)
    command = [*TIDEGATE, "profile", "accept", str(path), "meter"]
    try:
        until(lambda: "not locked" in subprocess.run(command, capture_output=True, text=True).stderr)
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.communicate(timeout=DEADLINE_S)


@pytest.mark.parametrize(("word", "asked"), [("on", "abb/b23@any"), ("off", "")])
def test_a_device_can_be_left_unasked(tmp_path: Path, word: str, asked: str) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(port=5020, url=NOBODY).replace("[[target]]", f'lock = "{word}"\n\n[[target]]'))

    assert asked == load(path, {}).devices[0].profile


def test_a_lock_that_is_neither_on_nor_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(port=5020, url=NOBODY).replace("[[target]]", 'lock = "maybe"\n\n[[target]]'))

    with pytest.raises(ConfigError, match="'maybe' is neither on nor off"):
        load(path, {})
