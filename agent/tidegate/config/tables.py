"""Finds the tags that a device's `table` names: a [tables.NAME] of the configuration, or a shipped device profile.

A profile is a folder of firmware-profiles/devices: `profile.toml` with defaults, `registers.csv` with the tags.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from tidegate.config import spreadsheet, toml
from tidegate.config.defaults import Default
from tidegate.config.document import UNSAID, TableSection, plain_text
from tidegate.config.files import Files
from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit, did_you_mean
from tidegate.config.tags import NO_DEFAULT, TagList, read_tags

PROFILES = "tidegate_profiles"
PROFILE_FILE, REGISTERS_FILE = "profile.toml", "registers.csv"


@dataclass(frozen=True, slots=True)
class Kind:
    """What devices of one table have in common: their tags, and defaults for the devices' own options."""

    tags: TagList
    device: Mapping[str, Default]


class Tables:
    """The tables of one configuration; each file is read once, when a device first names it."""

    def __init__(self, source: toml.Toml, files: Files, groups: Collection[str], problems: Problems) -> None:
        self._source = source
        self._files = files
        self._groups = groups
        self._problems = problems
        self._kinds: dict[str, Kind | None] = {}
        self._used: set[str] = set()
        self._profiles = sorted(profiles())

    def read_all(self) -> None:
        """Read every configured table, also those that no device uses, so that their problems are found."""
        for name in self._source.document.tables:
            self._kinds[name] = self._configured(name, self._source.document.tables[name])

    def of(self, name: str) -> Kind | None:
        """The table of a name; None when there is none that can be used. Raises Unfit when nobody knows the name."""
        if name not in self._kinds:
            if name not in self._profiles:
                known = [*self._source.document.tables, *self._profiles]
                raise Unfit(f"there is no table {name!r}", did_you_mean(name, known))
            self._kinds[name] = self._profile(name)
        self._used.add(name)
        return self._kinds[name]

    def unused(self) -> list[str]:
        """Names of configured tables that no device has asked for."""
        return [name for name in self._source.document.tables if name not in self._used]

    def _configured(self, name: str, section: TableSection) -> Kind | None:
        texts = section.__pydantic_extra__ or {}
        defaults = {}
        for key, text in texts.items():
            path = ("tables", name, key)
            if key.lower() in NO_DEFAULT:
                what = "it belongs to a single tag, and can't stand for a whole table"
                self._source.fault(self._problems, path, what, f"Fill in the column `{key}` in {section.file}")
            elif text:
                defaults[key.lower()] = self._source.default(path, text)
        if section.file == UNSAID:
            return None
        try:
            data = self._files.read(section.file)
        except Unfit as unfit:
            self._source.fault(self._problems, ("tables", name, "file"), unfit.what, unfit.remedy)
            return None
        sheet = spreadsheet.read(data, self._files.shown(section.file), self._problems, section.sheet)
        return Kind(read_tags(sheet, defaults, self._groups, self._problems), {}) if sheet else None

    def _profile(self, name: str) -> Kind | None:
        folder = _folder().joinpath(*name.split("/"))
        file = f"profile {name} {PROFILE_FILE}"
        data = folder.joinpath(PROFILE_FILE).read_bytes()
        registers = folder.joinpath(REGISTERS_FILE).read_bytes()
        self._files.note(file, data)
        self._files.note(f"profile {name} {REGISTERS_FILE}", registers)
        parsed = toml.parse(data, file, self._problems)
        sheet = spreadsheet.read(registers, f"profile {name} {REGISTERS_FILE}", self._problems)
        if parsed is None or sheet is None:
            return None
        tree, lines = parsed

        def defaults(section: str) -> dict[str, Default]:
            entries: dict[str, Any] = tree.get(section, {})
            texts = {key: plain_text(value) for key, value in entries.items()}
            return {k: Default(text, file, f"{section}.{k}", lines.of((section, k))) for k, text in texts.items()}

        return Kind(read_tags(sheet, defaults("table"), self._groups, self._problems), defaults("device"))


def profiles() -> list[str]:
    """The names of the shipped device profiles: `eastron/sdm630`."""
    folder = _folder()
    if not folder.is_dir():
        return []
    vendors = [vendor for vendor in folder.iterdir() if vendor.is_dir()]
    return [
        f"{vendor.name}/{model.name}"
        for vendor in vendors
        for model in vendor.iterdir()
        if model.is_dir() and model.joinpath(PROFILE_FILE).is_file()
    ]


def _folder() -> Traversable:
    return resources.files(PROFILES).joinpath("devices")
