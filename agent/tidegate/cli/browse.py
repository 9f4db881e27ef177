"""`tidegate browse CONFIG DEVICE [NODE]`, or `... ADDRESS [NODE]`: what a machine has, as a tree or as a tag table."""

import csv
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import click

from tidegate.acquire.survey import Entry, Note, Progress
from tidegate.acquire.surveys import browser_of, surveys
from tidegate.cli.surveyed import printer, until_stopped
from tidegate.config.load import load
from tidegate.config.quantities import did_you_mean
from tidegate.model.device import Device
from tidegate.model.tag import TagTable
from tidegate.plural import counted

EXIT_STOPPED = 130
# Of a tree, which people read; a table may be as long as the driver allows.
NODES = 1000
COLUMNS = ("name", "address", "type", "unit", "low", "high", "description", "access")
NAME_LETTERS_MAX = 110
# What a spreadsheet would take for a formula.
FORMULA_SIGNS = "=+-@"
HOW = "name a configuration and one of its devices, or an address such as opc.tcp://10.0.0.7:4840"


@click.command()
@click.argument("place", metavar="CONFIG|ADDRESS")
@click.argument("rest", nargs=-1, metavar="[DEVICE] [NODE]")
@click.option("--depth", help="How many levels below NODE; all of them unless given.")
@click.option("--nodes", help=f"How many nodes at most; {NODES:,} of a tree unless given, 100,000 else.")
@click.option("--types", is_flag=True, help="Show of which type each node is.")
@click.option("--csv", "as_csv", is_flag=True, help="Rows of a tag table, of all that can be read.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a node.")
@click.option("--set", "settings", multiple=True, metavar="COLUMN=TEXT", help="Device-list column of an ADDRESS.")
def command(
    place: str, rest: tuple[str, ...], depth: str | None, nodes: str | None, types: bool, as_csv: bool, as_json: bool,
    settings: tuple[str, ...],
) -> None:  # fmt: skip
    """Show what DEVICE of CONFIG, or a server at ADDRESS, has below NODE: names, types, values, units and addresses.

    It only reads. With --csv the rows go into a tag table as they are; their access is `read`, whatever the machine
    would allow. Ctrl-C ends it. Exit 0 when all was shown, 130 when it was interrupted.
    """
    if as_csv and as_json:
        raise click.UsageError("choose --csv or --json")
    device, node, folder = _device(place, rest, settings)
    limit = nodes or ("" if as_csv or as_json else str(NODES))
    wishes = {"depth": depth or "", "nodes": limit, "types": "true" if types else ""}
    try:
        browsed = browser_of(surveys(), device.address).browse(device, node, wishes, folder)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    show = _rows() if as_csv else printer(as_json)
    seen = writable = 0

    def tell(told: object) -> None:
        nonlocal seen, writable
        if isinstance(told, Entry):
            seen += 1
            writable += told.writable
            show(told)
        elif isinstance(told, Note):
            click.echo(str(told), err=True)
        elif isinstance(told, Progress) and sys.stderr.isatty() and not sys.stdout.isatty():
            click.echo(f"\r\033[K{told}", err=True, nl=False)

    whole = until_stopped(browsed.run(tell))
    if as_csv and writable:
        click.echo(f"note    the machine lets {counted(writable, 'node')} be written: the rows say read", err=True)
    click.echo(f"{counted(seen, 'node')}{'' if whole else ', and it did not come to its end'}", err=True)
    sys.exit(0 if whole else EXIT_STOPPED)


def _device(place: str, rest: tuple[str, ...], settings: tuple[str, ...]) -> tuple[Device, str, Path | None]:
    """Device, node and folder of what was named."""
    if "://" in place:
        if len(rest) > 1:
            raise click.UsageError(HOW)
        pairs = [text.partition("=") for text in settings]
        if any(not equals for _, equals, _ in pairs):
            raise click.BadParameter("write COLUMN=TEXT, such as namespace=urn:plc", param_hint="--set")
        options = {name.strip().lower(): text.strip() for name, _, text in pairs}
        return Device("server", "", place, None, TagTable("server", ()), (), options), "".join(rest), None
    if not 1 <= len(rest) <= 2 or settings:
        raise click.UsageError(HOW if not settings else "--set is for an ADDRESS: a device has its columns in CONFIG")
    loaded = load(Path(place), os.environ)
    found = next((one for one in loaded.devices if one.name == rest[0]), None)
    if found is None:
        remedy = did_you_mean(rest[0], [one.name for one in loaded.devices])
        raise click.BadParameter(f"there is no device {rest[0]!r} in {place}. {remedy}", param_hint="DEVICE")
    return found, "".join(rest[1:]), loaded.buffer.folder


def _rows() -> Callable[[object], None]:
    """Prints an entry that can be read as a row of a tag table, below a first one of the columns' names."""
    names: set[str] = set()
    _print_row(COLUMNS)

    def show(told: object) -> None:
        assert isinstance(told, Entry)
        if not told.type or not told.address:
            return
        low, high = ("", "") if told.range is None else (f"{told.range[0]:.15g}", f"{told.range[1]:.15g}")
        name, number = ".".join(told.path)[:NAME_LETTERS_MAX].strip() or "value", 1
        while (unique := name if number == 1 else f"{name}_{number}") in names:
            number += 1
        names.add(unique)
        description = told.description.lstrip(FORMULA_SIGNS).strip()
        _print_row((unique, told.address, told.type, told.unit, low, high, description, "read"))

    return show


def _print_row(cells: tuple[str, ...]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    click.echo(line.getvalue())
