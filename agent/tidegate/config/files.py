"""Reads the files that a configuration is made of, and remembers what was read. It understands none of them."""

import hashlib
import os
import pwd
import stat
from pathlib import Path

from tidegate.config.quantities import Unfit

FILE_BYTES_MAX = 64 * 1024 * 1024


class Files:
    """The files of one configuration; names are relative to the folder of the TOML file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, bytes] = {}

    def read(self, name: str) -> bytes:
        """The bytes of a file, read once. Raises Unfit when it can't be read."""
        if name not in self._read:
            self._read[name] = read_bounded(self.folder / name)
        return self._read[name]

    def shown(self, name: str) -> str:
        """The path as problems print it: as the command was given it, so that it can be opened from there."""
        return str(self.folder / name)

    def note(self, name: str, data: bytes) -> None:
        """Count bytes that came from elsewhere (a shipped profile) into the fingerprint."""
        self._read[name] = data

    def fingerprint(self) -> str:
        """16 hex digits over the names and bytes of all files that were read; the folder does not count."""
        digest = hashlib.sha256(b"tidegate configuration 1")
        for name, data in sorted(self._read.items()):
            for part in (name.encode(), data):
                digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()[:16]


def read_bounded(path: Path) -> bytes:
    """The bytes of a regular file up to FILE_BYTES_MAX. Raises Unfit."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise Unfit(f"{path} is not a file", "Correct the path")
        if found.st_size > FILE_BYTES_MAX:
            raise Unfit(f"{path} is larger than {FILE_BYTES_MAX:,} bytes", "Split it into several files")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise Unfit(f"{path} does not exist", "Correct the path, or make the file") from None
    except PermissionError:
        how = f"Run this as the gateway's user, or let {user_name()} read it"
        raise Unfit(f"{path} may not be read by the user {user_name()}", how) from None
    except OSError as error:
        raise Unfit(f"{path} can't be read: {error.strerror}", "Check its owner and mode") from None


def user_name() -> str:
    """Who this process runs as; the number where the system knows no name for it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
