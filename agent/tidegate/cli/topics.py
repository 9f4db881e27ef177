"""`tidegate topics CONFIG`: every topic that is used at a broker, and an access list that allows just that."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from tidegate.config.load import load
from tidegate.config.loaded import Config
from tidegate.config.quantities import did_you_mean
from tidegate.publish.settings import TargetSettings
from tidegate.publish.topics import Direction, Rights, emqx_acl, mosquitto_acl, rights, topics

BROKERS = ("mosquitto", "emqx")
WAYS = {Direction.OUT: "gateway -> subscriber", Direction.IN: "subscriber -> gateway"}


@click.command()
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.option("--target", "only", default="", help="Only this target, where targets have brokers of their own.")
@click.option("--acl", type=click.Choice(BROKERS), help="Print this access list alone, to write it into a file.")
@click.option("--subscriber", default="subscriber", show_default=True, help="The subscriber's user at the broker.")
def command(config: Path, only: str, acl: str | None, subscriber: str) -> None:
    """Print every topic of CONFIG with direction, QoS and retain, and access lists for mosquitto and EMQX.

    The lists allow the gateway and one subscriber what they need and nothing else. Nothing is connected to.
    """
    if not subscriber or not subscriber.isprintable():
        raise click.BadParameter(
            f"{subscriber!r} is no user of a broker; write it in one line", param_hint="--subscriber"
        )
    loaded = load(config, os.environ)
    targets = [target for target in loaded.targets if only in ("", target.name)]
    if not targets:
        if not loaded.targets:
            raise click.UsageError(f"{config} has no [[target]], so that there is no topic")
        remedy = did_you_mean(only, [target.name for target in loaded.targets])
        raise click.BadParameter(f"there is no target {only!r} in {config}. {remedy}", param_hint="--target")
    if acl is not None:
        _echo(_acl(acl, loaded, targets, subscriber))
        return
    for target in targets:
        _echo(_table(loaded, target))
    for name in BROKERS:
        click.echo(f"\n----- access list for {name}: tidegate topics {config} --acl {name} -----")
        _echo(_acl(name, loaded, targets, subscriber))


def _echo(lines: Iterator[str]) -> None:
    for line in lines:
        click.echo(line)


def _table(config: Config, target: TargetSettings) -> Iterator[str]:
    yield f"target {target.name}, {target.url}"
    found = topics(target, config.gateway, (device.published for device in config.devices))
    width = max(len(one.topic) for one in found)
    for one in found:
        retained = "retained" if one.retained else ""
        yield f"  {one.topic:<{width}}  {WAYS[one.direction]}  QoS {one.qos}  {retained:<8}  {one.what}"


def _acl(name: str, config: Config, targets: list[TargetSettings], subscriber: str) -> Iterator[str]:
    users = [one for t in targets for one in rights(t, config.gateway, _user(config, t), subscriber)]
    mark = "#" if name == "mosquitto" else "%%"
    yield f"{mark} Tidegate, gateway {config.gateway}. A table has a new topic whenever it changes: hence the filter."
    for target in targets:
        if not target.user:
            yield f"{mark} Target {target.name} has no user yet: give it user and password, or a certificate named so."
    if name == "mosquitto":
        yield f"{mark} Name this file in mosquitto.conf: acl_file, with allow_anonymous false and a password_file."
        yield from mosquitto_acl(_joined(users))
        return
    yield f"{mark} Put this before the rules of acl.conf. A subscriber must name gateway and target (tidegate tail"
    yield f"{mark} --gateway --target), since EMQX refuses filters that are wider than what is allowed."
    yield from emqx_acl(_joined(users), (f"{target.prefix}/{config.gateway}/{target.name}" for target in targets))


def _user(config: Config, target: TargetSettings) -> str:
    """Who the target is at its broker; without a user, who it should be."""
    return target.user or config.gateway


def _joined(users: list[Rights]) -> list[Rights]:
    """One entry a user: in mosquitto's file a second one of the same name is easily overlooked."""
    by_user: dict[str, Rights] = {}
    for one in users:
        known = by_user.get(one.user, Rights(one.user, (), ()))
        by_user[one.user] = Rights(one.user, known.write + one.write, known.read + one.read)
    return list(by_user.values())
