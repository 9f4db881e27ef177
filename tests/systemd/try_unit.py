"""The unit under a real systemd: installed, started, reloaded, killed, stopped, uninstalled.

    python -m tests.systemd.try_unit

It runs in a room of its own (tests/systemd/room.py) and needs root. Exits 1 when a claim does not hold, 2 when this
machine does not allow a room.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from demo.child import ChildFailed, wait_for
from tests.campaigns.checker import Finding
from tests.systemd.room import PYTHON, NoRoom, Room

ROOT = Path(__file__).parents[2]
EXIT_NO_ROOM = 2
READY_S_MAX, RELOAD_S_MAX, STOP_S_MAX, RESTART_S_MAX = 10.0, 10.0, 10.0, 10.0
# WatchdogSec=30s from the last feeding, then RestartSec=2s and the start; twice that for a busy machine.
WATCHDOG_S_MAX = 64.0
NO_RESTART_S = 6.0
DELIVERED_DEADLINE_S = 20.0
PRIORITY_ERROR, PRIORITY_WARNING, PRIORITY_INFO = "3", "4", "6"
PRIORITIES = (PRIORITY_ERROR, PRIORITY_WARNING, PRIORITY_INFO)
AS_USER = ("setpriv", "--reuid=tidegate", "--regid=tidegate", "--clear-groups")
LINES_SHOWN = 30
HOMELY = "/home/python3"
PASSWORD = "let-me-in"  # of a broker in a room without a network
CONFIG = """
[gateway]
name = "try"
state = "/var/lib/tidegate"
[clock]
source = "ntp"
[tables.machine]
file = "machine.csv"
[[device]]
name = "oven1"
driver = "simulator"
table = "machine"
address = "sim://hall1"
[[target]]
name = "local"
url = "mqtt://127.0.0.1:1883"
user = "try"
password = "${credential:mqtt}"
"""
SECOND = '[[device]]\nname = "oven2"\ndriver = "simulator"\ntable = "machine"\naddress = "sim://hall2"\n'
TAGS = "name,address,type\npolls,counter,uint32\ntemperature,sine,float64\n"
DROP_IN = "[Service]\nLoadCredential=mqtt:/etc/tidegate/credentials/mqtt\n"
BROKER = "listener 1883 127.0.0.1\nallow_anonymous false\npassword_file /etc/try.passwords\nuser root\n"


def main() -> None:
    """Make the wheels, try everything in a room, and print what came of it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="tidegate-unit-"))
    try:
        Room.needed()
        subprocess.run(
            [ROOT / "systemd/wheels", folder / "wheels", Path(sys.executable).parent],
            cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with Room(folder / "room", folder / "wheels") as room:
            findings = list(Trial(room).all())
    except NoRoom as why:
        print(f"This machine does not allow it: {why}", file=sys.stderr)
        sys.exit(EXIT_NO_ROOM)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(map(str, findings)))
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


