"""Shims: small C libraries that are laid under one process, compiled when a test needs them. They change no product."""

import struct
import subprocess
from pathlib import Path

SOURCES = Path(__file__).parent
COMPILE_DEADLINE_S = 60.0


def compiled(name: str, folder: Path) -> Path:
    """The shared library of `<name>.c`, made in a folder by gcc."""
    library = folder / f"{name}.so"
    source = SOURCES / f"{name}.c"
    command = ["gcc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(command, check=True, timeout=COMPILE_DEADLINE_S)
    return library


class WallClock:
    """The wall clock of processes that run with `environment`: how far off it is, and what the kernel says of it."""

    def __init__(self, folder: Path) -> None:
        self._said = folder / "clock"
        self._said.write_bytes(bytes(16))
        self.environment = {"LD_PRELOAD": str(compiled("clkshim", folder)), "CLK_FILE": str(self._said)}

    def set(self, off_s: float, synchronised: bool) -> None:
        """From now on; written over the old place, which is mapped."""
        with self._said.open("r+b") as file:
            file.write(struct.pack("<qq", round(off_s * 1e9), int(synchronised)))
