"""On a box whose time nobody knows, every command says what that means for the data and both remedies, once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.adversity.shims import WallClock
from tests.fakes.shell import tidegate

CONFIG = """
[gateway]
name = "g1"
state = "state"
[clock]
source = "{source}"
[tables.any]
file = "any.csv"
[[device]]
name = "d1"
driver = "simulator"
table = "any"
address = "sim://hall1"
"""
TAGS = "name,type,address\nspeed,float64,sine\n"
DEADLINE_S = 20.0
MEANING = "readings are sent all the same, marked `unset`"
REMEDIES = ("timedatectl set-ntp true", '[clock] source = "system"')


@pytest.fixture
def board(tmp_path: Path) -> dict[str, str]:
    """The environment of a board that nothing ever synchronised, and a configuration in the same folder."""
    (tmp_path / "any.csv").write_text(TAGS)
    (tmp_path / "gateway.toml").write_text(CONFIG.format(source="ntp"))
    shim = WallClock(tmp_path)
    shim.set(0.0, synchronised=False)
    return shim.environment


def test_check_doctor_status_and_the_log_say_it_once_each(tmp_path: Path, board: dict[str, str]) -> None:
    checked = tidegate("check", "gateway.toml", cwd=tmp_path, **board)
    looked = tidegate("doctor", "gateway.toml", cwd=tmp_path, **board)
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "run", "gateway.toml"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, cwd=tmp_path, stderr=log, env=board) as agent:
        try:
            deadline = time.monotonic() + DEADLINE_S
            while (asked := tidegate("status", "gateway.toml", cwd=tmp_path, **board)).returncode:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            # The clock is looked at once a second: a word that came at every look would have come again.
            time.sleep(2.5)
        finally:
            agent.terminate()
            agent.wait(DEADLINE_S)
    told = [checked.stdout, looked.stdout, asked.stdout, (tmp_path / "log").read_text()]

    assert (checked.returncode, looked.returncode, agent.returncode) == (0, 1, 0)
    assert [text.count(MEANING) for text in told] == [1, 1, 1, 1]
    assert [text.count(remedy) for text in told for remedy in REMEDIES] == [1] * 8


def test_where_the_source_is_declared_nothing_is_said(tmp_path: Path, board: dict[str, str]) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG.format(source="system"))
    checked = tidegate("check", "gateway.toml", cwd=tmp_path, **board)
    looked = tidegate("doctor", "gateway.toml", cwd=tmp_path, **board)

    assert "clock of this machine: synced, the configuration declares it right" in checked.stdout
    assert "ok       clock: trusted: the configuration declares it right" in looked.stdout
    assert "set-ntp" not in looked.stdout
