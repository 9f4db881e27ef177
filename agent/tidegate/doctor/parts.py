"""Which twin runs of every hot path, of the agent and of the drivers that are installed, and on which event loop."""

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from tidegate import loop, twins
from tidegate.doctor.finding import Finding, fault, ok, warning

PURE = "_py.py"


def examine_twins(packages: Iterable[str]) -> Iterator[Finding]:
    """Packages are names such as `tidegate`; their twins lie anywhere below."""
    compiled: list[str] = []
    pure: list[str] = []
    for stem in sorted({stem for package in packages for stem in _stems(package)}):
        try:
            twins.choose(stem)
        except ImportError as error:
            yield fault("twins", f"{stem}: {error}", "Build it: make build, or install the wheel again")
            continue
        (compiled if twins.running()[stem] == "compiled" else pure).append(stem)
    if pure:
        names = ", ".join(stem.rpartition(".")[2] for stem in pure)
        how = "Install a wheel for this machine and Python, or gcc and python3-dev, then install again"
        yield warning("twins", f"{len(pure)} of {len(pure) + len(compiled)} run as pure Python, slower: {names}", how)
    elif compiled:
        yield ok("twins", f"all {len(compiled)} run compiled")


def examine_loop() -> Iterator[Finding]:
    """Both loops do; on 32-bit ARM there is no wheel for the faster one."""
    if loop.name() == "uvloop":
        yield ok("event loop", "uvloop")
    else:
        how = "Where it has a wheel (x86-64, 64-bit ARM): pip install uvloop"
        yield warning("event loop", "asyncio's own, slower: uvloop is not there", how)


def _stems(package: str) -> Iterator[str]:
    """`tidegate.model._frame` for each pure twin below a package."""
    for root in importlib.import_module(package).__path__:
        for path in Path(root).rglob(f"_*{PURE}"):
            below = path.relative_to(root)
            yield ".".join((package, *below.parts[:-1], below.name.removesuffix(PURE)))
