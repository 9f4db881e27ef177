"""A disk whose writes are counted: an ext4 of its own on a loop device, or else what the process hands over."""

import ctypes
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

IMAGE_BYTES = 4 << 30
SECTOR_BYTES = 512
PREFIX = "tidegate-wear-"
# What Linux does by time: ext4 commits its journal, and the flusher writes what has been dirty for long.
JOURNAL_S, FLUSH_S = 5.0, 30.0


class Counter(Protocol):
    """Counts what reaches a disk."""

    where: str
    folder: Path

    def written(self) -> int:
        """Bytes until now."""

    def second(self, now_s: float) -> None:
        """A second has passed: what the file system does by time."""

    def flush(self) -> None:
        """All that is dirty is written."""


class Device:
    """A file system of its own on a loop device."""

    where = "at the block device, with ext4's journal"

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self._stat = Path("/sys/block") / name / "stat"
        self._info = next(Path("/proc/fs/jbd2").glob(f"{name}-*")) / "info"
        self._transactions = 0
        self._changes: dict[Path, int] = {}
        self._changed_s: float | None = None
        self._syncfs = ctypes.CDLL(None, use_errno=True).syncfs

    def written(self) -> int:
        """Sectors written, as bytes."""
        return int(self._stat.read_text().split()[6]) * SECTOR_BYTES

    def second(self, now_s: float) -> None:
        """Ext4 commits its journal so long after the first change since the last time, at a whole second.

        A change that was synced because its file grew is in it already: then there is one transaction more.
        """
        transactions = int(self._info.read_text().split()[0])
        changes = {path: path.stat().st_mtime_ns for path in self.folder.rglob("*-wal")}
        if transactions != self._transactions:
            self._changed_s = None
        elif changes != self._changes and self._changed_s is None:
            self._changed_s = now_s
        self._transactions, self._changes = transactions, changes
        if self._changed_s is not None and now_s - self._changed_s >= JOURNAL_S:
            self._changed_s = None
            for path in changes:
                self._synced(path, os.fsync)
            self._transactions = int(self._info.read_text().split()[0])

    def flush(self) -> None:
        """The whole file system."""
        self._synced(self.folder, self._syncfs)

    def _synced(self, path: Path, sync: Callable[[int], object]) -> None:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            sync(descriptor)
        finally:
            os.close(descriptor)


class Process:
    """What this process hands to the disk, without what the file system adds to it."""

    where = "by the process alone, WITHOUT the file system's journal: nothing can be mounted here"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def written(self) -> int:
        """As the kernel accounts it."""
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))

    def second(self, now_s: float) -> None:
        """Nothing to do."""

    def flush(self) -> None:
        """Nothing to do."""


@contextmanager
def disk() -> Iterator[Counter]:
    """A disk to write to; a file system of its own where that can be had."""
    _clear()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}-", dir=_memory()) as place:
        folder = Path(place)
        name = _mount(folder)
        if name is None:
            yield Process(folder)
            return
        try:
            yield Device(folder / "disk", name)
        finally:
            subprocess.run(["umount", folder / "disk"], check=True)


def _clear() -> None:
    """What a run left that was killed: its file system is still mounted."""
    for place in Path(_memory() or tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        pid = place.name.removeprefix(PREFIX).split("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists():
            subprocess.run(["umount", place / "disk"], check=False, capture_output=True)
            shutil.rmtree(place, ignore_errors=True)


def _memory() -> str | None:
    """Where the image lies: in memory, so that the real disk is spared."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) and os.geteuid() == 0 else None


def _mount(folder: Path) -> str | None:
    """Make an ext4 and mount it; the name of its block device, or None where this is not allowed."""
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    # Nothing is left for the kernel to initialise meanwhile.
    make = ["mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image]
    try:
        for command in (make, ["mount", "-o", "loop,noatime", image, disk]):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    mounted = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return next(Path(words[words.index("-") + 2]).name for words in mounted if words[4] == str(disk))
