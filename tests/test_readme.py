"""README's commands, as somebody types them: each is run, or, where CI runs it anyway, at least known to make."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from demo.broker import LOOPBACK, Mosquitto
from demo.child import Child

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
COMMAND = re.compile(r"^ {4,}(tidegate .+?)(?: +#.*)?$", re.M)
COMMANDS = COMMAND.findall(README)
TARGETS = re.findall(r"^ {4,}make (\S+)", README, re.M) + re.findall(r"`make ([^`]+)`", README)
DEADLINE_S = 30.0

CONFIG = """
[gateway]
name = "plant-7"
state = "state"

[[device]]
name = "meter1"
table = "eastron/sdm630"
address = "tcp://{host}:{port}"
unit = 1

[[target]]
name = "local"
url = "{url}"
"""


def test_readme_opens_with_the_two_commands() -> None:
    assert re.findall(r"^ {4}(make \w+)", README, re.M)[:2] == ["make demo", "make test"]


def test_the_chinese_readme_has_the_same_commands() -> None:
    assert COMMAND.findall((ROOT / "README.zh-CN.md").read_text()) == COMMANDS


@pytest.mark.parametrize("target", sorted(set(TARGETS)))
def test_what_readme_lets_make_do_make_can_do(target: str) -> None:
    dry = subprocess.run(["make", "-n", *target.split()], cwd=ROOT, capture_output=True, text=True)

    assert dry.returncode == 0, dry.stderr


def wait_for_answer(folder: Path) -> None:
    """Until the agent answers that its target is connected, or the deadline is over: the next command tells."""
    deadline = time.monotonic() + DEADLINE_S
    asked = [BIN / "tidegate", "status", "gateway.toml"]
    while time.monotonic() < deadline:
        said = subprocess.run(asked, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S).stdout
        if ": connected" in said:
            return
        time.sleep(0.2)


def test_the_commands_of_the_ten_minutes_work_in_their_order(tmp_path: Path, broker: Mosquitto) -> None:
    port_file = tmp_path / "port"
    plant = Child("plant", [sys.executable, "-m", "demo.plant", "--port-file", str(port_file)], tmp_path)
    while not port_file.exists() or not port_file.read_text().strip():
        assert plant.code is None
        time.sleep(0.05)
    text = CONFIG.format(host=LOOPBACK, port=port_file.read_text().strip(), url=broker.url)
    (tmp_path / "gateway.toml").write_text(text)
    agent: subprocess.Popen[bytes] | None = None
    ran = []
    try:
        for command in COMMANDS:
            words = command.replace("mqtt://localhost", broker.url).split()
            if words[1] == "run":
                agent = subprocess.Popen([BIN / words[0], *words[1:]], cwd=tmp_path, stderr=subprocess.DEVNULL)
                wait_for_answer(tmp_path)
                continue
            more = ["--seconds", "4"] if words[1] == "tail" else []
            done = subprocess.run(
                [BIN / words[0], *words[1:], *more], cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S
            )

            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
            ran.append(words[1])
    finally:
        # First, so that an agent that does not end in time leaves no plant behind.
        plant.stop()
        if agent is not None:
            agent.terminate()
            agent.wait(DEADLINE_S)
    assert ran == ["init", "check", "read", "status", "tail", "buffer", "buffer"]
