"""The demo as a user runs it: it ends by itself or by Ctrl-C, and says by its exit code whether the proof holds."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DEADLINE_S = 60.0


def demo(*arguments: str, folder: Path | None = None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "demo.run", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **({"TMPDIR": str(folder)} if folder else {})},
    )  # fmt: skip


@pytest.mark.parametrize("broker", ["mosquitto", "amqtt"])
def test_the_demo_ends_by_itself_with_its_proof(broker: str) -> None:
    running = demo("--seconds", "3", "--broker", broker)
    said, _ = running.communicate(timeout=DEADLINE_S)

    assert running.returncode == 0, said
    assert said.count("  ok  ") == 3
    assert "0 missing" in said


def test_ctrl_c_ends_the_demo_cleanly() -> None:
    running = demo()
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if "received" in line:
            break
    running.send_signal(signal.SIGINT)
    lines += running.stdout.readlines()

    assert running.wait(DEADLINE_S) == 0, "".join(lines)
    assert "proven complete" in "".join(lines)


def test_a_broker_that_is_none_is_refused_in_one_sentence() -> None:
    running = demo("--broker", "rabbitmq")
    said, _ = running.communicate(timeout=DEADLINE_S)

    assert running.returncode == 1
    assert "no broker is called 'rabbitmq'" in said
    assert "Traceback" not in said


def test_the_demo_leaves_nothing_behind(tmp_path: Path) -> None:
    running = demo("--seconds", "2", "--broker", "mosquitto", folder=tmp_path)
    running.communicate(timeout=DEADLINE_S)
    time.sleep(0.2)
    commands = [read_or_nothing(path) for path in Path("/proc").glob("[0-9]*/cmdline")]

    assert list(tmp_path.iterdir()) == []
    assert [command for command in commands if str(tmp_path).encode() in command] == []


def read_or_nothing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
