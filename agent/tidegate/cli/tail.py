"""`tidegate tail URL`: follow a gateway at its broker and prove what was received."""

import os
import secrets
import signal
import sys
from pathlib import Path

import click

from tidegate.publish.settings import VERSIONS, Address
from tidegate.secret import Secret
from tidegate.tail.subscriber import Broker, Subscriber
from tidegate.tail.tail import Tail, TailSettings

EXIT_MISSING = 2


@click.command()
@click.argument("url")
@click.option("--gateway", default="", help="Its name; without it, the only one that is there.")
@click.option("--target", default="", help="Which of its targets; without it, the only one that is there.")
@click.option("--prefix", default="tidegate", show_default=True, help="The first levels of all topics.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="End by itself after so long.")
@click.option("--readings", is_flag=True, help="Print each reading as a line; reports go to standard error.")
@click.option("--json", "as_json", is_flag=True, help="Print a report as one JSON line a second.")
@click.option("--state", type=click.Path(dir_okay=False, path_type=Path), help="Keep the proof in this file, resume.")
@click.option("--log", type=click.Path(dir_okay=False, path_type=Path), help="Append each message as a JSON line.")
@click.option("--from-now", is_flag=True, help="Leave out what was committed before now.")
@click.option("--no-ask", is_flag=True, help="Do not ask for what is missing.")
@click.option("--mqtt", type=click.Choice(VERSIONS), default="5", show_default=True, help="Version of the protocol.")
@click.option("--user", default="", help="User at the broker.")
@click.option("--password-env", metavar="NAME", help="The environment variable that holds the password.")
@click.option("--ca", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Authority to trust (mqtts).")
def command(
    url: str,
    gateway: str,
    target: str,
    prefix: str,
    seconds: float | None,
    readings: bool,
    as_json: bool,
    state: Path | None,
    log: Path | None,
    from_now: bool,
    no_ask: bool,
    mqtt: str,
    user: str,
    password_env: str | None,
    ca: Path | None,
) -> None:
    """Follow a gateway at the broker URL (mqtt://host or mqtts://host), ask for what is missing, say what is proven.

    Exit 0 when all that is owed was received or is accounted for, 2 when something is missing.
    """
    try:
        address = Address.parse(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="URL") from None
    if address.path:
        raise click.BadParameter("tail speaks no WebSocket: name the broker's mqtt:// or mqtts://", param_hint="URL")
    for option, level in (("--gateway", gateway), ("--target", target), ("--prefix", prefix)):
        if set(level) & set("+#\0"):
            raise click.BadParameter(f"{level!r} can't be part of a topic; follow one at a time", param_hint=option)
    if state is not None and not os.access(state if state.exists() else state.parent, os.W_OK):
        raise click.BadParameter(
            f"{state} can't be written. Name a file in a folder that is yours", param_hint="--state"
        )
    password = _password(password_env)
    if password is not None and not address.tls and not address.loopback:
        click.echo(f"tidegate tail: user and password go to {address.host} in the clear; better use mqtts://", err=True)
    name = f"tidegate-tail-{secrets.token_hex(4)}"
    broker = Broker(address.host, address.port, name, address.tls, ca, user, password, mqtt)
    settings = TailSettings(gateway, target, prefix, seconds, not no_ask, from_now, as_json, readings, state, log)
    tail = Tail(settings, Subscriber(broker), name, sys.stdout, sys.stderr)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: tail.stop())
    sys.exit(0 if tail.run() else EXIT_MISSING)


def _password(variable: str | None) -> Secret | None:
    if variable is None:
        return None
    if variable not in os.environ:
        raise click.BadParameter(f"{variable} is not set", param_hint="--password-env")
    return Secret(os.environ[variable])
