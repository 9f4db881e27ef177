"""Ballast: a mebibyte kept on the disk for the day it is full, given up so that a removal can still be committed."""

import os
from pathlib import Path

from tidegate.buffer.segment import sync_folder

FILE = "ballast"
BALLAST_BYTES = 1 << 20
# It is laid again only where it leaves room for what the next commits need.
FREE_BYTES_MIN = 8 << 20


def lay(folder: Path) -> None:
    """Lay it down where it is missing and the disk has room. Raises OSError when the disk fails."""
    path = folder / FILE
    found = os.statvfs(folder)
    if path.exists() or found.f_bavail * found.f_frsize < FREE_BYTES_MIN:
        return
    with open(path, "wb") as file:
        # Written, not only claimed: some file systems keep no promise that was never written.
        file.write(bytes(BALLAST_BYTES))
        file.flush()
        os.fsync(file.fileno())


def drop(folder: Path) -> None:
    """Give it up."""
    (folder / FILE).unlink(missing_ok=True)
    sync_folder(folder)
