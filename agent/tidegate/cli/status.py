"""`tidegate status PLACE`: asks the running agent over its local socket."""

import json
from pathlib import Path
from typing import Any

import click

from tidegate.config.place import state_folder
from tidegate.local import ask
from tidegate.logs import visible
from tidegate.plural import counted

# Of one device; --json gives all.
REFUSED_MAX = 20


@click.command()
@click.argument("place", type=click.Path(path_type=Path, readable=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def command(place: Path, as_json: bool) -> None:
    """Ask the gateway that runs with PLACE (its configuration, or its state folder) how it is."""
    health = ask(state_folder(place), "status")
    click.echo(json.dumps(health, ensure_ascii=False) if as_json else "\n".join(_lines(health)))


def _lines(health: dict[str, Any]) -> list[str]:
    buffer = health["buffer"]
    up_s = (health["now_us"] - health["started_us"]) / 1e6
    lines = [
        f"{health['gateway']}  tidegate {health['version']}, up {up_s:.0f} s, boot {health['boot']}, "
        f"configuration {health['config']}",
        f"clock   {health['clock']}: {health['clock_why']}",
        f"buffer  numbers {buffer['first']}..{buffer['last']}, {buffer['bytes_used'] / 1e6:.1f} MB "
        f"of {buffer['quota_bytes'] / 1e6:.0f} MB",
        f"memory  {health['memory_bytes'] / 1e6:.1f} MB, {counted(health['tasks'], 'task')}",
    ]
    lines += map(_target_line, health["targets"])
    for device in health["devices"]:
        lines += device_lines(device, health["now_us"])
    return lines


def device_lines(device: dict[str, Any], now_us: int) -> list[str]:
    """How one device is: a line, and one more for what is wrong with it."""
    return [_device_line(device), *_fault_lines(device, now_us), *_refused_lines(device)]


def _target_line(target: dict[str, Any]) -> str:
    why = f" ({target['why']})" if target["why"] else ""
    letters = f", {counted(target['dead_letters'], 'dead letter')}" if target["dead_letters"] else ""
    return f"target  {target['name']}: {target['state']}{why}, {counted(target['backlog'], 'frame')} waiting{letters}"


def _device_line(device: dict[str, Any]) -> str:
    why = f" ({device['why']})" if device["why"] else ""
    reads = counted(device["reads"], "read")
    trips = f", {device['typical_ms']:.1f} ms (99 %: {device['p99_ms']:.1f} ms)" if device["reads"] else ""
    locked = f", LOCKED: {visible(device['lock'])}\n        -> {visible(device['offer'])}" if device["lock"] else ""
    return f"device  {device['name']}: {device['state']}{why}, {reads}{trips}, {device['missed']:,} missed{locked}"


def _fault_lines(device: dict[str, Any], now_us: int) -> list[str]:
    """How often which fault was, where there was one."""
    kinds = {kind: count for kind, count in device["failures"] if kind != "refused"}
    kinds |= {f"exception {code}": count for code, count in device["exceptions"]}
    kinds |= dict(device["counted"])
    if not kinds:
        return []
    told = ", ".join(f"{visible(str(kind))}: {count:,}" for kind, count in kinds.items())
    hours = (now_us - device["counted_since_us"]) / 3.6e9
    span = f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"
    return [f"        in {span}: {told}"]


def _refused_lines(device: dict[str, Any]) -> list[str]:
    """What the machine won't give, tag by tag."""
    refused = device["refused"]
    lines = [
        f"        tag {visible(one['tag'])} at {one['where']} is refused: {one['why']}" for one in refused[:REFUSED_MAX]
    ]
    left = len(refused) - REFUSED_MAX
    return [*lines, f"        and {counted(left, 'more refused tag')}"] if left > 0 else lines
