"""`tidegate profile list|show|diff|test`: what the shipped device profiles say, and whether they are read rightly."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from tidegate import twins
from tidegate.acquire.driver import Driver
from tidegate.acquire.registry import drivers
from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader, SetTags, shown
from tidegate.config.quantities import did_you_mean
from tidegate.errors import ConfigError
from tidegate.model.device import Device
from tidegate.model.tag import Tag, TagTable
from tidegate.profiles import trial
from tidegate.profiles.difference import Register, differences, registers
from tidegate.profiles.identity import Step
from tidegate.profiles.profile import NoSet, Profile, RegisterSet, describe
from tidegate.profiles.shelf import Shelf, split
from tidegate.profiles.vectors import Vector, untried

DRIVER = "modbus"
EXIT_DIFFERENT = 1
EXIT_WRONG = 1
MISSES_SHOWN_MAX = 20

_FOLDER = click.option(
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


@click.group()
def command() -> None:
    """Look into the device profiles, and try them.

    NAME is vendor/model, and vendor/model@FIRMWARE (or @SET) where a profile has several sets of registers.
    """


@command.command("list")
@_FOLDER
def list_(folder: Path | None) -> None:
    """One line a set of registers: its name, for which firmware, how many tags, how sure it is."""
    shelf = Shelf(folder)
    rows = []
    for name in shelf.names():
        for one in _open_all(shelf, name):
            chosen = name if len(one.profile.sets) == 1 else f"{name}@{one.set.name}"
            known = "yes" if one.profile.identity else "no"
            rows.append((chosen, describe(one.set), f"{len(one.tags.tags.tags)}", known, one.profile.evidence.value))
    _table(("profile", "for", "tags", "identified", "evidence"), rows)
    click.echo(f"{len(shelf.names())} profiles, {len(rows)} sets of registers")


@command.command()
@click.argument("name")
@_FOLDER
def show(name: str, folder: Path | None) -> None:
    """Everything that a profile says: identity, bus, sources, and each register as it goes over the wire."""
    opened = _open(Shelf(folder), name)
    profile = opened.profile
    click.echo(f"{profile.name}  {profile.vendor} {profile.model}: {profile.description}")
    if profile.aliases:
        click.echo(f"also for    {', '.join(profile.aliases)}")
    click.echo(f"evidence    {profile.evidence.value}")
    for one in profile.sets:
        click.echo(f"set         {'*' if one is opened.set else ' '} {one.name}: {describe(one)}  {one.note}".rstrip())
    for source in profile.sources:
        revision = f", {source.revision}" if source.revision else ""
        click.echo(f"source      {source.id}: {source.document}{revision}; {source.place}")
    for number, step in enumerate(profile.identity, 1):
        click.echo(f"identity    {number}. {_step(step)}")
    for line in _bus(opened):
        click.echo(f"bus         {line}")
    click.echo("")
    sources, tags = opened.tags.sources, opened.tags.tags.tags
    rows = [
        (r.tag, r.wire, r.scale and f"x {r.scale}", r.unit, " ".join(sources.get(r.tag, ())), tag.description)
        for r, tag in zip(opened.registers, tags, strict=True)
    ]
    _table(("tag", "on the wire", "scale", "unit", "source", "description"), rows)


@command.command()
@click.argument("one", metavar="NAME")
@click.argument("other", metavar="OTHER")
@_FOLDER
def diff(one: str, other: str, folder: Path | None) -> None:
    """What two profiles, or two sets of one, read otherwise. Exit 1 when there is anything, 0 when there is nothing."""
    shelf = Shelf(folder)
    first, second = _open(shelf, one), _open(shelf, other)
    found = differences(first.registers, second.registers)
    for difference in found:
        click.echo(difference.tag)
        click.echo(f"  {one:<{max(len(one), len(other))}}  {difference.one or 'not there'}")
        click.echo(f"  {other:<{max(len(one), len(other))}}  {difference.other or 'not there'}")
    common = len({r.tag for r in first.registers} & {r.tag for r in second.registers})
    both = sum(d.one is not None and d.other is not None for d in found)
    click.echo(f"{common} tags in both, {both} of them differ; {len(found) - both} in one only")
    sys.exit(EXIT_DIFFERENT if found else 0)


@command.command()
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every profile.")
@_FOLDER
def test(names: tuple[str, ...], every: bool, folder: Path | None) -> None:
    """Read the golden vectors of profiles through the driver, against a simulated device on loopback.

    Exit 0 when every profile can be used, every tag has a vector, and every vector is read as it must be.
    """
    if every == bool(names):
        raise click.UsageError("name profiles, or give --all")
    shelf = Shelf(folder)
    sets = tags = vectors = wrong = bare = broken = 0
    tried = shelf.names() if every else names
    for name in tried:
        try:
            opened = [_open(shelf, name)] if split(name)[1] else _open_all(shelf, name)
        except ConfigError as error:
            click.echo(f"FAIL  {name}: it can't be used")
            _echo_some([str(problem) for problem in error.problems])
            broken += 1
            continue
        for one in opened:
            misses = asyncio.run(_try(one))
            without = untried(one.tags.tags.tags, one.vectors)
            _echo_set(one, misses, without)
            sets, tags, vectors = sets + 1, tags + len(one.tags.tags.tags), vectors + len(one.vectors)
            wrong, bare = wrong + len(misses), bare + len(without)
    click.echo(f"decoder: {twins.running().get('tidegate_drivers.modbus._codec', 'of the driver')}")
    _claim(not broken, f"{len(tried)} profiles, {broken} that can't be used (limit 0)")
    _claim(not bare, f"{sets} sets of registers with {tags} tags, {bare} of them without a vector (limit 0)")
    _claim(not wrong, f"{vectors} vectors, {wrong} read wrongly (limit 0)")
    sys.exit(EXIT_WRONG if broken or bare or wrong else 0)


async def _try(one: Opened) -> list[trial.Miss]:
    return await trial.run(_driver(), one.tags.tags.tags, one.options, one.profile.bus, one.vectors)


def _echo_set(one: Opened, misses: Sequence[trial.Miss], without: Sequence[str]) -> None:
    name = f"{one.profile.name}@{one.set.name}"
    found = "FAIL" if misses or without else "ok"
    click.echo(f"{found:<4}  {name}: {len(one.tags.tags.tags)} tags, {len(one.vectors)} vectors, {len(misses)} wrong")
    _echo_some([f"{tag} has no vector" for tag in without])
    _echo_some([f"row {m.vector.row} {m.vector.tag}: {m.what}" for m in misses])


def _echo_some(lines: Sequence[str]) -> None:
    for line in lines[:MISSES_SHOWN_MAX]:
        click.echo(f"      {line}")
    if len(lines) > MISSES_SHOWN_MAX:
        click.echo(f"      and {len(lines) - MISSES_SHOWN_MAX} more")


def _claim(holds: bool, what: str) -> None:
    click.echo(f"{'ok' if holds else 'FAIL':<4}  {what}")


def _driver() -> type[Driver]:
    found = drivers().get(DRIVER)
    if found is None:
        raise click.ClickException(f"the driver {DRIVER} is not installed: `tidegate doctor` says why")
    return found


def _open(shelf: Shelf, name: str) -> Opened:
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


def _open_all(shelf: Shelf, name: str) -> list[Opened]:
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
    tags, vectors = reader.tags(profile, one), reader.vectors(profile, one)
    options = {key: default.text for key, default in reader.device(profile).items()}
    found = [*problems.faults, *problems.warnings]
    if not found and tags is not None:
        device = _device(profile, tags.tags.tags, options)
        file = shown(profile.name, one.registers)
        found = [replace(problem, file=problem.file or file) for problem in _driver().check([device])]
        if not found:
            wires = registers(tags.tags.tags, _driver().describe(device))
            return Opened(profile, one, tags, options, vectors, tuple(wires))
    raise ConfigError(found)


def _device(profile: Profile, tags: Sequence[Tag], options: dict[str, str]) -> Device:
    unit = profile.bus.unit
    return Device(profile.name, DRIVER, "tcp://127.0.0.1:502", unit, TagTable(profile.name, tuple(tags)), (), options)


def _step(step: Step) -> str:
    place = f" {step.place}" if step.place else ""
    wanted = "; ".join(f"{one.field} is {' or '.join(one.patterns)}" for one in step.wanted)
    firmware = f"; firmware at {step.firmware}" if step.firmware else ""
    return f"{step.ask.value}{place}: {wanted}{firmware}"


def _bus(opened: Opened) -> list[str]:
    """What is known of the device's line, in words."""
    bus = opened.profile.bus
    said = [
        f"unit {bus.unit}" if bus.unit is not None else "",
        f"{bus.baud} baud" if bus.baud is not None else "",
        f"parity {bus.parity}" if bus.parity is not None else "",
        "even addresses and counts only" if bus.even_only else "",
        f"{bus.pause_s:g} s between requests" if bus.pause_s is not None else "",
        f"{bus.connect_pause_s:g} s after connecting" if bus.connect_pause_s is not None else "",
        *(f"{key} = {text}" for key, text in opened.options.items()),
    ]
    return [", ".join(part for part in said if part)] if any(said) else []


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    for row in [titles, *rows]:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
