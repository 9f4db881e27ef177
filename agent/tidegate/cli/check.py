"""`tidegate check CONFIG`: every problem at once, or what the configuration amounts to."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from tidegate.acquire.driver import Driver
from tidegate.acquire.registry import broken, drivers
from tidegate.cli.main import EXIT_CONFIG
from tidegate.clock import Clock, Trust
from tidegate.config.load import load
from tidegate.config.loaded import Config
from tidegate.config.policy import policy
from tidegate.errors import ConfigError, Problem
from tidegate.plural import counted

# Of one mistake that many rows share so many are printed, and of one kind of mistake in a column; a line says how many
# more there are.
TWINS_MAX = 3
KIN_MAX = 50


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option("--wire", is_flag=True, help="Print for each tag what is read over the wire.")
@click.option("--all", "every", is_flag=True, help="Print also what many rows have in common for each of them.")
def command(config: Path, wire: bool, every: bool) -> None:
    """Check CONFIG and all tables that it names, without connecting to anything. Exit 78 when it can't be used."""
    try:
        loaded = load(config, os.environ)
    except ConfigError as error:
        _echo(_told(error.problems, every))
        fatal = sum(problem.fatal for problem in error.problems)
        click.echo(counted(fatal, "problem"))
        sys.exit(EXIT_CONFIG)
    _echo(_told((*broken(), *loaded.warnings), every))
    if wire:
        _echo(_wire(loaded, drivers()))
    _echo(_summary(loaded))


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _told(problems: Sequence[Problem], every: bool) -> Iterator[str]:
    """A line a problem. What many rows of one column have in common is cut short, unless `every` is wanted."""
    alike: dict[tuple[object, ...], int] = {}
    left_out: dict[tuple[object, ...], list[Problem]] = {}
    for problem in problems:
        kin = (problem.file, problem.fatal, problem.column, problem.remedy)
        twins = (*kin, problem.what)
        for key in (kin, twins):
            alike[key] = alike.get(key, 0) + 1
        if every or not problem.column or (alike[kin] <= KIN_MAX and alike[twins] <= TWINS_MAX):
            yield f"{'' if problem.fatal else 'warning: '}{problem}"
        else:
            left_out.setdefault(kin, []).append(problem)
    for (file, fatal, column, _), rest in left_out.items():
        more = counted(len(rest), "more row")
        kind = "" if fatal else "warning: "
        yield f"{kind}{file} [{column}]: the same in {more}, to row {rest[-1].row}; --all prints them"


def _wire(config: Config, known: Mapping[str, type[Driver]]) -> Iterator[str]:
    """`device tag  holding 0x0000, 2 registers, float32 ABCD` for each tag."""
    for device in config.devices:
        names = [tag.name for tag in device.table.tags]
        width = max(map(len, names), default=0)
        for name, line in zip(names, known[device.driver].describe(device), strict=True):
            yield f"{device.name}  {name:<{width}}  {line}"


def _summary(config: Config) -> Iterator[str]:
    tags = sum(len(device.published.tags) for device in config.devices)
    names = {group.name for device in config.devices for group in device.groups}
    kept = policy(config)
    yield (
        f"{config.gateway}: {counted(len(config.devices), 'device')}, {counted(tags, 'tag')}, "
        f"{counted(len(names), 'group')}, {counted(len(config.targets), 'target')}, "
        f"{_short(kept.readings_s)} readings/s"
    )
    for target in config.targets:
        insecure = ", in the clear" if target.exposed else ""
        yield f"target {target.name}: {target.url}, MQTT {target.mqtt}{insecure}"
    yield str(kept)
    yield _clock(Clock(source=config.clock))
    yield f"state {config.state}, quota {config.buffer.quota_bytes / 1e9:.3g} GB, configuration {config.fingerprint}"


def _clock(clock: Clock) -> str:
    """How well this machine knows the time, which need not be the one that the configuration is for."""
    known, words = clock.trust, clock.words
    return f"{'warning: ' if known is Trust.UNSET else ''}clock of this machine: {known.name.lower()}, {words}"


def _short(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")
