"""`tidegate profile`: what the shipped device profiles say, and whether their golden vectors are read rightly."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from tidegate import twins
from tidegate.cli.accept import accept
from tidegate.cli.opened import Opened, from_folder, modbus, open_all, open_set
from tidegate.cli.profile_wire import identify, simulate
from tidegate.errors import ConfigError
from tidegate.model.tag import Tag
from tidegate.plural import counted
from tidegate.profiles import nameplates, trial
from tidegate.profiles.difference import differences
from tidegate.profiles.identity import Step
from tidegate.profiles.profile import MODBUS, Profile, describe
from tidegate.profiles.shelf import Shelf, split
from tidegate.profiles.vectors import untried

EXIT_DIFFERENT = 1
EXIT_WRONG = 1
MISSES_SHOWN_MAX = 20


@click.group()
def command() -> None:
    """Look into the device profiles, and try them.

    NAME is vendor/model, and vendor/model@FIRMWARE (or @SET) where a profile has several sets of registers.
    """


command.add_command(accept)
command.add_command(identify)
command.add_command(simulate)


@command.command("list")
@from_folder
def list_(folder: Path | None) -> None:
    """One line a set of registers: its name, for which firmware, how many tags, how sure it is."""
    shelf = Shelf(folder)
    rows = []
    for name in shelf.names():
        for one in open_all(shelf, name):
            chosen = name if len(one.profile.sets) == 1 else f"{name}@{one.set.name}"
            known = "yes" if one.profile.identity else "no"
            rows.append((chosen, describe(one.set), f"{len(one.tags.tags.tags)}", known, one.profile.evidence.value))
    _table(("profile", "for", "tags", "identified", "evidence"), rows)
    click.echo(f"{counted(len(shelf.names()), 'profile')}, {_sets(len(rows))} of registers")


@command.command()
@click.argument("name")
@from_folder
def show(name: str, folder: Path | None) -> None:
    """Everything that a profile says: identity, bus, sources, and each register as it goes over the wire."""
    opened = open_set(Shelf(folder), name)
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
        (r.tag, r.wire, r.scale and f"x {r.scale}", r.unit, " ".join(sources.get(r.tag, ())), _described(tag))
        for r, tag in zip(opened.registers, tags, strict=True)
    ]
    _table(("tag", "on the wire", "scale", "unit", "source", "description"), rows)


@command.command()
@click.argument("one", metavar="NAME")
@click.argument("other", metavar="OTHER")
@from_folder
def diff(one: str, other: str, folder: Path | None) -> None:
    """What two profiles, or two sets of one, read otherwise. Exit 1 when there is anything, 0 when there is nothing."""
    shelf = Shelf(folder)
    first, second = open_set(shelf, one), open_set(shelf, other)
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
@from_folder
def test(names: tuple[str, ...], every: bool, folder: Path | None) -> None:
    """Read the golden vectors of profiles through the driver, against a simulated device on loopback.

    Exit 0 when every profile can be used, every tag has a vector, every vector is read as it must be, and every device
    that has an identity is found by it, and locked when its firmware is another.
    """
    if every == bool(names):
        raise click.UsageError("name profiles, or give --all")
    shelf = Shelf(folder)
    tried = shelf.names() if every else list(names)
    if not tried:
        raise click.ClickException(f"there is no profile in {folder}: it has to be a folder of vendor/model folders")
    sets, broken = _open_some(shelf, tried)
    profiles = list({one.profile.name: one.profile for one in sets}.values())
    tags = sum(len(one.tags.tags.tags) for one in sets)
    wrong = bare = unknown = loose = 0
    for one in sets:
        misses, without, lost, slack = _tried(one, profiles)
        _echo_set(one, misses, without, [fault for fault in (lost, slack) if fault])
        wrong, bare, unknown = wrong + len(misses), bare + len(without), unknown + bool(lost)
        loose += bool(slack)
    asked = sum(bool(one.profile.identity) for one in sets)
    click.echo(f"decoder: {twins.running().get('tidegate_drivers.modbus._codec', 'of the driver')}")
    _claim(not broken, f"{counted(len(tried), 'profile')}, {broken} that can't be used (limit 0)")
    held = f"{_sets(len(sets))} of registers with {counted(tags, 'tag')}"
    _claim(not bare, f"{held}, {bare} of them without a vector (limit 0)")
    _claim(not unknown, f"{_sets(asked)} with an identity, {unknown} whose own device is not found (limit 0)")
    _claim(not loose, f"{_sets(asked)} with an identity, {loose} that another firmware does not lock (limit 0)")
    _claim(not wrong, f"{counted(sum(len(one.vectors) for one in sets), 'vector')}, {wrong} read wrongly (limit 0)")
    sys.exit(EXIT_WRONG if broken or bare or unknown or loose or wrong else 0)


def _open_some(shelf: Shelf, names: Sequence[str]) -> tuple[list[Opened], int]:
    """All sets that these names mean, and how many of the names can't be used, which are told."""
    sets, broken = [], 0
    for name in names:
        try:
            sets += [open_set(shelf, name)] if split(name)[1] else open_all(shelf, name)
        except ConfigError as error:
            click.echo(f"FAIL  {name}: it can't be used")
            _echo_some([str(problem) for problem in error.problems])
            broken += 1
    return sets, broken


def _tried(one: Opened, profiles: Sequence[Profile]) -> tuple[list[trial.Miss], Sequence[str], str, str]:
    """What is read wrongly, tags without a vector, why it is not recognised, and why it is not locked.

    What has no registers is asked who it is, and no more.
    """
    profile, chosen = one.profile, one.set
    if profile.driver != MODBUS:
        lost, slack = asyncio.run(nameplates.tried(profiles, profile, chosen))
        return [], [], lost, slack
    misses = asyncio.run(trial.run(modbus(), one.tags.tags.tags, one.options, profile.bus, one.vectors))
    lost = asyncio.run(trial.recognised(modbus(), profiles, profile, chosen, one.vectors))
    slack = asyncio.run(trial.locked(modbus(), profile, chosen, one.vectors))
    return misses, untried(one.tags.tags.tags, one.vectors), lost, slack


def _echo_set(one: Opened, misses: Sequence[trial.Miss], without: Sequence[str], lost: Sequence[str]) -> None:
    name = f"{one.profile.name}@{one.set.name}"
    found = "FAIL" if misses or without or lost else "ok"
    tags, vectors = counted(len(one.tags.tags.tags), "tag"), counted(len(one.vectors), "vector")
    click.echo(f"{found:<4}  {name}: {tags}, {vectors}, {len(misses)} wrong")
    _echo_some([f"{tag} has no vector" for tag in without] + list(lost))
    _echo_some([f"row {m.vector.row} {m.vector.tag}: {m.what}" for m in misses])


def _echo_some(lines: Sequence[str]) -> None:
    for line in lines[:MISSES_SHOWN_MAX]:
        click.echo(f"      {line}")
    if len(lines) > MISSES_SHOWN_MAX:
        click.echo(f"      and {len(lines) - MISSES_SHOWN_MAX} more")


def _claim(holds: bool, what: str) -> None:
    click.echo(f"{'ok' if holds else 'FAIL':<4}  {what}")


def _sets(number: int) -> str:
    return counted(number, "set")


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


def _described(tag: Tag) -> str:
    """A tag in words, with the names of its values or bits."""
    return ": ".join(part for part in (tag.description, str(tag.names)) if part)


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[i]) for row in [titles, *rows]) for i in range(len(titles))]
    for row in [titles, *rows]:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
