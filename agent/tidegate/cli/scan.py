"""`tidegate scan ADDRESS`: asks a network or a line who is there. It asks a person first."""

import dataclasses
import json
import sys

import click

from tidegate.acquire.survey import Found, Progress, Scan
from tidegate.acquire.surveys import of_address, surveys
from tidegate.cli.surveyed import printer, until_stopped
from tidegate.plural import counted

EXIT_NOBODY = 1
EXIT_STOPPED = 130


@click.command()
@click.argument("address")
@click.option("--units", metavar="1-247", help="Unit ids to ask; of many addresses 1,255 unless given, else 1-247.")
@click.option("--ask", metavar="3,4,43", help="Functions to ask by: 3 unless given. All of them only read.")
@click.option("--baud", metavar="9600,19200", help="Speeds of a serial line to try; the usual ones unless given.")
@click.option("--parity", metavar="n,e", help="Parities of a serial line to try; n and e unless given.")
@click.option("--stop", help="Stop bits of a serial line, 1 or 2.")
@click.option("--timeout", metavar="300ms", help="How long each may take to answer.")
@click.option("--rate", metavar="20", help="Questions a second, at most.")
@click.option("--all", "every", is_flag=True, help="Go on after the first setting, or unit id, that is answered to.")
@click.option("--nameless", is_flag=True, help="Do not ask who they are.")
@click.option("--large", is_flag=True, help="Allow more than 4096 addresses.")
@click.option("--yes", is_flag=True, help="Do not ask before it begins, for scripts.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document at the end.")
def command(
    address: str, every: bool, nameless: bool, large: bool, yes: bool, as_json: bool, **settings: str | None
) -> None:
    """Ask who is at ADDRESS: tcp://10.0.0.0/28, tcp://10.0.0.5-20:502, tcp://[fd00::7], rtu:///dev/ttyUSB0 ...

    Nothing is written to any machine. What will be asked, how often and for how long at most is said first, and nothing
    is sent before you agree. Ctrl-C ends it, with what was found so far. Exit 0 when somebody answered, 1 when nobody
    did, 130 when it was interrupted.
    """
    flags = {"all": every, "nameless": nameless, "large": large}
    wishes = {name: text for name, text in settings.items() if text} | {
        name: "true" for name, on in flags.items() if on
    }
    try:
        scan = of_address(surveys(), address, listening=False).scan(address, wishes)
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    for line in scan.notice:
        click.echo(line, err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody can be asked here: give --yes when all of this may be sent")
        click.confirm("Ask them now?", abort=True, err=True)
    found, whole = _run(scan, as_json)
    sys.exit(EXIT_STOPPED if not whole else 0 if found else EXIT_NOBODY)


def _run(scan: Scan, as_json: bool) -> tuple[list[Found], bool]:
    """What was found, and whether it came to its end."""
    show = printer(False)
    found: list[Found] = []
    notes: list[str] = []
    drawn = sys.stderr.isatty()

    def tell(told: object) -> None:
        if isinstance(told, Progress):
            if drawn:
                click.echo(f"\r\033[K{told}", err=True, nl=False)
            return
        if drawn:
            click.echo("\r\033[K", err=True, nl=False)
        if isinstance(told, Found):
            found.append(told)
        else:
            notes.append(str(told))
        if not as_json:
            show(told)

    whole = False
    try:
        whole = until_stopped(scan.run(tell))
    finally:
        if drawn:
            click.echo("\r\033[K", err=True, nl=False)
        if as_json:
            rows = [dataclasses.asdict(one) for one in found]
            click.echo(json.dumps({"whole": whole, "found": rows, "notes": notes}, ensure_ascii=False))
        else:
            _advise(found, whole)
    return found, whole


def _advise(found: list[Found], whole: bool) -> None:
    """What to do next with what was found."""
    stopped = "" if whole else ", and it did not come to its end"
    click.echo(f"{counted(len(found), 'unit')} found{stopped}")
    if not found:
        return
    columns = list(dict.fromkeys(name for one in found for name in one.options))
    click.echo("-> For the device list; write its tag table, or a profile, into table:")
    click.echo("   " + ",".join(("name", "table", "address", "unit", *columns)))
    for number, one in enumerate(found, 1):
        unit = "" if one.unit is None else str(one.unit)
        cells = [one.options.get(name, "") for name in columns]
        click.echo("   " + ",".join((f"device{number}", "", one.address, unit, *cells)))
    click.echo("-> To learn more of them:")
    for one in found:
        click.echo(f"   {one.next}")
