"""Ballast: a mebibyte kept on the disk for the day it is full, given up so that a removal can still be committed."""

import os
from pathlib import Path

from tidegate.buffer.segment import sync_folder

FILE = "ballast"
BALLAST_BYTES = 1 << 20
# It is laid again only where it leaves as much again for the next commits.
FREE_BYTES_MIN = 2 * BALLAST_BYTES


def lay(folder: Path) -> bool:
    """Lay it down where it is missing and the disk has room; whether it lies. Raises OSError when the disk fails."""
    path = folder / FILE
    found = os.statvfs(folder)
    if path.exists() and path.stat().st_size == BALLAST_BYTES:
        return True
    if found.f_bavail * found.f_frsize < FREE_BYTES_MIN:
        return False
    with open(path, "wb") as file:
        # Written, not only claimed: some file systems keep no promise that was never written.
        file.write(bytes(BALLAST_BYTES))
        file.flush()
        os.fsync(file.fileno())
    return True


def drop(folder: Path) -> None:
    """Give it up."""
    (folder / FILE).unlink(missing_ok=True)
    sync_folder(folder)
