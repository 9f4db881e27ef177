"""The command `tidegate tail`, as a process."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.broker import Mosquitto, free_port
from tests.proof.messages import data, head
from tests.tail.fake_gateway import FakeGateway, wait_until

DEADLINE_S = 30.0


def tail(*arguments: str) -> "subprocess.Popen[str]":
    script = "from tidegate.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, "tail", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_an_interrupt_ends_it_with_0_when_all_is_proven(broker: Mosquitto, tmp_path: Path) -> None:
    gateway, log = FakeGateway(broker.port), tmp_path / "log"
    gateway.say("head", head(0), retain=True)
    process = tail(broker.url, "--gateway", "g1", "--target", "cloud", "--json", "--log", str(log))
    wait_until(lambda: log.exists() and "head" in log.read_text(), "the head came")
    gateway.say("live", data(1, 3))
    wait_until(lambda: "live" in log.read_text(), "the data came")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=DEADLINE_S)
    gateway.close()
    report = json.loads(out.splitlines()[-1])

    assert (0, True, 3) == (process.returncode, report["complete"], report["received"])


def test_the_end_of_its_time_ends_it_with_2_when_something_is_missing(broker: Mosquitto) -> None:
    gateway = FakeGateway(broker.port)
    gateway.say("head", head(3), retain=True)
    process = tail(broker.url, "--gateway", "g1", "--target", "cloud", "--seconds", "1", "--no-ask")
    out, _ = process.communicate(timeout=DEADLINE_S)
    gateway.close()

    assert 2 == process.returncode
    assert "NOT proven complete" in out
    assert "MISSING     3: 1..3" in out


def test_a_broker_that_is_not_there_proves_nothing() -> None:
    process = tail(f"mqtt://127.0.0.1:{free_port()}", "--seconds", "1")
    out, err = process.communicate(timeout=DEADLINE_S)

    assert (2, "") == (process.returncode, out.partition("no gateway was heard of: NOT proven complete")[0])
    assert "can't reach the broker" in err


def test_an_address_that_is_none_is_said_before_anything_is_opened() -> None:
    process = tail("http://example.invalid")
    _, err = process.communicate(timeout=DEADLINE_S)

    assert 2 == process.returncode
    assert "begins with none of mqtt://, mqtts://" in err


def test_a_password_variable_that_is_not_set_is_said() -> None:
    process = tail("mqtt://127.0.0.1", "--password-env", "TIDEGATE_NO_SUCH_VARIABLE")
    _, err = process.communicate(timeout=DEADLINE_S)

    assert "TIDEGATE_NO_SUCH_VARIABLE is not set" in err


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (("mqtt://127.0.0.1", "--log", "{}/none/log"), 1, "can't be logged in"),
        (("mqtts://127.0.0.1", "--ca", "{}/text"), 1, "holds no certificate"),
        (("wss://127.0.0.1",), 2, "tail speaks no WebSocket"),
        (("mqtt://127.0.0.1", "--prefix", "a/#"), 2, "can't be part of a topic"),
        (("mqtt://127.0.0.1", "--gateway", "+"), 2, "can't be part of a topic"),
    ],
    ids=["log", "ca", "websocket", "prefix", "gateway"],
)
def test_what_can_not_be_used_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, expected: str
) -> None:
    (tmp_path / "text").write_text("words")
    process = tail(*(argument.format(tmp_path) for argument in arguments))
    _, err = process.communicate(timeout=DEADLINE_S)

    assert code == process.returncode
    assert expected in err
    assert "Traceback" not in err
