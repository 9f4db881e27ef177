"""Faulty: steers faults.c, which makes the disk under one process fail. It knows no buffer."""

import mmap
from enum import IntEnum
from pathlib import Path
from struct import pack_into, unpack_from

BY_BYTES = 32


class Fault(IntEnum):
    """What fails; the modes of faults.c."""

    SYNC_EIO = 1
    WRITE_ENOSPC = 2
    WRITE_EIO = 3
    WRITE_SHORT = 4
    READ_EIO = 5
    SYNC_ENOSPC = 6
    READ_ONLY = 7

    @property
    def words(self) -> str:
        """As a person says it."""
        return self.name.replace("_", " ").lower().replace("eio", "EIO").replace("enospc", "ENOSPC")


class FaultyDisk:
    """The mapped file through which faults.c is steered; made when it is not there."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(BY_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), BY_BYTES)

    def fail(self, fault: Fault, number: int, calls: int = 0) -> None:
        """From the number-th call on `calls` calls fail (0: all), until `work`."""
        self.work()
        pack_into("<iiiii", self._map, 0, 0, number - 1, 0, 0, calls)
        pack_into("<i", self._map, 0, fault)

    @property
    def failed(self) -> int:
        """How many calls have failed."""
        return int(unpack_from("<i", self._map, 12)[0])

    @property
    def seen(self) -> int:
        """How many calls of the kind there were."""
        return int(unpack_from("<i", self._map, 8)[0])

    def work(self) -> None:
        """Nothing fails any more."""
        pack_into("<i", self._map, 0, 0)
