"""Chooses between a compiled module and its pure twin, and knows which one runs.

`choose("tidegate.model._frame")` returns `_frame_c` when it is built, else `_frame_py`. A compiled module carries
the hash of the source it was built from: where the source lies beside it and differs, importing fails loudly, since
the edit would silently not run. `TIDEGATE_PURE=1` chooses the pure twins.
"""

import hashlib
import importlib
import os
from pathlib import Path
from types import ModuleType

_chosen: dict[str, str] = {}


class StaleTwin(ImportError):
    """A .pyx was edited and not rebuilt."""


def choose(stem: str) -> ModuleType:
    """The compiled twin `<stem>_c` if it can run, else the pure one `<stem>_py`.

    Raises StaleTwin when the .pyx beside the compiled module is not the one that it was built from.
    """
    if os.environ.get("TIDEGATE_PURE") != "1":
        try:
            module = importlib.import_module(stem + "_c")
        except ModuleNotFoundError as error:
            if error.name != stem + "_c":
                raise
        else:
            refuse_stale(module)
            _chosen[stem] = "compiled"
            return module
    _chosen[stem] = "pure"
    return importlib.import_module(stem + "_py")


def refuse_stale(module: ModuleType) -> None:
    """Raise StaleTwin when the source beside a compiled module has another hash than the one built into it."""
    source = Path(str(module.__file__)).parent / (module.__name__.rpartition(".")[2] + ".pyx")
    if not source.exists():
        return
    found = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    if found != module.source_hash:
        raise StaleTwin(f"{source.name} was edited after it was compiled: run `make build`")


def running() -> dict[str, str]:
    """Which twin runs, for each that was chosen so far: {"tidegate.model._frame": "compiled" | "pure"}."""
    return dict(sorted(_chosen.items()))
