"""Asks each driver what is wrong with its devices, and puts each answer where the text stands that it is about."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tidegate.acquire.driver import Driver, NamesFiles
from tidegate.config.devices import Placed
from tidegate.config.problems import Problems
from tidegate.config.quantities import did_you_mean
from tidegate.config.tags import COLUMNS as TAG_COLUMNS
from tidegate.config.tags import TagList
from tidegate.errors import ConfigError, Problem
from tidegate.model.device import Device

ByPlace = Mapping[tuple[str, int | None], Placed]


def ask_drivers(
    placed: Sequence[Placed], drivers: Mapping[str, type[Driver]], broken: Iterable[Problem], problems: Problems
) -> None:
    """Note every problem that the drivers find, and every driver that is not there."""
    by_driver: dict[str, list[Placed]] = {}
    for one in placed:
        by_driver.setdefault(one.device.driver, []).append(one)
    # The registry warns of a driver that can't be used; for who uses it, that is fatal.
    failed = {name: problem for problem in broken if (name := problem.key.split()[-1]) in by_driver}
    for problem in failed.values():
        problems.add(replace(problem, fatal=True))
    for name, devices in by_driver.items():
        if name in drivers:
            _ask(name, drivers[name], devices, problems)
        elif name not in failed:
            for one in devices:
                what, remedy = f"there is no driver {name!r}", did_you_mean(name, sorted(drivers))
                problem = Problem("", one.device.name, what, remedy, one.device.row, "driver")
                problems.add(one.place(problem))


def with_paths(placed: Sequence[Placed], drivers: Mapping[str, type[Driver]], folder: Path) -> list[Placed]:
    """The same devices, with the options that name files made paths; relative ones are named from this folder."""
    return [_with_paths(one, drivers.get(one.device.driver), folder) for one in placed]


def _with_paths(one: Placed, driver: type[Driver] | None, folder: Path) -> Placed:
    options = one.device.options
    if not isinstance(driver, NamesFiles):
        return one
    paths = {name: str(folder / options[name].strip()) for name in driver.files if options.get(name, "").strip()}
    return replace(one, device=replace(one.device, options={**options, **paths})) if paths else one


def _ask(name: str, driver: type[Driver], placed: Sequence[Placed], problems: Problems) -> None:
    found = _check(name, driver, [one.device for one in placed], problems)
    if not found:
        return
    # A name may wrongly stand there twice; the row tells the devices apart.
    by_place = {(one.device.name, one.device.row): one for one in placed}
    of_tags = False
    for problem in found:
        one = _about(problem, by_place)
        if one is None:
            of_tags = True
        elif problem.column not in one.unsure and (problem.fatal or not _of_no_line(problem, one)):
            problems.add(one.place(problem))
    if of_tags:
        _ask_by_table(name, driver, placed, by_place, problems)


def _of_no_line(problem: Problem, one: Placed) -> bool:
    """Whether it is about a setting of a line that only the device's profile has: not every such device is on one."""
    return problem.column is not None and problem.column not in one.own and one.delivered(problem.column)


def _about(problem: Problem, by_place: ByPlace) -> Placed | None:
    """The device that a problem is about; None when it is about a tag. Only a wrong name of a device holds a space."""
    return by_place.get((problem.key, problem.row)) or by_place.get((problem.key.split(" ")[0], problem.row))


def _ask_by_table(
    name: str, driver: type[Driver], placed: Sequence[Placed], by_place: ByPlace, problems: Problems
) -> None:
    """Rows are rows of a table, and a driver does not know which: asked about one table at a time, we do."""
    by_table: dict[int, list[Placed]] = {}
    for one in placed:
        if one.kind is not None:
            by_table.setdefault(id(one.kind), []).append(one)
    for sharing in by_table.values():
        assert sharing[0].kind is not None
        tags = sharing[0].kind.tags
        for problem in _check(name, driver, [one.device for one in sharing], problems):
            if _about(problem, by_place) is None and not _follows(problem, tags):
                problems.add(_place(problem, tags))


def _follows(problem: Problem, tags: TagList) -> bool:
    """Whether it may only follow from a row's unknown type, which has been told."""
    return problem.row in tags.unsure and problem.column != "address"


def _place(problem: Problem, tags: TagList) -> Problem:
    column = problem.column or ""
    default = tags.defaults.get(column)
    if default is not None and column not in tags.own.get(problem.row or 0, frozenset()):
        return default.moved(problem)
    remedy = problem.remedy
    near = did_you_mean(column, TAG_COLUMNS) if column and column not in TAG_COLUMNS else ""
    if near.startswith("Did you mean"):
        remedy = f"{remedy}. {near}"
    return replace(problem, file=tags.file, remedy=remedy)


def _check(name: str, driver: type[Driver], devices: list[Device], problems: Problems) -> list[Problem]:
    try:
        return driver.check(devices)
    except ConfigError as error:
        return list(error.problems)
    except Exception as error:  # A driver is foreign code: what it breaks on is told, and the rest is checked.
        what = f"the driver {name} failed at checking its devices ({type(error).__name__}: {error})"
        problems.fault("", name, what, "Report it to who made the driver; other devices are not affected")
        return []
