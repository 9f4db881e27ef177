"""A service manager's end of sd_notify(3): a datagram socket that keeps what it is told."""

import os
import socket
import time
from pathlib import Path

LOOK_S = 0.02


class Manager:
    """Listens in a folder; `environment` is what systemd would set for `watchdog_s`."""

    def __init__(self, folder: Path, watchdog_s: float | None = None) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        path = str(folder / "notify")
        self._socket.bind(path)
        self.environment = {"NOTIFY_SOCKET": path}
        if watchdog_s is not None:
            self.environment["WATCHDOG_USEC"] = str(round(watchdog_s * 1e6))
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        """All that was said so far, oldest first."""
        while True:
            try:
                self.heard.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.heard

    def wait_for(self, word: str, deadline_s: float, count: int = 1) -> None:
        """Wait until what begins with `word` was said so often."""
        until_s = time.monotonic() + deadline_s
        while sum(said.startswith(word) for said in self.listen()) < count:
            assert time.monotonic() < until_s, f"{word} was not said {count} times within {deadline_s} s: {self.heard}"
            time.sleep(LOOK_S)

    def close(self) -> None:
        self._socket.close()


def for_us(environment: dict[str, str]) -> dict[str, str]:
    """The environment of a manager that means this process."""
    return {**environment, "WATCHDOG_PID": str(os.getpid())}
