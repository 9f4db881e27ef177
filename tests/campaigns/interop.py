"""Modbus peers that others have written, each over the transports that it has: how many checks, and whether all hold.

    python -m tests.campaigns.interop

The checks are tests, which CI runs too; this says what was checked against whom.
"""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from demo.child import ROOT
from tests.campaigns.checker import Finding

DEADLINE_S = 600.0
REASON_CHARS_MAX = 160


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is read, or reads; the tests that show it, and of these the ones whose name holds `word`."""

    name: str
    tests: str
    word: str = ""


PEERS = (
    Peer("pyModbusTCP, server over TCP", "tests/drivers/test_modbus_foreign.py", "pyModbusTCP"),
    Peer("npm modbus-serial, server over TCP", "tests/drivers/test_modbus_foreign.py", "modbus-serial"),
    Peer("libmodbus, server over TCP", "tests/drivers/test_modbus_foreign.py", "libmodbus"),
    Peer("libmodbus, RTU on a pty", "tests/drivers/test_rtu_foreign.py", "libmodbus"),
    Peer("npm modbus-serial, RTU on a pty", "tests/drivers/test_rtu_foreign.py", "modbus_serial_on_a_port"),
    Peer("pymodbus, RTU on a pty", "tests/drivers/test_rtu_foreign.py", "pymodbus_on_a_port"),
    Peer("pymodbus, RTU over TCP", "tests/drivers/test_rtu_foreign.py", "pymodbus_behind_tcp"),
    Peer("pymodbus, ASCII on a pty", "tests/drivers/test_rtu_foreign.py", "ascii_on_a_port"),
    Peer("pymodbus, ASCII over TCP", "tests/drivers/test_rtu_foreign.py", "ascii_behind_tcp"),
    Peer("pymodbus, server over TLS", "tests/drivers/test_modbus_tls.py"),
    Peer("mbpoll, client over TCP", "tests/profiles/test_mbpoll.py", "TCP"),
    Peer("mbpoll, client on a pty", "tests/profiles/test_mbpoll.py", "RTU"),
)


def run(peers: Sequence[Peer] = PEERS) -> list[tuple[str, str, str]]:
    """File, name and what became of each test: "" = passed, else why not."""
    with tempfile.TemporaryDirectory(prefix="tidegate-interop-") as folder:
        told = Path(folder) / "told.xml"
        files = sorted({peer.tests for peer in peers})
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={told}", *files]
        subprocess.run(command, cwd=ROOT, timeout=DEADLINE_S, check=False)
        cases = list(ElementTree.parse(told).iter("testcase"))
    found = []
    for case in cases:
        wrong = [child.get("message", "")[:REASON_CHARS_MAX] for child in case if child.tag != "system-out"]
        path = case.get("classname", "").replace(".", "/") + ".py"
        found.append((path, case.get("name", ""), "; ".join(wrong)))
    return found


def judge(found: list[tuple[str, str, str]], peers: Sequence[Peer] = PEERS) -> list[Finding]:
    """A finding a peer. One of which nothing was checked does not hold; what a peer itself can't do is said."""
    findings = []
    for peer in peers:
        told = [why for path, name, why in found if path == peer.tests and peer.word in name]
        passed = sum(not why for why in told)
        others = Counter(why for why in told if why)
        words = f"{peer.name}: {passed} of {len(told)} checks hold"
        unable = all(why.startswith("pyModbusTCP") for why in others)
        findings.append(Finding(passed > 0 and unable, "\n        ".join([words, *others])))
    return findings


def main() -> None:
    """The command: see the module's text."""
    begun_s = time.monotonic()
    findings = judge(run())
    print(f"interop, Modbus: {time.monotonic() - begun_s:.0f} s")
    print("\n".join(map(str, findings)))
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
