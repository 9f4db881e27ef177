"""`tidegate profile accept PLACE DEVICE`: the running gateway takes a locked device for what it says it is."""

from pathlib import Path

import click

from tidegate.config.place import state_folder
from tidegate.local import ask
from tidegate.logs import visible


@click.command()
@click.argument("place", type=click.Path(path_type=Path, readable=False))
@click.argument("device")
def accept(place: Path, device: str) -> None:
    """Unlock DEVICE of the gateway that runs with PLACE (its configuration, or its state folder).

    A device is locked when vendor, model or firmware are others than before: its readings are uncertain. `tidegate
    status` says who it is now, and what to write where other registers are for it. Accept it when its readings
    are right as they are read now.
    """
    said = ask(state_folder(place), "accept", device=device)
    click.echo(f"{device} is accepted as {visible(said)}: its readings are good again")
