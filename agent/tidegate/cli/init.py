"""`tidegate init [FOLDER]`: writes the sample configuration, which passes `check`, to be edited."""

import os
import re
from importlib import resources
from pathlib import Path

import click

from tidegate.errors import TidegateError

EXAMPLE = "tidegate_example"  # docs/example, as it is installed
TYPES = (".toml", ".csv")
# The service's folders: it may write to its state alone. Elsewhere the state lies beside the configuration, so that
# whoever may write the sample may run it.
SERVICE, SERVICE_STATE = Path("/etc/tidegate"), "/var/lib/tidegate"
STATE = re.compile(rb'^state = "state" +#.*$', re.M)


class NotWritten(TidegateError):
    """The sample can't be written there; nothing was."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, readable=False), default=".")
def command(folder: Path) -> None:
    """Write a commented sample configuration into FOLDER (made when it is not there). Overwrites nothing."""
    files = sample(folder)
    try:
        there = sorted(str(folder / name) for name in files if os.path.lexists(folder / name))
        if there:
            raise NotWritten(f"{', '.join(there)}: is there already. Name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in sorted(files.items()):
            with (folder / name).open("xb") as file:
                file.write(data)
            click.echo(f"wrote {folder / name}")
    except OSError as error:
        raise NotWritten(f"{error.filename}: {error.strerror}. Name a folder that you may write into") from None
    click.echo(f"Edit them, then: tidegate check {folder / 'gateway.toml'} --wire")


def sample(folder: Path) -> dict[str, bytes]:
    """The files of the sample by name, with a state folder that a gateway may write to that is configured there."""
    files = {file.name: file.read_bytes() for file in _files()}
    if folder.absolute() == SERVICE:
        line = f'state = "{SERVICE_STATE}"     # folder of the buffer: the only one that the service may write to'
        files = {name: STATE.sub(line.encode(), data) for name, data in files.items()}
    return files


def _files() -> list["resources.abc.Traversable"]:
    """The files of the sample that a user edits."""
    return [file for file in resources.files(EXAMPLE).iterdir() if file.name.endswith(TYPES)]
