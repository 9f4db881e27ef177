"""`tidegate read CONFIG [DEVICE [ADDRESS|TAG]] [--all]`: asks machines once, and says what they answered."""

import asyncio
import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import click

from tidegate.acquire.lock import Lock
from tidegate.acquire.once import Answer, Taken, read_once
from tidegate.acquire.registry import drivers
from tidegate.cli.acceptance import BadTag, Page, Row, lines, plain
from tidegate.clock import Clock
from tidegate.config.load import load
from tidegate.config.loaded import Config
from tidegate.config.quantities import did_you_mean
from tidegate.errors import ConfigError, DriverError, InvalidReply, NoAnswer, NotConnected, Refused
from tidegate.logs import visible
from tidegate.model import status
from tidegate.model.device import Device, Group
from tidegate.model.frame import Reading, readings
from tidegate.model.tag import TIME_UNIT, Tag, TagTable, Type
from tidegate.profiles.locks import Locks
from tidegate.profiles.seen import Forgetful
from tidegate.shape.shaper import Shaper
from tidegate.tail.words import time_text

ONE_OR_ALL = "name a device, or give --all, which takes none"
EXIT_SILENT = 1
EXIT_BAD = 3
# The group of an address that no tag has.
DEADLINE_S = 5.0
REMEDIES: dict[type[DriverError], str] = {
    NotConnected: "No connection: look at address, port and cable. Some machines take one connection, the gateway's",
    NoAnswer: "No answer: look at the unit, and whether the machine is on; a slow one needs a longer timeout",
    Refused: "Refused: look at addresses and `base`; tidegate check --wire shows which registers are asked for",
    InvalidReply: "What answers does not speak as it should: look at the address, and at what else is on that bus",
}


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.argument("device", required=False)
@click.argument("point", metavar="[ADDRESS|TAG]", required=False)
@click.option("--all", "every", is_flag=True, help="All devices, on a page to sign: answered, identity, bad tags.")
@click.option("--json", "as_json", is_flag=True, help="The page of --all as one JSON document.")
@click.option("--type", "kind", help="Read an ADDRESS as this type, whatever tag it has; uint16 unless given.")
@click.option("--set", "settings", multiple=True, metavar="COLUMN=TEXT", help="Tag-table column of an ADDRESS.")
def command(
    config: Path,
    device: str | None,
    point: str | None,
    every: bool,
    as_json: bool,
    kind: str | None,
    settings: tuple[str, ...],
) -> None:
    """Read DEVICE of CONFIG once, through its driver, and print its readings; or --all devices on one page.

    A third argument is a tag, or an address as the tag table writes it, which need not be in the table: what most tags
    of the device have in their other columns (base, order ...) holds for it too. Nothing is kept or published. A
    machine that takes one connection only may refuse this one while the gateway runs.

    Exit 0 when all was read and good, 1 when a device did not answer, 3 when all answered, but some tags are bad, or a
    device is not what its profile is for.
    """
    if every == (device is not None) or (as_json and not every):
        raise click.UsageError(ONE_OR_ALL if not as_json else "--json is the page's: give --all")
    loaded = load(config, os.environ)
    if device is None:
        sys.exit(_page(config, loaded, as_json))
    found = next((one for one in loaded.devices if one.name == device), None)
    if found is None:
        remedy = did_you_mean(device, [one.name for one in loaded.devices])
        raise click.BadParameter(f"there is no device {device!r} in {config}. {remedy}", param_hint="DEVICE")
    if point is not None:
        found = _narrowed(found, point, kind, settings)
    sys.exit(_sheet(_read(loaded.buffer.folder, [found])[0]))


def _read(folder: Path, devices: Sequence[Device]) -> list[Answer]:
    return asyncio.run(read_once(drivers(), devices, Clock(), folder=folder))


def _narrowed(device: Device, point: str, kind: str | None, settings: Sequence[str]) -> Device:
    """The device with one tag: the one of that name or address, else a tag that is made up for the address.

    What scales a tag comes along.
    """
    tags = device.table.tags
    asked = kind is not None or bool(settings)
    known = [i for i, tag in enumerate(tags) if tag.name == point]
    if known and asked:
        how = f"{point!r} is a tag, and its row says how it is read: write its address, {tags[known[0]].address}"
        raise click.BadParameter(f"{how}, or leave --type and --set out", param_hint="ADDRESS")
    if not asked:
        known = known or [i for i, tag in enumerate(tags) if tag.address == point]
    if known:
        powers = {tags[i].scale_by for i in known} - {""}
        known += [i for i, tag in enumerate(tags) if tag.name in powers and i not in known]
        groups = (dataclasses.replace(g, tags=tuple(i for i in known if i in g.tags)) for g in device.groups)
        return dataclasses.replace(device, groups=tuple(group for group in groups if group.tags))
    options = {**_usual(tags), **_set(settings)}
    try:
        raw = Type.of(kind or "uint16")
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--type") from None
    table = TagTable(device.name, (Tag(point, raw, raw, point, tuple(options.items())),))
    made = dataclasses.replace(device, table=table, groups=(Group(device.name, "read", DEADLINE_S, DEADLINE_S, (0,)),))
    problems = [problem for problem in drivers()[device.driver].check([made]) if problem.fatal]
    if problems:
        near = did_you_mean(point, [tag.name for tag in tags])
        guess = f" ({near})" if near.endswith("?") else ""
        what = f"{device.name} has no tag {point!r}{guess}, and as an address it can't be read"
        columns = [None if problem.column == "address" else problem.column for problem in problems]
        told = zip(problems, columns, strict=True)
        raise ConfigError([dataclasses.replace(p, file=what, row=None, column=column, key="") for p, column in told])
    return made


