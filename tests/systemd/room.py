"""Room: a systemd that is PID 1, beside the machine's own, in which the service is installed and run. Needs root.

It is this machine's system under an overlay: what happens in there is thrown away, and nothing outside is changed.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from demo.child import ChildFailed, wait_for

SCRIPT = Path(__file__).with_name("room.sh")
SYSTEMD = Path("/lib/systemd/systemd")
PYTHON = Path("/usr/bin/python3")
TOOLS = ("unshare", "nsenter", "setpriv", "pivot_root", "chroot")
BOOT_DEADLINE_S = 60.0
COMMAND_DEADLINE_S = 120.0
LEAVE_DEADLINE_S = 15.0


class NoRoom(Exception):
    """This machine does not allow it; the text says why."""


class Room:
    """A running room. `wheels` is a folder as `make wheels` makes it; inside it is /mnt/wheels."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self._unified = self.needed()
        self._folder = folder
        self._wheels = wheels
        self._cgroup = self._unified / f"tidegate-room-{os.getpid()}"
        self._outer: subprocess.Popen[bytes] | None = None
        self._log = folder.with_suffix(".log")
        self._init = 0

    @staticmethod
    def needed() -> Path:
        """Where the unified hierarchy of cgroups is mounted. Raises NoRoom when anything is missing."""
        if os.geteuid() != 0:
            raise NoRoom("it takes root: name spaces, mounts and a cgroup are made")
        missing = [tool for tool in TOOLS if shutil.which(tool) is None]
        if missing:
            raise NoRoom(f"{', '.join(missing)} is not installed (util-linux, coreutils)")
        if not SYSTEMD.exists():
            raise NoRoom(f"{SYSTEMD} is not installed (package systemd)")
        if "overlay" not in Path("/proc/filesystems").read_text():
            raise NoRoom("the kernel has no overlay file system (modprobe overlay)")
        said = subprocess.run([PYTHON, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True)
        if said.stdout.strip() != str(sys.version_info[:2]):
            raise NoRoom(
                f"{PYTHON} is not the Python {sys.version_info[0]}.{sys.version_info[1]} that the wheels are for"
            )
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            if rest.split()[0] == "cgroup2" and os.access(fields.split()[4], os.W_OK):
                return Path(fields.split()[4])
        raise NoRoom("no unified hierarchy of cgroups is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")

    def __enter__(self) -> Self:
        self._folder.mkdir()
        self._cgroup.mkdir()
        try:
            self._begin()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def run(self, *words: str, env: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
        """A command inside, as root, to its end."""
        into = ["nsenter", "-t", str(self._init), "-p", "-m", "-u", "-i", "-n", "-C", "-r", "-w"]
        clean = ["env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", *env]
        return subprocess.run([*into, *clean, *words], capture_output=True, text=True, timeout=COMMAND_DEADLINE_S)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file inside."""
        file = Path(f"/proc/{self._init}/root") / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        """The text of a file inside."""
        return (Path(f"/proc/{self._init}/root") / path.lstrip("/")).read_text()

    def _begin(self) -> None:
        spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--fork", "--kill-child"]
        enter = f'echo $$ >"{self._cgroup}/cgroup.procs" && exec "$@"'
        command = ["sh", "-c", enter, "sh", "unshare", *spaces, str(SCRIPT), str(self._folder), str(self._wheels)]
        home = self._unified / _own_cgroup()
        with self._log.open("wb") as log:
            self._outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("a first process of the room", lambda: bool(self._child()), BOOT_DEADLINE_S)
        self._init = int(self._child())
        # Controllers are handed on by a cgroup without processes of its own: the one that waits outside goes back.
        with contextlib.suppress(OSError):
            (home / "cgroup.procs").write_text(str(self._outer.pid))
        wait_for("systemd as PID 1", self._is_up, BOOT_DEADLINE_S)

    def _is_up(self) -> bool:
        if self._outer is None or self._outer.poll() is not None:
            raise NoRoom(f"systemd did not come up as PID 1: {self._words()}")
        if Path(f"/proc/{self._init}/comm").read_text().strip() != "systemd":
            return False
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def _child(self) -> str:
        """The process id that PID 1 of the room has outside; "" before it is there."""
        assert self._outer is not None
        if self._outer.poll() is not None:
            raise NoRoom(f"no room of its own was allowed here (see unshare(1)): {self._words()}")
        return Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().strip()

    def _words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:].strip()

    def _leave(self) -> None:
        if self._outer is not None:
            self._outer.kill()
            self._outer.wait(LEAVE_DEADLINE_S)
        # Mounts went with their name space.
        with contextlib.suppress(ChildFailed):
            wait_for("the cgroup is empty", self._removed, LEAVE_DEADLINE_S)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _removed(self) -> bool:
        for folder in sorted(self._cgroup.rglob("*"), reverse=True):
            if folder.is_dir():
                with contextlib.suppress(OSError):
                    folder.rmdir()
        with contextlib.suppress(OSError):
            self._cgroup.rmdir()
        return not self._cgroup.exists()


def _own_cgroup() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::/"):
            return line.removeprefix("0::/")
    return ""
