"""Opens profiles for commands: sets of registers with all their files, checked as the driver would have them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from tidegate.acquire.driver import Driver
from tidegate.acquire.registry import drivers
from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader, SetTags, shown
from tidegate.config.quantities import did_you_mean
from tidegate.errors import ConfigError
from tidegate.model.device import Device
from tidegate.model.tag import Tag, TagTable
from tidegate.profiles.difference import Register, registers
from tidegate.profiles.profile import MODBUS, NoSet, Profile, RegisterSet
from tidegate.profiles.shelf import Shelf, split
from tidegate.profiles.vectors import Vector

DRIVER = MODBUS
# An address of each driver that has profiles; nothing is opened there.
ADDRESSES = {MODBUS: "tcp://127.0.0.1:502", "opcua": "opc.tcp://127.0.0.1:4840"}

from_folder = click.option(
    "--from", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder of vendor/model folders, instead of the shipped ones.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Opened:
    """One set of registers of a profile, read and checked: its tags, options of its devices, vectors."""

    profile: Profile
    set: RegisterSet
    tags: SetTags
    options: dict[str, str]
    vectors: tuple[Vector, ...]
    registers: tuple[Register, ...]


def modbus() -> type[Driver]:
    """The driver of all profiles that have registers. Raises ClickException when it is not installed."""
    return driver_of(MODBUS)


def driver_of(name: str) -> type[Driver]:
    """The driver that reads devices of a profile. Raises ClickException when it is not installed."""
    found = drivers().get(name)
    if found is None:
        raise click.ClickException(f"the driver {name} is not installed: `tidegate doctor` says why")
    return found


def open_profiles(shelf: Shelf) -> list[Profile]:
    """Every profile, without its registers. Raises ConfigError."""
    problems = Problems()
    reader = ProfileReader(shelf, problems)
    return [_profile(shelf, reader, problems, name) for name in shelf.names()]


def open_set(shelf: Shelf, name: str) -> Opened:
    """The set that a name means. Raises ConfigError, and BadParameter where nothing is meant."""
    bare, choice = split(name)
    problems = Problems()
    reader = ProfileReader(shelf, problems)
    profile = _profile(shelf, reader, problems, bare)
    try:
        chosen = profile.choose(choice)
    except NoSet as none:
        raise click.BadParameter(str(none), param_hint=f"{name!r}") from None
    return _read(reader, problems, profile, chosen)


def open_all(shelf: Shelf, name: str) -> list[Opened]:
    """All sets of a profile. Raises ConfigError."""
    problems = Problems()
    reader = ProfileReader(shelf, problems)
    profile = _profile(shelf, reader, problems, name)
    return [_read(reader, problems, profile, one) for one in profile.sets]


def _profile(shelf: Shelf, reader: ProfileReader, problems: Problems, name: str) -> Profile:
    if name not in shelf.names():
        raise click.BadParameter(did_you_mean(name, shelf.names()), param_hint=f"{name!r}")
    profile = reader.profile(name)
    if profile is None:
        raise ConfigError(problems.faults)
    return profile


def _read(reader: ProfileReader, problems: Problems, profile: Profile, one: RegisterSet) -> Opened:
    """One set with all its files, as the driver understands it. Raises ConfigError, for warnings too."""
    tags = reader.tags(profile, one)
    vectors = reader.vectors(profile, one) if profile.driver == MODBUS else ()
    options = {key: default.text for key, default in reader.device(profile).items()}
    found = [*problems.faults, *problems.warnings]
    if not found and tags is not None:
        device = _device(profile, tags.tags.tags, options)
        file, driver = shown(profile.name, one.registers), driver_of(profile.driver)
        found = [replace(problem, file=problem.file or file) for problem in driver.check([device])]
        if not found:
            wires = registers(tags.tags.tags, driver.describe(device))
            return Opened(profile, one, tags, options, vectors, tuple(wires))
    raise ConfigError(found)


def _device(profile: Profile, tags: Sequence[Tag], options: dict[str, str]) -> Device:
    unit, table = profile.bus.unit, TagTable(profile.name, tuple(tags))
    return Device(profile.name, profile.driver, ADDRESSES[profile.driver], unit, table, (), options)
