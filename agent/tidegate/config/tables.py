"""Finds the tags that a device's `table` names: a [tables.NAME] of the configuration, or a shipped device profile.

A profile is a folder of firmware-profiles/devices; `vendor/model@1.14` chooses among its sets of registers.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from tidegate.config import spreadsheet, toml
from tidegate.config.defaults import Default
from tidegate.config.document import UNSAID, TableSection
from tidegate.config.files import Files
from tidegate.config.problems import Problems
from tidegate.config.profiles import ProfileReader
from tidegate.config.quantities import Unfit, did_you_mean
from tidegate.config.tags import NO_DEFAULT, TagList, read_tags
from tidegate.profiles.profile import NoSet, Profile
from tidegate.profiles.shelf import CHOICE, Shelf, split


@dataclass(frozen=True, slots=True)
class Kind:
    """What devices of one table have in common: their tags, defaults for the devices' own options, their usual unit.

    `line` are settings of the line that hold where nothing else says them.
    `profile` is the profile and set of registers that they are of, where that says how they can be asked. `driver` is
    who reads them, "" where the table does not say.
    """

    tags: TagList
    device: Mapping[str, Default]
    unit: int | None = None
    line: Mapping[str, Default] = field(default_factory=dict)
    profile: str = ""
    driver: str = ""


class Tables:
    """The tables of one configuration; each file is read once, when a device first names it."""

    def __init__(self, source: toml.Toml, files: Files, groups: Collection[str], problems: Problems) -> None:
        self._source = source
        self._files = files
        self._groups = groups
        self._problems = problems
        self._kinds: dict[str, Kind | None] = {}
        self._used: set[str] = set()
        shelf = Shelf()
        self._profiles = shelf.names()
        self._reader = ProfileReader(shelf, problems, groups, files.note)

    def read_all(self) -> None:
        """Read every configured table, also those that no device uses, so that their problems are found."""
        for name in self._source.document.tables:
            self._kinds[name] = self._configured(name, self._source.document.tables[name])

    def of(self, name: str) -> Kind | None:
        """The table of a name; None when there is none that can be used. Raises Unfit when nobody knows the name."""
        if name not in self._kinds:
            profile, choice = split(name)
            if profile not in self._profiles:
                known = [*self._source.document.tables, *self._profiles]
                raise Unfit(f"there is no table {name!r}", did_you_mean(name, known))
            self._kinds[name] = self._profile(profile, choice)
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

    def _profile(self, name: str, choice: str) -> Kind | None:
        """The kind of a shipped profile's set of registers. Raises Unfit when it has no such set, or several."""
        profile = self._reader.profile(name)
        if profile is None:
            return None
        try:
            chosen = profile.choose(choice)
        except NoSet as none:
            raise Unfit(none.what, none.remedy) from None
        found = self._reader.tags(profile, chosen)
        if found is None:
            return None
        asked = f"{name}{CHOICE}{chosen.name}" if profile.identity else ""
        device, line = self._reader.device(profile), self._reader.line(profile)
        return Kind(found.tags, device, profile.bus.unit, line, asked, profile.driver)


def profiles() -> list[str]:
    """The names of the shipped device profiles: `eastron/sdm630`."""
    return Shelf().names()


def recognisable() -> tuple[Profile, ...]:
    """The shipped profiles whose devices can say who they are, without their registers."""
    shelf = Shelf()
    reader = ProfileReader(shelf, Problems())
    found = [reader.profile(name) for name in shelf.names()]
    return tuple(profile for profile in found if profile is not None and profile.identity)
