"""A configuration in a folder of its own, changed by each test where it needs to be."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tidegate.config.load import Config, load
from tidegate.errors import ConfigError, Problem

GATEWAY = """\
[gateway]
name = "g1"
state = "state"
[tables.press]
file = "press.csv"
base = "modicon"
[devices]
file = "devices.csv"
[[target]]
name = "local"
url = "mqtt://127.0.0.1:1883"
"""
DEVICES = "name,table,address,unit\npress1,press,tcp://10.0.0.1:502,1\n"
TAGS = "name,address,type\npressure,40001,int16\nstrokes,40003,uint32\n"


class Place:
    """A folder with a configuration. `write` replaces or adds a file; `load` reads it; `problems` tells the faults."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env: dict[str, str] = {}
        self.write("gateway.toml", GATEWAY)
        self.write("devices.csv", DEVICES)
        self.write("press.csv", TAGS)

    @property
    def path(self) -> Path:
        return self.folder / "gateway.toml"

    def write(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def change(self, old: str, new: str, name: str = "gateway.toml") -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new, 1))

    def load(self, drivers: Mapping[str, type] | None = None) -> Config:
        return load(self.path, self.env, drivers)

    def found(self, drivers: Mapping[str, type] | None = None) -> tuple[Problem, ...]:
        try:
            return self.load(drivers).warnings
        except ConfigError as error:
            return error.problems

    def problems(self) -> list[str]:
        """Every problem as printed, its file without the folder."""
        return [str(problem).replace(f"{self.folder}/", "") for problem in self.found()]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)
