"""The unit for systemd: hardened by systemd's own measure, explained line by line, and true to what the agent needs."""

import re
import shutil
import subprocess
from pathlib import Path

UNIT = Path(__file__).parents[2] / "systemd/tidegate.service"
EXPOSURE_MAX = 2.0


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_its_exposure_is_at_most_two() -> None:
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(UNIT)], capture_output=True, text=True, check=True
    )
    overall = re.search(r"exposure level for \S+: ([\d.]+)", rated.stdout)

    assert overall is not None, rated.stdout
    assert float(overall[1]) <= EXPOSURE_MAX


def test_systemd_knows_every_line(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tidegate/bin/tidegate", str(shutil.which("true"))))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)

    assert verified.stderr == ""
    assert verified.returncode == 0


def test_every_paragraph_of_settings_is_explained() -> None:
    """A setting stands under a comment, or under another setting that does."""
    explained, silent = False, []
    for line in UNIT.read_text().splitlines():
        if line.startswith("#"):
            explained = True
        elif not line or line.startswith("["):
            explained = False
        elif not explained and not re.match(r"(Description|Documentation|WantedBy)=", line):
            silent.append(line)

    assert silent == []


def test_the_agent_may_ask_for_the_clock_and_the_boot() -> None:
    unit = settings()

    assert "adjtimex clock_adjtime clock_adjtime64" in unit["SystemCallFilter"]
    assert "ProtectClock" not in unit
    assert "ProcSubset" not in unit


def test_a_reload_needs_nothing_that_a_small_debian_lacks() -> None:
    """procps, which has /bin/kill, is not essential there."""
    assert ['/bin/sh -c "kill -HUP $MAINPID"'] == settings()["ExecReload"]
