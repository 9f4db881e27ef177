"""Brokers for the demo and the tests, each a process of its own on a free loopback port, that can stop and come back.

A foreign broker on the same port would give believable, wrong results: `start` returns only when the listening socket
belongs to the process that was started here. It knows no topic and no message.
"""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

START_DEADLINE_S = 10.0
STOP_DEADLINE_S = 8.0
LOOK_INTERVAL_S = 0.02
PORT_TRIES_MAX = 200
LOOPBACK = "127.0.0.1"
# Below the ports that Linux gives to outgoing connections (ip_local_port_range begins at 32768): a client that knocks
# while the broker is away must not be given the broker's port as its own, and so connect to itself.
PORT_FIRST, PORT_LAST = 20_000, 32_000
LISTENING = "0A"


class BrokerMissing(RuntimeError):
    """The broker's program is not on this machine; the message says how to install it."""


class BrokerFailed(RuntimeError):
    """The broker did not start, did not stop, or another process has its port."""


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    for _ in range(PORT_TRIES_MAX):
        port = random.randint(PORT_FIRST, PORT_LAST)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise BrokerFailed(f"no free port in {PORT_FIRST}..{PORT_LAST} after {PORT_TRIES_MAX} tries")


def owns_port(pid: int, port: int) -> bool:
    """Whether this process itself listens on the IPv4 port (its descriptors against /proc/net/tcp)."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        parts = line.split()
        if parts[3] == LISTENING and int(parts[1].rpartition(":")[2], 16) == port:
            inodes.add(f"socket:[{parts[9]}]")
    try:
        held = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    except OSError:
        return False
    return bool(inodes & held)


class _Process:
    """A broker process that keeps its port over stops and starts."""

    name = ""
    mqtt = "5"

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.log = self.folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients connect: mqtt://127.0.0.1:<port>."""
        return f"mqtt://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """The running process. Raises BrokerFailed when there is none."""
        if self._process is None:
            raise BrokerFailed(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start, and return when this very process listens. Raises BrokerMissing or BrokerFailed."""
        if self.running:
            return
        with self.log.open("ab") as log:
            # Its own session: Ctrl-C in a terminal ends the demo, and the demo ends its broker.
            self._process = subprocess.Popen(
                self._command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, env=self._environment(),
            )  # fmt: skip
        process = self._process
        if not _wait(lambda: process.poll() is not None or owns_port(process.pid, self.port), START_DEADLINE_S):
            self.kill()
            raise BrokerFailed(f"{self.name} did not listen on {self.port} within {START_DEADLINE_S:.0f} s")
        if process.poll() is not None:
            self._process = None
            raise BrokerFailed(f"{self.name} ended with {process.returncode}: {self._last_words()}")

    def stop(self) -> None:
        """End it in an orderly way; mosquitto then writes what it is told to keep. Nothing when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would. Nothing when it is not running."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_DEADLINE_S)

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace").strip()[-400:] or "it said nothing"

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        return dict(os.environ)


class Mosquitto(_Process):
    """A mosquitto of our own: MQTT 5 and 3.1.1, anonymous, loopback only.

    `persistence` keeps sessions, queues and retained messages in `folder` over an orderly stop. `extra` is appended
    to its configuration file. `port` 0 takes a free one. Raises BrokerMissing.
    """

    name = "mosquitto"

    def __init__(self, folder: Path, *, persistence: bool = False, extra: str = "", port: int = 0) -> None:
        # Debian puts servers where an ordinary user's PATH does not look.
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        if program is None:
            raise BrokerMissing("mosquitto is not installed: sudo apt-get install mosquitto")
        super().__init__(folder, port)
        self._program = program
        self._settings = self.folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} {LOOPBACK}",
            "allow_anonymous true",
            "log_dest stderr",
            # Its default of 1,000 would drop what a sleeping subscriber is owed, acknowledged or not.
            "max_queued_messages 0",
            f"persistence {str(persistence).lower()}",
            f"persistence_location {self.folder.resolve()}/",
        ]
        if os.geteuid() == 0:
            # Else it becomes user "mosquitto", who may not write into our folder.
            lines.append("user root")
        self._settings.write_text("\n".join([*lines, extra]) + "\n")

    def _command(self) -> list[str]:
        return [self._program, "-c", str(self._settings)]


class Amqtt(_Process):
    """An amqtt broker, pure Python: MQTT 3.1.1 only, and forgets everything when it stops.

    Takes `persistence` and `extra` so that both brokers are made alike, and refuses them. Raises BrokerMissing.
    """

    name = "amqtt"
    mqtt = "3.1.1"

    def __init__(self, folder: Path, *, persistence: bool = False, extra: str = "", port: int = 0) -> None:
        if persistence or extra:
            raise ValueError("amqtt keeps nothing on disk and takes no mosquitto settings")
        missing = subprocess.run([sys.executable, "-c", "import amqtt.broker"], capture_output=True, check=False)
        if missing.returncode != 0:
            raise BrokerMissing("amqtt is not installed: pip install 'tidegate[demo]'")
        super().__init__(folder, port)

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "demo.broker", str(self.port)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


def choose(folder: Path, wanted: str = "") -> Mosquitto | Amqtt:
    """The broker that was asked for by name; "" takes mosquitto when it is here, else amqtt. Raises BrokerMissing."""
    if wanted not in ("", Mosquitto.name, Amqtt.name):
        raise BrokerMissing(f"no broker is called {wanted!r}; BROKER is {Mosquitto.name} or {Amqtt.name}")
    if wanted == Amqtt.name:
        return Amqtt(folder)
    try:
        return Mosquitto(folder)
    except BrokerMissing:
        if wanted:
            raise
        return Amqtt(folder)


def _wait(until: Callable[[], bool], deadline_s: float) -> bool:
    """Look until it is so, or the deadline has passed; whether it was so."""
    end = time.monotonic() + deadline_s
    while not until():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_INTERVAL_S)
    return True


async def _serve(port: int) -> None:
    from amqtt.broker import Broker  # type: ignore[import-untyped]  # it ships no types

    stopping = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{LOOPBACK}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await stopping.wait()
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
