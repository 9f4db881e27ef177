"""`tidegate profile identify|simulate`: asks a device which profile it is of, and is a device that is of one."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import click

from tidegate.acquire.conversation import Conversation
from tidegate.cli.opened import DRIVER, Opened, from_folder, modbus, open_profiles, open_set
from tidegate.clock import Clock
from tidegate.errors import NoAnswer
from tidegate.logs import visible
from tidegate.model.device import Device
from tidegate.model.option import duration_s
from tidegate.profiles import trial
from tidegate.profiles.asking import Asker
from tidegate.profiles.finding import Finding, Match, find
from tidegate.profiles.likeness import likeness, version_of
from tidegate.profiles.profile import describe
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.simulated import Server

EXIT_UNKNOWN = 3
TIMEOUT_S_MIN, TIMEOUT_S_MAX = 0.01, 60.0
UNIT_BEHIND = re.compile(r"([a-z+]+://[^/]+)/(\d{1,3})/?")
CHANGE_S_MIN = 0.1


def _seconds(context: click.Context, parameter: click.Parameter, text: str) -> float:
    try:
        return duration_s(text)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong)) from None


@click.command()
@click.argument("address")
@click.option("--unit", type=click.IntRange(0, 0xFF), help="Its unit id; 1 unless given. Behind TCP also as /UNIT.")
@click.option("--timeout", default="1s", show_default=True, callback=_seconds, help="How long an answer may take.")
@click.option("--set", "settings", multiple=True, metavar="COLUMN=TEXT", help="An option of the driver: baud=9600.")
@from_folder
def identify(address: str, unit: int | None, timeout: float, settings: tuple[str, ...], folder: Path | None) -> None:
    """Ask the device at ADDRESS who it is, and say which profiles it is of.

    ADDRESS is as in a device list: tcp://10.0.0.7:502, rtu+tcp://10.0.0.7:4001, rtu:///dev/ttyUSB0.

    Only questions that read are asked, one at a time: functions 43/14 and 17, and registers by 3 and 4. A machine that
    takes one connection only may refuse this one while the gateway runs.

    Exit 0 when a set of registers was found, 1 when nobody answers, 3 when no profile is for what answers.
    """
    if not TIMEOUT_S_MIN <= timeout <= TIMEOUT_S_MAX:
        wrong = f"choose at least {TIMEOUT_S_MIN:g} s and at most {TIMEOUT_S_MAX:g} s"
        raise click.BadParameter(wrong, param_hint="'--timeout'")
    behind = UNIT_BEHIND.fullmatch(address)
    if behind is not None and unit is not None:
        raise click.BadParameter(f"the unit stands behind {address} already: leave one out", param_hint="--unit")
    if behind is not None:
        address, unit = behind[1], int(behind[2])
    pairs = [text.partition("=") for text in settings]
    if any(not equals for _, equals, _ in pairs):
        raise click.BadParameter("write COLUMN=TEXT, such as baud=9600", param_hint="--set")
    options = {name.strip().lower(): text.strip() for name, _, text in pairs}
    device = trial.stranger(DRIVER, address, 1 if unit is None else unit, {"timeout": f"{timeout:g}s", **options})
    problems = [problem for problem in modbus().check([device]) if problem.fatal]
    if problems:
        wrong = f"{problems[0].what}. {problems[0].remedy}"
        raise click.BadParameter(wrong, param_hint=f"'{problems[0].column or 'address'}'")
    finding, asked, answered = asyncio.run(_identify(Shelf(folder), device))
    if not answered:
        where = f"unit {device.unit} at {modbus().bus(device)}"
        raise NoAnswer("", f"{where} answered none of {asked} questions: check address and unit")
    for question, answer in finding.said:
        click.echo(f"said    {question}: {visible(answer)}")
    for match in finding.matches:
        _echo_match(match)
    found = [match for match in finding.matches if match.set is not None]
    click.echo(f"{asked} questions, {answered} answered; profiles that fit: {len(finding.matches)}")
    sys.exit(0 if found else EXIT_UNKNOWN)


async def _identify(shelf: Shelf, device: Device) -> tuple[Finding, int, int]:
    profiles = [profile for profile in open_profiles(shelf) if profile.driver == DRIVER]
    async with Conversation(modbus()([device], Clock()), device.name) as conversation:
        asker = Asker(conversation.ask)
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
