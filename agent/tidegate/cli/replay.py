"""`tidegate buffer replay PLACE`: has the running agent send kept frames to a target once more."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from tidegate.config.place import state_folder
from tidegate.local import ask

EXIT_NOT_ALL = 1
LOOK_S = 0.2
WAIT_S = 300.0


@click.command()
@click.argument("place", type=click.Path(path_type=Path, readable=False))
@click.option("--target", default="", help="To this target; without it, the only one that there is.")
@click.option("--epoch", default="", help="Of this epoch; without it, the current one.")
@click.option("--from", "first", type=click.IntRange(1), required=True, help="From this number on.")
@click.option("--to", "last", type=click.IntRange(1), default=None, help="Up to this number; without it, the last one.")
@click.option("--wait", "waits", is_flag=True, help="Follow it until the broker has acknowledged all of it.")
@click.option("--deadline", type=click.FloatRange(0, min_open=True), default=WAIT_S, show_default=True, help="Seconds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def replay(
    place: Path, target: str, epoch: str, first: int, last: int | None, waits: bool, deadline: float, as_json: bool
) -> None:
    """Send kept frames again to a target, in its replay lane: same numbers, so that nothing counts twice.

    The agent must run. With --wait, exits 1 when not all of it was acknowledged in time.
    """
    folder = state_folder(place)
    said = ask(folder, "replay", target=target, epoch=epoch, first=first, last=last)
    if not as_json:
        click.echo("\n".join(_accepted(said)))
    if waits:
        said = _followed(folder, said, time.monotonic() + deadline)
    if as_json:
        click.echo(json.dumps(said, ensure_ascii=False))
    elif waits:
        click.echo(_ended(said))
    if waits and (not said["over"] or said["acknowledged"] < said["frames"]):
        sys.exit(EXIT_NOT_ALL)


def _followed(folder: Path, said: dict[str, Any], end_s: float) -> dict[str, Any]:
    """How the replay was when it was over, or when the time was."""
    while not said["over"] and time.monotonic() < end_s:
        time.sleep(LOOK_S)
        said = ask(folder, "replayed", target=said["target"], id=said["id"])
    return said


def _accepted(said: dict[str, Any]) -> list[str]:
    when = "now" if said["connected"] else "when it is connected again (`tidegate status` says why it is not)"
    lines = [f"{said['target']}: {said['frames']} frames of epoch {said['epoch']} are sent again {when}"]
    if said["kept"]:
        lines.append(f"  kept      {_ranges(said['kept'])}")
    lines += [f"  gone      {_ranges(gone['frames'])}: {gone['why']}" for gone in said["gone"]]
    if said["pending"]:
        lines.append(f"  on the way for the first time, so not sent again: {_ranges(said['pending'])}")
    return lines


def _ended(said: dict[str, Any]) -> str:
    words = f"{said['target']}: {said['acknowledged']} of {said['frames']} frames sent again and acknowledged"
    if said["failed"]:
        words += f"; not sent: {_ranges(said['failed'])} (the log says why)"
    elif not said["over"]:
        words += "; it goes on" if said["connected"] else "; it goes on when the target is connected again"
    return words


def _ranges(pairs: list[list[int]]) -> str:
    return ", ".join(f"{first}..{last}" for first, last in pairs)
