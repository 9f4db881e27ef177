"""Builds the shims of this folder with the machine's compiler, and says how a process is run under one."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent


def build(name: str, folder: Path) -> Path:
    """Compile `<name>.c` into a folder; returns the library. Raises CalledProcessError with gcc's words."""
    library = folder / f"{name}.so"
    command = ["gcc", "-O2", "-Wall", "-shared", "-fPIC", "-o", library, HERE / f"{name}.c", "-ldl", "-lpthread"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return library


def under(library: Path, **variables: object) -> dict[str, str]:
    """The environment of a process that runs under a shim."""
    return {**os.environ, "LD_PRELOAD": str(library), **{name: str(value) for name, value in variables.items()}}
