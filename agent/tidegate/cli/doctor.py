"""`tidegate doctor [CONFIG]`: what stands in the way on this machine, each with its remedy."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from tidegate.acquire.registry import broken, drivers
from tidegate.cli.main import EXIT_CONFIG
from tidegate.clock import Clock, Source
from tidegate.config.load import load
from tidegate.config.loaded import Config
from tidegate.config.policy import policy
from tidegate.doctor.access import examine_secrets, examine_serial, examine_state
from tidegate.doctor.agent import Told, examine_locks, examine_targets
from tidegate.doctor.board import examine_board
from tidegate.doctor.broker import examine_brokers
from tidegate.doctor.disk import examine_disk
from tidegate.doctor.finding import Finding, Level, fault, ok, warning
from tidegate.doctor.parts import examine_loop, examine_twins
from tidegate.doctor.timekeeping import examine_clock
from tidegate.errors import ConfigError
from tidegate.local import SOCKET_NAME, AgentSilent, ask
from tidegate.plural import counted

EXIT_FAULT = 1
MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.FAULT: "FAULT  "}


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False), required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def command(config: Path | None, as_json: bool) -> None:
    """Look at this machine as a gateway, and with CONFIG also at its disk, its permissions and its brokers.

    Run it as the gateway's user. It changes nothing. Exit 0 when nothing is at fault (there may be warnings), 78 when
    CONFIG can't be used, else 1.
    """
    loaded, told = _load(config) if config is not None else (None, [])
    source = loaded.clock if loaded is not None else Source.AUTO
    places = [device.address.partition("://")[2] for device in loaded.devices] if loaded is not None else []
    ports = [place for place in places if place.startswith("/")]
    findings = [*_machine(source), *examine_board(ports), *told, *(_configured(loaded) if loaded is not None else ())]
    faults = sum(finding.level is Level.FAULT for finding in findings)
    if as_json:
        plain = [dataclasses.asdict(finding) for finding in findings]
        click.echo(json.dumps({"ok": not faults, "findings": plain}, ensure_ascii=False))
    else:
        for finding in findings:
            click.echo(f"{MARKS[finding.level]}  {finding.about}: {finding.what}")
            if finding.remedy:
                click.echo(f"         -> {finding.remedy}")
        warnings = sum(finding.level is Level.WARNING for finding in findings)
        click.echo(f"{faults} at fault, {warnings} to think of, {len(findings) - faults - warnings} well")
    unusable = config is not None and loaded is None
    sys.exit(EXIT_CONFIG if unusable else EXIT_FAULT if faults else 0)


def _machine(source: Source) -> Iterator[Finding]:
    yield from examine_clock(Clock(source=source))
    packages = {found.__module__.partition(".")[0] for found in drivers().values()}
    yield from examine_twins({"tidegate", *packages})
    yield from examine_loop()
    for problem in broken():
        yield warning("drivers", f"{problem.key}: {problem.what}", problem.remedy)
    yield from examine_serial()


def _load(path: Path) -> tuple[Config | None, list[Finding]]:
    try:
        config = load(path, os.environ)
    except ConfigError as error:
        fatal = [problem for problem in error.problems if problem.fatal]
        more = f" (and {counted(len(fatal) - 1, 'more problem')}: tidegate check {path})" if len(fatal) > 1 else ""
        first = fatal[0]
        where = str(dataclasses.replace(first, what="", remedy="")).removesuffix(": . ")
        return None, [fault("configuration", f"{where}: {first.what}{more}", first.remedy)]
    return config, [ok("configuration", f"{path} can be used")]


def _configured(config: Config) -> Iterator[Finding]:
    kept = policy(config)
    yield ok("policy", str(kept))
    yield from examine_disk(config.buffer, kept)
    yield from examine_state(config.state)
    yield from examine_secrets(config.targets)
    yield from examine_brokers(config.targets)
    yield from _told(config.state)


def _told(state: Path) -> Iterator[Finding]:
    """What the agent says, if one runs: one that does not is no fault while it is being set up."""
    if not (state / SOCKET_NAME).exists():
        return
    try:
        health = ask(state, "status")
    except AgentSilent as error:
        yield warning("agent", str(error), "Run this as the gateway's user, or start the gateway")
        return
    yield from examine_targets([Told(t["name"], t["state"], t["why"], t["backlog"]) for t in health["targets"]])
    yield from examine_locks({d["name"]: (d["lock"], d["offer"]) for d in health["devices"]})
