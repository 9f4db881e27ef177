"""Reads profiles of a shelf with the tables of their sets: files into Profile, tags and vectors, all problems noted."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from tidegate.config import spreadsheet, toml
from tidegate.config.defaults import Default
from tidegate.config.lines import Lines, Path
from tidegate.config.problems import Problems
from tidegate.config.spreadsheet import Row, Sheet
from tidegate.config.tags import NO_DEFAULT, TagList, read_tags
from tidegate.profiles import reading, vectors
from tidegate.profiles.profile import PROFILE_FILE, SOURCE_COLUMN, Profile, RegisterSet
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.vectors import Vector

# Columns that profiles have and no driver knows.
OWN_COLUMNS = frozenset({SOURCE_COLUMN})


@dataclass(frozen=True, slots=True)
class SetTags:
    """The tags of one set of registers. `sources`: by tag, the ids of the sources that it was taken from."""

    tags: TagList
    sources: Mapping[str, tuple[str, ...]]


class ProfileReader:
    """Reads profiles. `note` is told each file of registers that was read, for the configuration's fingerprint."""

    def __init__(
        self,
        shelf: Shelf,
        problems: Problems,
        groups: Collection[str] = ("default",),
        note: Callable[[str, bytes], None] = lambda name, data: None,
    ) -> None:
        self._shelf = shelf
        self._problems = problems
        self._groups = groups
        self._note = note
        self._lines: dict[str, Lines] = {}

    def profile(self, name: str) -> Profile | None:
        """The profile of a name that is on the shelf; None with problems noted when it can't be used."""
        file = shown(name, PROFILE_FILE)
        data = self._bytes(name, PROFILE_FILE, "profile.toml")
        if data is None:
            return None
        self._note(file, data)
        parsed = toml.parse(data, file, self._problems)
        if parsed is None:
            return None
        tree, self._lines[name] = parsed
        return reading.read(name, file, tree, self._lines[name].of, self._problems.add)

    def device(self, profile: Profile) -> dict[str, Default]:
        """What stands in for options of its devices: what it says of them, and what its bus may not be asked."""
        facts = self._defaults(profile, ("bus",), profile.bus.needs)
        return {**facts, **self._defaults(profile, ("device",), profile.device)}

    def line(self, profile: Profile) -> dict[str, Default]:
        """What stands in for settings of a line that nobody says: as its devices are delivered."""
        return self._defaults(profile, ("bus",), profile.bus.delivered)

    def tags(self, profile: Profile, one: RegisterSet) -> SetTags | None:
        """The tags of one of its sets; None when its file can't be read."""
        data = self._bytes(profile.name, one.registers, f"set.{one.name}.registers")
        if data is None:
            return None
        file = shown(profile.name, one.registers)
        self._note(file, data)
        sheet = spreadsheet.read(data, file, self._problems)
        if sheet is None:
            return None
        index = profile.sets.index(one)
        texts = self._defaults(profile, ("table",), profile.table)
        texts.update(self._defaults(profile, ("set", index, "table"), one.table))
        for column in texts.keys() & NO_DEFAULT:
            self._problems.fault(texts[column].file, texts[column].key, "it belongs to a single tag",
                                 f"Fill in the column `{column}`", texts[column].row)  # fmt: skip
        tags, sources = read_tags(_without(sheet), texts, self._groups, self._problems), self._sources(profile, sheet)
        return SetTags(tags, {tag.name: sources.get(tag.row, ()) for tag in tags.tags})

    def vectors(self, profile: Profile, one: RegisterSet) -> tuple[Vector, ...]:
        """The golden vectors of one of its sets; none with a problem noted when there is no such file."""
        data = self._bytes(profile.name, one.vectors, f"set.{one.name}.vectors")
        file = shown(profile.name, one.vectors)
        sheet = spreadsheet.read(data, file, self._problems) if data is not None else None
        if sheet is None:
            return ()
        missing = [column for column in vectors.COLUMNS if column not in sheet.columns]
        if missing:
            remedy = f"The columns are: {', '.join(vectors.COLUMNS)}"
            self._problems.fault(file, "", f"there is no column `{missing[0]}`", remedy, sheet.header)
            return ()
        found = []
        for row in sheet.rows:
            try:
                tag, at, words, raw, value = (row.text(column) for column in vectors.COLUMNS)
                found.append(vectors.parse(tag, at, words, raw, value, row.number))
            except ValueError as wrong:
                self._problems.fault(file, row.text("tag"), str(wrong), "Correct this row", row.number)
        return tuple(found)

    def _bytes(self, name: str, file: str, key: str) -> bytes | None:
        data = self._shelf.read(name, file)
        if data is None:
            what = f"there is no {file} in its folder, or it is too large"
            self._problems.fault(shown(name, PROFILE_FILE), key, what, "Add the file, or correct its name")
        return data

    def _defaults(self, profile: Profile, path: Path, pairs: tuple[tuple[str, str], ...]) -> dict[str, Default]:
        file, lines = shown(profile.name, PROFILE_FILE), self._lines[profile.name]
        return {k: Default(text, file, toml.dotted((*path, k)), lines.of((*path, k))) for k, text in pairs}

    def _sources(self, profile: Profile, sheet: Sheet) -> dict[int | None, tuple[str, ...]]:
        """By row where it was taken from, each a source of the profile."""
        known = {source.id for source in profile.sources}
        found: dict[int | None, tuple[str, ...]] = {}
        for row in sheet.rows:
            named = tuple(row.text(SOURCE_COLUMN).split())
            strange = [one for one in named if one not in known]
            if strange or not named:
                what = f"there is no source {strange[0]!r}" if strange else "it does not say where it was taken from"
                remedy = f"Name ids of [[sources]], with a space between them: {', '.join(sorted(known))}"
                self._problems.fault(sheet.file, row.text("name"), what, remedy, row.number, SOURCE_COLUMN)
            found[row.number] = named
        return found


def shown(name: str, file: str) -> str:
    """How problems name a file of a profile."""
    return f"profile {name} {file}"


def _without(sheet: Sheet) -> Sheet:
    """The sheet as a tag table: without the columns that only profiles have."""
    kept = [index for index, column in enumerate(sheet.columns) if column not in OWN_COLUMNS]
    columns = tuple(sheet.columns[index] for index in kept)
    rows = tuple(Row(row.number, columns, tuple(row.cells[index] for index in kept)) for row in sheet.rows)
    return replace(sheet, columns=columns, rows=rows)