class Trial:
    """The service in a room, from its installation to its removal."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def all(self) -> Iterator[Finding]:
        """Each claim, in the order of the service's life; after one that does not hold the journal's end is shown."""
        for step in (
            self.installs, self.starts, self.is_confined, self.delivers, self.reloads, self.refuses_a_broken_reload,
            self.is_killed, self.hangs, self.stops, self.stays_down_with_a_broken_configuration,
            self.logs_with_priorities, self.uninstalls,
        ):  # fmt: skip
            try:
                finding = step()
            except (ChildFailed, OSError, ValueError, KeyError) as error:
                finding = Finding(False, f"{step.__name__}: {error}")
            if not finding.holds:
                said = self.room.run("journalctl", "-n", str(LINES_SHOWN), "--no-pager", "-o", "short")
                print(said.stdout, file=sys.stderr)
            yield finding

    def installs(self) -> Finding:
        """`make install`'s own script, from its folder of wheels, without a network."""
        self.room.run("cp", str(PYTHON), HOMELY)
        homely = self.install("install", f"PYTHON={HOMELY}", "PYTHONHOME=/usr")
        done = self.install("install")
        self.room.write("/etc/tidegate/gateway.toml", CONFIG)
        self.room.write("/etc/tidegate/machine.csv", TAGS)
        self.room.write("/etc/tidegate/credentials/mqtt", PASSWORD, 0o600)
        self.room.write("/etc/systemd/system/tidegate.service.d/secret.conf", DROP_IN)
        self.room.write("/etc/try.conf", BROKER)
        self.room.run("mosquitto_passwd", "-b", "-c", "/etc/try.passwords", "try", PASSWORD)
        self.room.run("systemd-run", "--unit=broker", "mosquitto", "-c", "/etc/try.conf")
        user = self.room.run("id", "-u", "tidegate").stdout.strip()
        checked = self.room.run("tidegate", "--version").stdout.strip()
        return Finding(
            done.returncode == 0 and user.isdigit() and user != "0" and "lies in a home" in homely.stderr,
            f"installed without a network: {checked}, user tidegate is {user or 'missing'}; one of a home's "
            "Python, which the unit can't reach, is refused",
        )

    def starts(self) -> Finding:
        """`systemctl start` returns when READY=1 was said."""
        began_s = time.monotonic()
        done = self.room.run("systemctl", "start", "tidegate")
        took_s = time.monotonic() - began_s
        self.wait("a word for people", lambda: bool(self.show("StatusText")))
        said, kind = self.show("StatusText"), self.show("Type")
        return Finding(
            done.returncode == 0 and took_s <= READY_S_MAX and self.show("SubState") == "running" and kind == "notify",
            f"ready {took_s:.1f} s after systemctl start (allowed: {READY_S_MAX:g}), Type={kind}: {said!r}",
        )

    def is_confined(self) -> Finding:
        """What the kernel says of the process, not what the unit asks for."""
        status = dict(line.split(":\t", 1) for line in self.room.read(f"/proc/{self.pid()}/status").splitlines())
        power = [status[key] for key in ("CapEff", "CapPrm", "CapBnd", "CapAmb")]
        confined = all(int(mask, 16) == 0 for mask in power) and status["NoNewPrivs"] == "1"
        return Finding(
            confined and status["Seccomp"] == "2" and status["Uid"].split()[0] != "0",
            f"runs as uid {status['Uid'].split()[0]} with capabilities {power[0]} (bounding {power[2]}), "
            f"NoNewPrivs {status['NoNewPrivs']}, {status.get('Seccomp_filters', '?')} system call filters",
        )

    def delivers(self) -> Finding:
        """Readings reach a broker, with a password out of LoadCredential."""
        try:
            took_s = self.wait(
                "everything at the broker", lambda: self.target().get("backlog") == 0, DELIVERED_DEADLINE_S
            )
        except ChildFailed:
            return Finding(False, f"nothing is delivered: {self.target()}")
        return Finding(
            self.target()["state"] == "connected",
            f"delivers to a broker {took_s:.1f} s later, with the password of LoadCredential",
        )

    def reloads(self) -> Finding:
        """`systemctl reload` takes up a new device in the same process."""
        before = self.pid()
        self.room.write("/etc/tidegate/gateway.toml", CONFIG + SECOND)
        began_s = time.monotonic()
        done = self.room.run("systemctl", "reload", "tidegate")
        took_s = time.monotonic() - began_s
        self.wait("the second device", lambda: len(self.status().get("devices", [])) == 2)
        return Finding(
            done.returncode == 0 and self.pid() == before and took_s <= RELOAD_S_MAX,
            f"a reload takes up a second device in {took_s:.1f} s (allowed: {RELOAD_S_MAX:g}), in the same process",
        )

    def refuses_a_broken_reload(self) -> Finding:
        """A configuration that can't be used is an error in the journal, and the old one goes on."""
        before = self.pid()
        self.room.write("/etc/tidegate/gateway.toml", CONFIG.replace("state =", "stat ="))
        self.room.run("systemctl", "reload", "tidegate")
        self.wait("the refusal in the journal", lambda: any("reload refused" in m for _, m in self.journal()))
        self.room.write("/etc/tidegate/gateway.toml", CONFIG + SECOND)
        alive = len(self.status().get("devices", [])) == 2 and self.pid() == before
        return Finding(
            alive and self.show("ActiveState") == "active", "a broken configuration is refused; the old goes on"
        )

    def comes_back(self, how: str, within_s: float, words: str) -> Finding:
        """A gateway that died or hangs is started again, and goes on in its buffer."""
        before, boot = self.pid(), self.status()["boot"]
        began_s = time.monotonic()
        self.room.run("kill", f"-{how}", before)
        try:
            self.wait("another process", lambda: self.pid() not in (before, "0") and bool(self.status()), within_s)
        except ChildFailed:
            return Finding(False, f"{words}, it is not back after {within_s:g} s ({self.show('SubState')})")
        took_s = time.monotonic() - began_s
        again = self.status()["boot"]
        return Finding(again > boot, f"{words}, it is back {took_s:.1f} s later (allowed: {within_s:g}), start {again}")

    def is_killed(self) -> Finding:
        return self.comes_back("KILL", RESTART_S_MAX, "killed")

    def hangs(self) -> Finding:
        return self.comes_back("STOP", WATCHDOG_S_MAX, "held by SIGSTOP, so that the watchdog is not fed")

    def stops(self) -> Finding:
        """`systemctl stop` is a clean end, and what it leaves is whole."""
        began_s = time.monotonic()
        done = self.room.run("systemctl", "stop", "tidegate")
        took_s = time.monotonic() - began_s
        whole = self.room.run(*AS_USER, "tidegate", "buffer", "verify", "/etc/tidegate/gateway.toml")
        clean = self.show("Result") == "success" and self.show("ExecMainStatus") == "0"
        return Finding(
            done.returncode == 0 and clean and whole.returncode == 0 and took_s <= STOP_S_MAX,
            f"stopped cleanly in {took_s:.1f} s (allowed: {STOP_S_MAX:g}); its buffer: {whole.stdout.strip()}",
        )

    def stays_down_with_a_broken_configuration(self) -> Finding:
        """Exit 78 is not tried again: until somebody edits the file it would be the same."""
        restarts = self.show("NRestarts")
        self.room.write("/etc/tidegate/gateway.toml", CONFIG.replace("state =", "stat ="))
        self.room.run("systemctl", "start", "tidegate")
        # A restart would come after RestartSec=2s: that it does not come takes this wait to see.
        time.sleep(NO_RESTART_S)
        failed, code, again = self.show("ActiveState"), self.show("ExecMainStatus"), self.show("NRestarts")
        self.room.write("/etc/tidegate/gateway.toml", CONFIG)
        return Finding(
            (failed, code) == ("failed", "78") and again in (restarts, "0"),
            f"a broken configuration ends it with {code}, {failed}, and it is not started again for {NO_RESTART_S:g} s",
        )

    def logs_with_priorities(self) -> Finding:
        """Lines have the priority that they were logged with, and no mark of it is left in their text."""
        lines = self.journal()
        by = {wanted: sum(priority == wanted for priority, _ in lines) for wanted in PRIORITIES}
        marked = [message for _, message in lines if message.startswith("<")]
        held = {priority for priority, message in lines if "reload refused" in message or "no such key" in message}
        return Finding(
            all(by.values()) and not marked and held == {PRIORITY_ERROR} and PASSWORD not in str(lines),
            f"{by[PRIORITY_ERROR]} errors, {by[PRIORITY_WARNING]} warnings and {by[PRIORITY_INFO]} other lines in the "
            "journal; what is wrong with a configuration is an error, no password is in it",
        )

    def uninstalls(self) -> Finding:
        """Program and unit go, buffer and configuration stay until PURGE=1."""
        done = self.install("uninstall")
        unit = self.room.run("systemctl", "cat", "tidegate").returncode
        kept = self.room.run("test", "-e", "/var/lib/tidegate/control.db", "-a", "-e", "/etc/tidegate/gateway.toml")
        self.install("uninstall", "PURGE=1")
        left = self.room.run("ls", "-d", "/var/lib/tidegate", "/etc/tidegate", "/opt/tidegate").stdout.split()
        user = self.room.run("id", "tidegate").returncode
        return Finding(
            done.returncode == 0 and unit != 0 and kept.returncode == 0 and not left and user != 0,
            "uninstalled: unit and program gone, buffer and configuration kept; with PURGE=1 "
            + (f"there is still {', '.join(left)}" if left else "nothing is left"),
        )

    def install(self, word: str, *env: str) -> "subprocess.CompletedProcess[str]":
        return self.room.run("/mnt/wheels/install", word, env=(f"PYTHON={PYTHON}", *env))

    def show(self, key: str) -> str:
        return self.room.run("systemctl", "show", "-P", key, "tidegate").stdout.strip()

    def pid(self) -> str:
        return self.show("MainPID")

    def status(self) -> dict[str, Any]:
        """What the gateway says of itself; {} when it does not answer."""
        said = self.room.run(*AS_USER, "tidegate", "status", "/var/lib/tidegate", "--json")
        found: dict[str, Any] = json.loads(said.stdout) if said.returncode == 0 else {}
        return found

    def target(self) -> dict[str, Any]:
        found: dict[str, Any] = next(iter(self.status().get("targets", [])), {})
        return found

    def journal(self) -> list[tuple[str, str]]:
        """Priority and text of each line of the service itself."""
        said = self.room.run("journalctl", "-t", "tidegate", "-o", "json", "--no-pager").stdout
        lines = [json.loads(line) for line in said.splitlines()]
        return [(line["PRIORITY"], str(line["MESSAGE"])) for line in lines]

    def wait(self, what: str, until: Callable[[], bool], deadline_s: float = DELIVERED_DEADLINE_S) -> float:
        return wait_for(what, until, deadline_s)


if __name__ == "__main__":
    main()
