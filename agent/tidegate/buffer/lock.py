"""The lock of a state folder: one process at a time. The kernel lets go of it when the process dies, in any way."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from tidegate.errors import BufferLocked

FILE = "lock"
PID_BYTES_MAX = 20


def take(folder: Path) -> int:
    """Hold the folder until the returned descriptor is closed. Raises BufferLocked."""
    descriptor = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(descriptor)
        os.close(descriptor)
        raise BufferLocked(
            f"{folder}: held by another process (pid {holder}): stop it, or ask it with `tidegate status`"
        ) from None
    # The number is for people: a disk that is full or read-only must not keep the gateway from trying.
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _holder(descriptor: int) -> str:
    with suppress(OSError):
        return os.pread(descriptor, PID_BYTES_MAX, 0).decode("ascii", "replace").strip() or "unknown"
    return "unknown"
