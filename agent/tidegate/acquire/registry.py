"""The registry of drivers: found as entry points, none known by name.

An entry point that fails to import, or speaks another contract, is reported and does not stop the rest.
"""

from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from tidegate.acquire.driver import DRIVER_CONTRACT, ENTRY_POINTS, Driver
from tidegate.errors import Problem


class Registry:
    """The drivers among some entry points. `drivers` by name; `problems` says which could not be used, and why."""

    def __init__(self, points: Iterable[EntryPoint]) -> None:
        self.drivers: dict[str, type[Driver]] = {}
        self.problems: list[Problem] = []
        by_name: dict[str, list[EntryPoint]] = {}
        for point in points:
            by_name.setdefault(point.name, []).append(point)
        for name, claims in sorted(by_name.items()):
            if len({claim.value for claim in claims}) > 1:
                owners = " and ".join(sorted(claim.value for claim in claims))
                self._report(name, f"is claimed by {owners}", "Uninstall one of them: neither is used")
                continue
            self._load(claims[0])

    def _load(self, point: EntryPoint) -> None:
        try:
            found = point.load()
        except Exception as error:  # whatever a foreign module raises, the other drivers go on
            self._report(point.name, f"failed to import ({error!r})", f"Reinstall the package of {point.value}")
            return
        contract = getattr(found, "contract", None)
        if contract != DRIVER_CONTRACT:
            what = f"speaks contract {contract}, this build speaks {DRIVER_CONTRACT}"
            self._report(point.name, what, f"Install a version of {point.value} for this Tidegate")
            return
        self.drivers[point.name] = found

    def _report(self, name: str, what: str, remedy: str) -> None:
        key = f"{ENTRY_POINTS} {name}"
        self.problems.append(Problem("entry points", key, f"the driver {what}", remedy, fatal=False))


@cache
def _installed() -> Registry:
    return Registry(entry_points(group=ENTRY_POINTS))


def drivers() -> dict[str, type[Driver]]:
    """The drivers that are installed and usable, by name."""
    return _installed().drivers


def broken() -> tuple[Problem, ...]:
    """What is wrong with those that are not usable."""
    return tuple(_installed().problems)
