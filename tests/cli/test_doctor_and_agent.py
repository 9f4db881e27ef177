"""`tidegate doctor` beside a running gateway: what that says of its targets is a finding too."""

import json
import subprocess
from pathlib import Path

from demo.broker import Mosquitto
from tests.cli.test_doctor_command import CONFIG, doctor
from tests.test_gateway import DEADLINE_S, TIDEGATE, ask, until
from tidegate.doctor.agent import Told, examine_targets
from tidegate.doctor.finding import Level


def found(folder: Path) -> dict[str, str]:
    """Level and words of the finding about the target."""
    findings = json.loads(doctor(folder, "gateway.toml", "--json").stdout)["findings"]
    return next(({"level": f["level"], "what": f["what"]} for f in findings if f["about"] == "target local"), {})


def test_what_a_running_gateway_says_of_its_target_is_found(tmp_path: Path, broker: Mosquitto) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(url=broker.url))
    before = found(tmp_path)
    with subprocess.Popen([*TIDEGATE, "run", str(path)], stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: ask(path).returncode == 0 and '"connected"' in ask(path).stdout)
            well = found(tmp_path)
            broker.kill()
            until(lambda: "nothing listens" in ask(path).stdout)
            away = found(tmp_path)
        finally:
            process.terminate()
            process.wait(DEADLINE_S)

    assert before == {}
    assert well["level"] == "ok"
    assert away["level"] == "warning"
    assert "nothing listens at 127.0.0.1" in away["what"]


def test_a_parked_target_is_a_fault_and_each_finding_but_a_good_one_has_a_remedy() -> None:
    told = [Told("a", "parked", "no", 3), Told("b", "waiting", "later", 0), Told("c", "connected", "", 0)]
    findings = list(examine_targets(told))

    assert [finding.level for finding in findings] == [Level.FAULT, Level.WARNING, Level.OK]
    assert [bool(finding.remedy) for finding in findings] == [True, True, False]
    assert "no" in findings[0].what


def test_a_dead_agents_socket_is_said_to_be_silent(tmp_path: Path, broker: Mosquitto) -> None:
    (tmp_path / "gateway.toml").write_text(CONFIG.format(url=broker.url))
    (tmp_path / "state").mkdir()
    (tmp_path / "state/agent.sock").touch()
    ran = doctor(tmp_path, "gateway.toml")

    assert "warning  agent: " in ran.stdout
