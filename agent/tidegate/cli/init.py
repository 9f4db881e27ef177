"""`tidegate init [FOLDER]`: writes the sample configuration, which passes `check`, to be edited."""

from importlib import resources
from pathlib import Path

import click

from tidegate.errors import TidegateError

EXAMPLE = "tidegate_example"  # docs/example, as it is installed
TYPES = (".toml", ".csv")


class NotWritten(TidegateError):
    """The sample can't be written there; nothing was."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=".")
def command(folder: Path) -> None:
    """Write a commented sample configuration into FOLDER (made when it is not there). Overwrites nothing."""
    sample = {file.name: file.read_bytes() for file in _files()}
    there = sorted(name for name in sample if (folder / name).exists() or (folder / name).is_symlink())
    if there:
        raise NotWritten(f"{', '.join(str(folder / name) for name in there)}: is there already. Name another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in sorted(sample.items()):
            with (folder / name).open("xb") as file:
                file.write(data)
            click.echo(f"wrote {folder / name}")
    except OSError as error:
        raise NotWritten(f"{error.filename}: {error.strerror}. Name a folder that you may write into") from None
    click.echo(f"Edit them, then: tidegate check {folder / 'gateway.toml'} --wire")


def _files() -> list["resources.abc.Traversable"]:
    """The files of the sample that a user edits."""
    return [file for file in resources.files(EXAMPLE).iterdir() if file.name.endswith(TYPES)]
