"""`tidegate check CONFIG`: every problem at once, or what the configuration amounts to."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from tidegate.acquire.driver import Driver
from tidegate.acquire.registry import drivers
from tidegate.cli.main import EXIT_CONFIG
from tidegate.config.load import Config, load
from tidegate.errors import ConfigError, Problem

# Of one mistake that many rows share, so many are printed; a line says how many more there are.
REPEATS_MAX = 3


@click.command()
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--wire", is_flag=True, help="Print for each tag what is read over the wire.")
def command(config: Path, wire: bool) -> None:
    """Check CONFIG and all tables that it names, without connecting to anything. Exit 78 when it can't be used."""
    try:
        loaded = load(config, os.environ)
    except ConfigError as error:
        _echo(_told(error.problems))
        fatal = sum(problem.fatal for problem in error.problems)
        click.echo(_counted(fatal, "problem"))
        sys.exit(EXIT_CONFIG)
    _echo(_told(loaded.warnings))
    if wire:
        _echo(_wire(loaded, drivers()))
    _echo(_summary(loaded))


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _told(problems: Sequence[Problem]) -> Iterator[str]:
    """A line a problem; what is wrong in the same way in many rows of a column is cut short."""
    alike: dict[tuple[object, ...], list[Problem]] = {}
    for problem in problems:
        same = (problem.column, problem.what, problem.remedy) if problem.column else (problem.row, problem.key, problem)
        alike.setdefault((problem.file, problem.fatal, *same), []).append(problem)
    for group in alike.values():
        kind = "" if group[0].fatal else "warning: "
        for problem in group[:REPEATS_MAX]:
            yield f"{kind}{problem}"
        if len(group) > REPEATS_MAX:
            more = _counted(len(group) - REPEATS_MAX, "more row")
            yield f"{kind}{group[0].file} [{group[0].column}]: the same in {more}, to row {group[-1].row}"


def _wire(config: Config, known: Mapping[str, type[Driver]]) -> Iterator[str]:
    """`device tag  holding 0x0000, 2 registers, float32 ABCD` for each tag."""
    for device in config.devices:
        names = [tag.name for tag in device.table.tags]
        width = max(map(len, names), default=0)
        for name, line in zip(names, known[device.driver].describe(device), strict=True):
            yield f"{device.name}  {name:<{width}}  {line}"


def _summary(config: Config) -> Iterator[str]:
    tags = sum(len(device.table.tags) for device in config.devices)
    names = {group.name for device in config.devices for group in device.groups}
    rate = sum(len(group.tags) / group.interval_s for device in config.devices for group in device.groups)
    yield (
        f"{config.gateway}: {_counted(len(config.devices), 'device')}, {_counted(tags, 'tag')}, "
        f"{_counted(len(names), 'group')}, {_counted(len(config.targets), 'target')}, {_short(rate)} readings/s"
    )
    for target in config.targets:
        insecure = ", in the clear" if target.exposed else ""
        yield f"target {target.name}: {target.url}, MQTT {target.mqtt}{insecure}"
    yield f"state {config.state}, quota {config.buffer.quota_bytes / 1e9:g} GB, configuration {config.fingerprint}"


def _short(number: float) -> str:
    return f"{number:,.1f}".removesuffix(".0")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
