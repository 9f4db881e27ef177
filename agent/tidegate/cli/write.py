"""`tidegate write --dry-run CONFIG DEVICE TAG VALUE`: what would be sent, and whether it may be. It sends nothing."""

import os
import sys
from pathlib import Path

import click

from tidegate.acquire.driver import ExplainsWrites
from tidegate.acquire.permission import forbidden, value_of
from tidegate.acquire.registry import drivers
from tidegate.config.load import load
from tidegate.config.quantities import did_you_mean
from tidegate.logs import visible
from tidegate.model.device import Device
from tidegate.model.tag import Tag

EXIT_FORBIDDEN = 3
NO_REAL_ONE = (
    "a real write does not exist yet: what a machine is told has to be guarded and written down, and that guard is not "
    "built. Add --dry-run to see what would be sent"
)


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("config", type=click.Path(path_type=Path, readable=False))
@click.argument("device")
@click.argument("tag")
@click.argument("value")
@click.option("--dry-run", is_flag=True, help="Show it only. There is nothing else yet.")
def command(config: Path, device: str, tag: str, value: str, dry_run: bool) -> None:
    """Show what would be sent to give TAG of DEVICE a VALUE, without connecting to anything.

    VALUE is in the tag's unit, after its scale. Exit 0 when it would be allowed, 3 when not, 78 when the configuration
    can't be used.
    """
    if not dry_run:
        raise click.UsageError(NO_REAL_ONE)
    loaded = load(config, os.environ)
    found = next((one for one in loaded.devices if one.name == device), None)
    if found is None:
        remedy = did_you_mean(device, [one.name for one in loaded.devices])
        raise click.BadParameter(f"there is no device {device!r} in {config}. {remedy}", param_hint="DEVICE")
    lines, reason = _explained(found, *_tag(found, tag), value)
    for line in lines:
        click.echo(f"  {visible(line)}")
    click.echo(f"not allowed: {visible(reason)}" if reason else "allowed; nothing was sent (dry run)")
    sys.exit(EXIT_FORBIDDEN if reason else 0)


def _tag(device: Device, name: str) -> tuple[int, Tag]:
    """A tag that the driver reads, with its index."""
    tags = device.table.tags
    for index, tag in enumerate(tags):
        if tag.name == name:
            return index, tag
    if any(tag.name == name for tag in device.published.tags):
        raise click.BadParameter(f"{name} is computed, and is not in the device", param_hint="TAG")
    remedy = did_you_mean(name, [tag.name for tag in tags])
    raise click.BadParameter(f"there is no tag {name!r} of {device.name}. {remedy}", param_hint="TAG")


def _explained(device: Device, index: int, tag: Tag, text: str) -> tuple[list[str], str]:
    """What would be sent, for people, and why it may not be; the latter empty when it may."""
    driver = drivers()[device.driver]
    if not issubclass(driver, ExplainsWrites):
        return [], f"the driver {device.driver} can't write"
    reason = ""
    try:
        value = value_of(tag, text)
        reason = forbidden(tag, value)
        return driver.explain_write(device, index, value), reason
    except ValueError as wrong:
        return [], reason or str(wrong)
