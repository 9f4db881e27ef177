"""`tidegate profile identify|simulate`: asks a device which profile it is of, and is a device that is of one."""

import asyncio
import signal
import sys
from pathlib import Path

import click

from tidegate.cli.opened import Opened, from_folder, open_profiles, open_set
from tidegate.errors import NoAnswer
from tidegate.logs import visible
from tidegate.model.option import duration_s
from tidegate.profiles.asking import Asker, parse_address
from tidegate.profiles.finding import Finding, Match, find
from tidegate.profiles.likeness import likeness, version_of
from tidegate.profiles.profile import describe
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.simulated import Server

EXIT_UNKNOWN = 3
TIMEOUT_S_MAX = 60.0
CHANGE_S_MIN = 0.1


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    try:
        return duration_s(text)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


@click.command()
@click.argument("address", metavar="tcp://HOST[:PORT][/UNIT]")
@click.option("--timeout", default="1s", show_default=True, callback=_seconds, help="How long an answer may take.")
@from_folder
def identify(address: str, timeout: float, folder: Path | None) -> None:
    """Ask the device at ADDRESS who it is, and say which profiles it is of.

    Only questions that read are asked, one at a time: functions 43/14 and 17, and registers by 3 and 4. A machine that
    takes one connection only may refuse this one while the gateway runs.

    Exit 0 when a set of registers was found, 1 when nobody answers, 3 when no profile is for what answers.
    """
    try:
        host, port, unit = parse_address(address)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), param_hint="'ADDRESS'") from None
    if not 0 < timeout <= TIMEOUT_S_MAX:
        raise click.BadParameter(f"choose at most {TIMEOUT_S_MAX:g} s", param_hint="'--timeout'")
    finding, asked, answered = asyncio.run(_identify(Shelf(folder), host, port, unit, timeout))
    if not answered:
        raise NoAnswer("", f"unit {unit} at {host}:{port} answered none of {asked} questions: check address and unit")
    for question, answer in finding.said:
        click.echo(f"said    {question}: {visible(answer)}")
    for match in finding.matches:
        _echo_match(match)
    found = [match for match in finding.matches if match.set is not None]
    click.echo(f"{asked} questions, {answered} answered; profiles that fit: {len(finding.matches)}")
    sys.exit(0 if found else EXIT_UNKNOWN)


async def _identify(shelf: Shelf, host: str, port: int, unit: int, timeout_s: float) -> tuple[Finding, int, int]:
    profiles = open_profiles(shelf)
    async with Asker(host, port, unit, timeout_s) as asker:
        finding = await find(profiles, asker)
        return finding, asker.asked, asker.answered


def _echo_match(match: Match) -> None:
    profile = match.profile
    firmware = f", firmware {visible(match.firmware)}" if match.firmware else ", firmware not told"
    click.echo(f"is      {profile.name}: {profile.vendor} {profile.model}{firmware} ({profile.evidence.value})")
    if match.set is None:
        click.echo(f"but     {match.lacks}")
        return
    chosen = profile.name if len(profile.sets) == 1 else f"{profile.name}@{match.set.name}"
    click.echo(f"use     table = {chosen} ({describe(match.set)})")


@click.command()
@click.argument("name")
@click.option("--port", type=click.IntRange(0, 0xFFFF), default=0, help="0 takes a free one.")
@click.option("--unit", type=click.IntRange(0, 0xFF), help="The only unit that answers; every unit unless given.")
@click.option("--firmware", help="What the device says of its firmware; one that the set is for unless given.")
@click.option("--change", default="10s", show_default=True, callback=_seconds, help="How long each state is shown.")
@from_folder
def simulate(name: str, port: int, unit: int | None, firmware: str | None, change: float, folder: Path | None) -> None:
    """Be a device of the profile NAME on loopback, until interrupted: identity, golden vectors, refusals.

    The registers hold the profile's golden vectors, one state after the other.
    """
    if change < CHANGE_S_MIN:
        raise click.BadParameter(f"choose at least {CHANGE_S_MIN:g} s", param_hint="'--change'")
    opened = open_set(Shelf(folder), name)
    asyncio.run(_serve(opened, port, unit, firmware or version_of(opened.set.firmware), change))


async def _serve(opened: Opened, port: int, unit: int | None, firmware: str, change_s: float) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    began_s = loop.time()
    device = likeness(opened.profile, opened.set, opened.vectors, firmware, lambda: loop.time() - began_s, change_s)
    try:
        async with Server(device, port=port, unit=unit) as server:
            shown = unit if unit is not None else opened.profile.bus.unit or 1
            what = f"{opened.profile.name}@{opened.set.name}, firmware {firmware}"
            click.echo(f"{what}: tcp://127.0.0.1:{server.port}/{shown}")
            await stopping.wait()
    except OSError as error:
        raise click.ClickException(f"port {port} can't be used: {error.strerror}") from None
