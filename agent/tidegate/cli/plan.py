"""`tidegate plan CONFIG`: what each bus will be asked, how long that takes, and whether it can hold its intervals."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from tidegate.acquire import capacity
from tidegate.acquire.capacity import Capacity, judge, time
from tidegate.acquire.registry import drivers
from tidegate.config.load import load
from tidegate.config.overload import foresee
from tidegate.config.place import state_folder
from tidegate.health import plain
from tidegate.local import ask
from tidegate.logs import visible
from tidegate.model.busplan import BusPlan, PlannedGroup
from tidegate.plural import counted

EXIT_TOO_MUCH = 1
# Of devices that are read alike so many are named.
NAMED_MAX = 3


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option("--tags", "tagged", is_flag=True, help="Print for each request the tags that are read with it.")
@click.option("--measured", is_flag=True, help="With reads as long as the running gateway sees them take.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def command(config: Path, tagged: bool, measured: bool, as_json: bool) -> None:
    """Print how CONFIG will be read, without connecting to anything: for each bus its requests, with the registers that
    no tag needs, the time on the bus, and whether it can hold the intervals.

    Exit 0 when every bus can, 1 when one can't, 78 when the configuration can't be used.
    """
    loaded = load(config, os.environ)
    known = drivers()
    plans = list(foresee(loaded.devices, known))
    if measured:
        typical_s = _typical_s(config)
        plans = [capacity.measured(plan, typical_s) for plan in plans]
    found = [judge(plan) for plan in plans]
    if as_json:
        told = [_document(plan, one) for plan, one in zip(plans, found, strict=True)]
        click.echo(json.dumps({"holds": all(one.holds for one in found), "buses": told}, ensure_ascii=False))
    else:
        for plan, one in zip(plans, found, strict=True):
            for line in _lines(plan, one, tagged):
                click.echo(line)
        planned = {group.device for plan in plans for group in plan.groups}
        for device in loaded.devices:
            if device.groups and device.name not in planned:
                click.echo(f"{device.name}: the driver {device.driver} has no plan that it could tell")
        click.echo(f"{sum(one.holds for one in found)} of {counted(len(found), 'bus')} can hold what is asked of them")
    sys.exit(0 if all(one.holds for one in found) else EXIT_TOO_MUCH)


def _typical_s(config: Path) -> dict[str, float]:
    """By device how long its reads take, as the gateway that runs with this configuration says. Raises AgentSilent."""
    devices = ask(state_folder(config), "status")["devices"]
    return {device["name"]: device["typical_ms"] / 1000 for device in devices if device["reads"]}


def _lines(plan: BusPlan, found: Capacity, tagged: bool) -> Iterator[str]:
    yield f"bus {visible(plan.bus)}: {plan.words}"
    for alike in _alike(plan.groups):
        group = alike[0]
        names = ", ".join(one.device for one in alike[:NAMED_MAX])
        more = f" and {len(alike) - NAMED_MAX} more" if len(alike) > NAMED_MAX else ""
        each = " each" if len(alike) > 1 else ""
        yield (
            f"  {names}{more}: group {group.group}, every {time(group.interval_s)}: "
            f"{counted(len(group.requests), 'request')}, {time(group.time_s)}, {group.load:.1%} of the time{each}"
        )
        for request in group.requests:
            unit = request.unit if request.size != 1 else request.unit.removesuffix("s")
            yield (
                f"    {request.what:<28}  {request.size:>4} {unit}, {request.wasted} wasted, "
                f"{counted(len(request.tags), 'tag')}, {time(request.time_s)}"
            )
            if tagged:
                yield f"      {', '.join(request.tags)}"
    asked = sum(len(group.requests) for group in plan.groups)
    busy_s = sum(group.time_s for group in plan.groups)
    load = f"{counted(asked, 'request')} and {time(busy_s)} for all groups once; {plan.load:.0%} of its time is taken"
    yield f"  {load}{f' by {plan.lanes} connections' if plan.lanes > 1 else ''}"
    if not found.holds:
        yield f"  {found.what}; do this:"
        yield from (f"    - {remedy}" for remedy in found.remedies)
    yield from (f"  {note}" for note in found.notes)


def _alike(groups: Sequence[PlannedGroup]) -> list[list[PlannedGroup]]:
    """Groups that are read in the same way, each with all others of its kind."""
    kinds: dict[tuple[object, ...], list[PlannedGroup]] = {}
    for group in groups:
        kinds.setdefault((group.group, group.interval_s, group.time_s, group.requests), []).append(group)
    return list(kinds.values())


def _document(plan: BusPlan, found: Capacity) -> dict[str, Any]:
    """The plan as JSON, with the shares that follow from it."""
    document: dict[str, Any] = plain(plan)
    document.pop("remedies")
    for group, of in zip(document["groups"], plan.groups, strict=True):
        group["load"] = of.load
    return {**document, "load": plan.load, **plain(found)}