def _usual(tags: Sequence[Tag]) -> dict[str, str]:
    """What more than half of the tags have in each of the driver's columns."""
    counted = Counter(option for tag in tags for option in tag.options if option[1])
    return {name: text for (name, text), count in counted.items() if 2 * count > len(tags)}


def _set(settings: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in settings]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("write COLUMN=TEXT, such as order=CDAB", param_hint="--set")
    return {name.strip().lower(): text.strip() for name, _, text in pairs}


def _page(config: Path, loaded: Config, as_json: bool) -> int:
    """Print the acceptance page; the exit code."""
    locks = Locks(loaded.profiles, Forgetful(), {})
    answers = asyncio.run(read_once(drivers(), loaded.devices, Clock(), locks, loaded.buffer.folder))
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    rows = tuple(_row(answer, locks.lock(answer.device)) for answer in answers)
    page = Page(loaded.gateway, str(config), loaded.fingerprint, version("tidegate"), now, rows)
    if as_json:
        click.echo(json.dumps(plain(page), ensure_ascii=False))
    else:
        kinds = dict.fromkeys(kind for answer in answers for kind in answer.kinds)
        click.echo("\n".join(lines(page, _remedies(kinds))))
    return EXIT_SILENT if page.silent else EXIT_BAD if page.bad or page.strangers else 0


def _row(answer: Answer, lock: Lock | None) -> Row:
    device = answer.device
    tags = sum(len(group.tags) for group in device.groups)
    bad = [BadTag(r.tag, status.name(r.status)) for r in _readings(answer) if not status.is_good(r.status)]
    said, mismatch = (lock.said, "") if lock is not None else ("", "")
    if lock is not None and said and not lock.fits:
        mismatch = f"{lock.why}. {lock.offer}" if lock.why else "its profile does not know such a device"
    return Row(
        device.name, device.driver, device.address, device.unit, answer.answered,
        round(answer.trip_s * 1000, 1) if answer.taken else None, tags,
        tags - sum(taken.frame.count for taken in answer.taken), tuple(bad), answer.faults, device.profile, said,
        lock.fits if lock is not None and said else None, mismatch,
    )  # fmt: skip


def _sheet(answer: Answer) -> int:
    """Print the readings of one device; the exit code."""
    device = answer.device
    unit = "" if device.unit is None else f" unit {device.unit}"
    click.echo(f"{device.name}  {device.driver} {device.address}{unit}")
    bad = False
    width = max([1, *(len(tag.name) for tag in device.table.tags)])
    for taken in answer.taken:
        if not taken.frame.count:
            continue
        click.echo(f"group {taken.group.name}: round trip {taken.trip_s * 1000:.1f} ms")
        for reading in _shaped(device, taken):
            tag = device.table.tags[device.table.index(reading.tag)]
            bad = bad or not status.is_good(reading.status)
            click.echo(
                f"  {reading.tag:<{width}}  {_value(reading, tag):>14}  {tag.unit:<6}  {status.name(reading.status)}"
            )
    for fault in answer.faults:
        click.echo(f"{device.name} was not read: {fault}", err=True)
    for remedy in _remedies(answer.kinds):
        click.echo(f"-> {remedy}", err=True)
    return EXIT_SILENT if answer.faults else EXIT_BAD if bad else 0


def _remedies(kinds: Iterable[type[DriverError]]) -> list[str]:
    return [REMEDIES[kind] for kind in kinds if kind in REMEDIES]


def _readings(answer: Answer) -> Iterator[Reading]:
    for taken in answer.taken:
        yield from _shaped(answer.device, taken)


def _shaped(device: Device, taken: Taken) -> list[Reading]:
    """Readings as they would be published: scaled. A fresh shaper thins nothing, since it has reported nothing."""
    frame = Shaper([device.table]).shape(taken.frame)
    return [] if frame is None else list(readings(frame, device.table))


def _value(reading: Reading, tag: Tag) -> str:
    if status.is_bad(reading.status) or reading.value is None:
        return "-"
    if tag.unit == TIME_UNIT and type(reading.value) is int:
        return time_text(reading.value)
    if tag.names and isinstance(reading.value, int):
        return visible(tag.names.shown(reading.value, tag.type.word))
    if isinstance(reading.value, bool):
        return str(reading.value).lower()
    return f"{reading.value:.7g}" if isinstance(reading.value, float) else visible(str(reading.value))
