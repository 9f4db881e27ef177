"""`tidegate doctor` tells everything with its remedy, as text and as JSON, and its exit code follows from that."""

import json
import subprocess
import sys
from pathlib import Path

from demo.broker import Mosquitto, free_port

CONFIG = """
[gateway]
name = "g1"
state = "state"

[[device]]
name = "meter1"
table = "eastron/sdm630"
address = "tcp://127.0.0.1:1"

[[target]]
name = "local"
url = "{url}"
"""


def doctor(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tidegate.cli.main import main; main()", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)


def test_every_fault_and_warning_has_a_remedy_and_faults_make_the_exit_code(tmp_path: Path, broker: Mosquitto) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG.format(url=broker.url))
    ran = doctor(tmp_path, "gateway.toml", "--json")
    told = json.loads(ran.stdout)
    about = [finding["about"] for finding in told["findings"]]

    assert ran.stderr == ""
    assert {"clock", "twins", "serial", "configuration", "policy", "disk", "wear", "state"} < set(about)
    assert "broker of local" in about
    assert [f for f in told["findings"] if (f["level"] == "ok") != (f["remedy"] == "")] == []
    assert told["ok"] == all(finding["level"] != "fault" for finding in told["findings"])
    assert ran.returncode == (0 if told["ok"] else 1)


def test_without_a_configuration_it_looks_at_the_machine_alone(tmp_path: Path) -> None:
    told = json.loads(doctor(tmp_path, "--json").stdout)

    about = {finding["about"] for finding in told["findings"]}
    of_the_board = {"board", "serial port", "watchdog", "memory", "swap"}

    assert about - {"ntp"} - of_the_board == {"clock", "twins", "event loop", "serial"}


def test_a_broker_that_is_not_there_is_said_with_its_remedy_and_exits_1(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG.format(url=f"mqtt://127.0.0.1:{free_port()}"))
    ran = doctor(tmp_path, "gateway.toml")

    assert ran.returncode == 1
    assert "FAULT    broker of local: no TCP connection" in ran.stdout
    assert "-> Start the broker there, or correct the port" in ran.stdout


def test_a_configuration_that_can_not_be_used_is_one_finding_beside_the_others(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG.format(url="ftp://x").replace("eastron", "eastorn"))
    ran = doctor(tmp_path, "gateway.toml", "--json")
    (found,) = [f for f in json.loads(ran.stdout)["findings"] if f["about"] == "configuration"]

    assert ran.returncode == 78
    assert found["level"] == "fault"
    assert "(and 1 more problem: tidegate check gateway.toml)" in found["what"]


def test_no_secret_is_said(tmp_path: Path, broker: Mosquitto) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/cloud").write_text("hunter2-canary")
    (tmp_path / "credentials/cloud").chmod(0o600)
    text = CONFIG.format(url=broker.url) + 'user = "u"\npassword = "${credential:cloud}"\n'
    (tmp_path / "gateway.toml").write_text(text)
    ran = doctor(tmp_path, "gateway.toml")

    assert "credentials of local: the password can be read" in ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr


def test_a_clock_that_the_configuration_declares_right_is_trusted(tmp_path: Path, broker: Mosquitto) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG.format(url=broker.url) + '[clock]\nsource = "system"\n')
    told = json.loads(doctor(tmp_path, "gateway.toml", "--json").stdout)
    clock = next(finding for finding in told["findings"] if finding["about"] == "clock")

    assert clock["level"] == "ok"
