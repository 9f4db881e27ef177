"""Tells the service manager how the agent is, by sd_notify(3): one datagram a word. It knows no stage.

Without a manager (`NOTIFY_SOCKET` is not set) it says nothing, and nothing is different.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

# What the manager shows is one line; longer words are cut.
STATUS_CHARS_MAX = 200


class Notifier:
    """The manager's socket, as the environment names it. No call blocks, and none raises: nobody may be listening."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._address = env.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(env)
        self._socket: socket.socket | None = None
        if self._address.startswith(("/", "@")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def ready(self) -> None:
        """All stages run; also after a reload."""
        self._say("READY=1")

    def reloading(self) -> None:
        """A reload has begun; `ready` says that it is over."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The agent is on its way out."""
        self._say("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for people."""
        self._say("STATUS=" + " ".join(text.split())[:STATUS_CHARS_MAX])

    def feed(self) -> None:
        """All is well until the next time this is due (`watchdog_s`)."""
        self._say("WATCHDOG=1")

    def _say(self, words: str) -> None:
        if self._socket is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError):
            self._socket.sendto(words.encode(), address)


def _watchdog_s(env: Mapping[str, str]) -> float | None:
    """How often the manager wants to be fed, in seconds; None when it does not, or means another process."""
    if env.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        usec = int(env.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return usec / 1e6 if usec > 0 else None
