"""`tidegate buffer letters|resubmit PLACE`: frames that a broker never takes, and sending them once more."""

import contextlib
import dataclasses
import json
import os
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from tidegate.buffer import lock
from tidegate.buffer.control import FILE, Control
from tidegate.buffer.ledger import Ledger
from tidegate.config.place import state_folder
from tidegate.errors import BufferFault, BufferLocked
from tidegate.local import ask
from tidegate.plural import counted

PLACE = click.argument("place", type=click.Path(path_type=Path, readable=False))


@click.command()
@PLACE
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
def letters(place: Path, as_json: bool) -> None:
    """Dead letters: frames that a target's broker refused as themselves. They are kept, and can be sent again."""
    found = _letters(state_folder(place))
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for gap in found:
        taken = datetime.fromtimestamp(gap["t0"] / 1e6, UTC).isoformat(timespec="seconds")
        click.echo(
            f"{gap['targets'][0]}: number {gap['frames'][0][0]} of epoch {gap['epoch']}, {gap['device'] or 'a gap'}, "
            f"{counted(gap['n'], 'reading')} of {taken}"
        )
    click.echo(
        counted(len(found), "dead letter") + (f"; to send again: tidegate buffer resubmit {place}" if found else "")
    )


@click.command()
@PLACE
@click.option("--target", default="", help="Of this target only.")
def resubmit(place: Path, target: str) -> None:
    """Send dead letters once more, after what was wrong at the broker was put right. The agent must run."""
    asked = ask(state_folder(place), "resubmit", target=target)
    if target and target not in asked:
        raise BufferFault(f"the gateway that runs there has no target {target!r}; tidegate status names those it has")
    for name, count in asked.items():
        click.echo(f"{name}: {counted(count, 'dead letter')} will be sent again")


def _letters(folder: Path) -> list[dict[str, Any]]:
    try:
        if not (folder / FILE).exists():
            raise BufferFault(f"{folder}: there is no buffer here. Name the state folder, or the configuration")
        held = lock.take(folder)
    except OSError as error:
        raise BufferFault(f"{error.filename}: {error.strerror}. Run this as the gateway's user") from None
    except BufferLocked:
        found: list[dict[str, Any]] = ask(folder, "letters")
        return found
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, held)
        control = Control(stack.enter_context(closing(Control.open(folder / FILE).db)))
        floors = {numbering.epoch: numbering.floor for numbering in control.numberings()}
        kept = [gap for gap in Ledger(control.db).letters if gap.frames[0][0] >= floors.get(gap.epoch, 1 << 63)]
        return [dataclasses.asdict(gap) for gap in kept]
