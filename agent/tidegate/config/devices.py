"""Rows of the device list, and [[device]] sections, into devices with their tags and groups. It knows no driver."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from tidegate.config import quantities, spreadsheet
from tidegate.config.defaults import Default
from tidegate.config.document import UNSAID, DevicesSection, GroupSection
from tidegate.config.files import Files
from tidegate.config.placeholders import Placeholders
from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit
from tidegate.config.spreadsheet import Row
from tidegate.config.tables import Kind, Tables
from tidegate.config.toml import Toml
from tidegate.errors import Problem
from tidegate.model.device import Device, Group
from tidegate.model.tag import Tag, TagTable

COLUMNS = ("name", "driver", "table", "address", "unit", "area", "identifier", "label", "lock")
DRIVER = "modbus"
DEVICES_MAX = 10_000
GROUP = "default"
INTERVAL_S = 1.0
# A read that takes longer than this is given up, whatever its interval, unless the group says otherwise.
DEADLINE_S_MIN, DEADLINE_S_MAX = 1.0, 10.0

# A device's name is part of messages and paths of topics: any script, but nothing that MQTT gives a meaning.
_NAME = re.compile(r"[^\W_][\w.-]{0,63}")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Placed:
    """A device, and where each thing about it was written: for problems that its driver finds.

    `unsure` are the columns that have been told already: what its driver says about them only follows from that.
    """

    device: Device
    kind: Kind | None
    file: str
    own: frozenset[str]
    defaults: Mapping[str, Default]
    unsure: frozenset[str]
    inline: tuple[Toml, int] | None = None

    def delivered(self, column: str) -> bool:
        """Whether its text is only how the profile's devices are delivered: there is nothing to correct there."""
        return self.kind is not None and column in self.kind.line and self.defaults[column] is self.kind.line[column]

    def place(self, problem: Problem) -> Problem:
        """A driver's problem with this device, put where the text stands that it is about."""
        column = problem.column or ""
        row, shown = problem.row, problem.column
        if column in self.defaults and column not in self.own and not self.delivered(column):
            return self.defaults[column].moved(problem)
        if self.inline is not None:
            source, index = self.inline
            row, shown = source.lines.of(("device", index, column)), None
        key = problem.key if shown else f"{problem.key} {column}".strip()
        return Problem(self.file, key, problem.what, problem.remedy, row, shown, problem.fatal)


class DeviceReader:
    """Reads the devices of one configuration."""

    def __init__(
        self, source: Toml, files: Files, tables: Tables, placeholders: Placeholders, problems: Problems
    ) -> None:
        self._source = source
        self._files = files
        self._tables = tables
        self._placeholders = placeholders
        self._problems = problems
        self._groups = groups(source.document.groups)
        self._tags: dict[tuple[int, str], tuple[Tag, ...]] = {}
        self._whole: dict[int, tuple[Tag, ...] | None] = {}
        self._members: dict[int, dict[str, tuple[int, ...]]] = {}

    def read(self) -> list[Placed]:
        """All devices of both places, with every problem of their rows noted."""
        listed = self._source.document.devices
        found = self._listed(listed) if listed is not None else []
        found += [self._inline(index, texts) for index, texts in enumerate(self._source.document.device)]
        if not found and listed is None and not {"devices", "device"} & self._source.repaired:
            remedy = 'Add [devices] with file = "devices.csv", or a [[device]] section for each'
            self._problems.fault(self._source.file, "", "there is no device", remedy)
        elif len(found) > DEVICES_MAX:
            what = f"there are {len(found):,} devices"
            self._problems.fault(self._source.file, "", what, f"Share them out: one gateway takes {DEVICES_MAX:,}")
        self._refuse_repeats(found)
        return found

    def _listed(self, section: DevicesSection) -> list[Placed]:
        if section.file == UNSAID:
            return []
        try:
            data = self._files.read(section.file)
        except Unfit as unfit:
            self._source.fault(self._problems, ("devices", "file"), unfit.what, unfit.remedy)
            return []
        file = self._files.shown(section.file)
        sheet = spreadsheet.read(data, file, self._problems, section.sheet)
        if sheet is None:
            return []
        missing = [column for column in ("name", "table") if column not in sheet.columns]
        for column in missing:
            what = f"there is no column `{column}`"
            self._problems.fault(file, "", what, f"The columns are: {', '.join(COLUMNS)}", sheet.header)
        if not sheet.rows:
            self._problems.fault(file, "", "there is no device in it", "Add a row for each device", sheet.header)
        return [] if missing else [self._device(file, row, None) for row in sheet.rows]

    def _inline(self, index: int, texts: Mapping[str, str]) -> Placed:
        row = Row(self._source.lines.of(("device", index)), tuple(map(str.lower, texts)), tuple(texts.values()))
        return self._device(self._source.file, row, (self._source, index))

    def _device(self, file: str, row: Row, inline: tuple[Toml, int] | None) -> Placed:
        # Text of the TOML file has been filled in already.
        cells = _Cells(file, row, inline, self._placeholders, self._problems)
        name = cells.name()
        kind = self._kind(cells)
        driver = row.text("driver") or (kind and kind.driver) or DRIVER
        if kind and kind.driver and kind.driver != driver:
            what = f"the profile of its table is read by {kind.driver}, and not by {driver}"
            cells.fault("driver", what, f"Write {kind.driver}, or leave it empty")
        label = cells.read("label", quantities.label, None) or self._source.document.gateway.label
        wide = self._source.document.drivers.get(driver, {})
        defaults = dict(kind.line) if kind else {}
        defaults.update({k.lower(): self._source.default(("drivers", driver, k), v) for k, v in wide.items() if v})
        defaults.update(kind.device if kind else {})
        own = dict(cells.row.others(COLUMNS))
        identifier = cells.text("identifier")
        table = TagTable(name, self._labelled(kind, label), identifier)
        computed = self._computed(kind, table.tags)
        device = Device(
            name=name,
            driver=driver,
            address=cells.text("address"),
            unit=cells.read("unit", quantities.whole, kind.unit if kind else None),
            table=table,
            groups=self._group(name, table),
            options={**{k: d.text for k, d in defaults.items()}, **own},
            area=cells.text("area"),
            identifier=identifier,
            label=label,
            row=row.number,
            computed=TagTable(name, computed, identifier) if computed is not None else None,
            profile=kind.profile if kind and cells.read("lock", _on, True) else "",
        )
        filled = frozenset(c for c, t in zip(cells.row.columns, cells.row.cells, strict=True) if t)
        return Placed(device, kind, file, filled, defaults, cells.unsure, inline)

    def _kind(self, cells: "_Cells") -> Kind | None:
        wanted = cells.text("table")
        if not wanted:
            cells.fault("table", "the device has no table", "Name a [tables.NAME], or a profile such as eastron/sdm630")
            return None
        return cells.read("table", self._tables.of, None)

    def _labelled(self, kind: Kind | None, label: str) -> tuple[Tag, ...]:
        """The tags of a device; sixty devices of one table and label share one tuple."""
        if kind is None:
            return ()
        key = (id(kind), label)
        if key not in self._tags:
            self._tags[key] = kind.tags.labelled(label)
        return self._tags[key]

    def _computed(self, kind: Kind | None, tags: tuple[Tag, ...]) -> tuple[Tag, ...] | None:
        """These tags and those that are computed from them, shared in the same way; None when there are none."""
        if kind is None or not kind.tags.computed:
            return None
        if id(tags) not in self._whole:
            self._whole[id(tags)] = kind.tags.with_computed(tags)
        return self._whole[id(tags)]

    def _group(self, name: str, table: TagTable) -> tuple[Group, ...]:
        if id(table.tags) not in self._members:
            members: dict[str, list[int]] = {}
            for index, tag in enumerate(table.tags):
                members.setdefault(tag.group, []).append(index)
            self._members[id(table.tags)] = {group: tuple(indexes) for group, indexes in members.items()}
        return tuple(
            Group(name, group, *self._groups[group], indexes)
            for group, indexes in self._members[id(table.tags)].items()
        )

    def _refuse_repeats(self, found: list[Placed]) -> None:
        names: dict[str, Placed] = {}
        places: dict[tuple[object, ...], Placed] = {}
        for placed in found:
            device = placed.device
            if device.name and (first := names.setdefault(device.name, placed)) is not placed:
                problem = Problem(
                    "", device.name, f"the name is that of {first.file}:{first.device.row} already",
                    "Give every device its own name", device.row, "name",
                )  # fmt: skip
                self._problems.add(placed.place(problem))
            key = (device.driver, device.address, device.unit, id(device.table.tags))
            if device.address and (first := places.setdefault(key, placed)) is not placed:
                problem = Problem(
                    "", device.name, f"it reads what {first.device.name} reads: same address, unit and table",
                    "Correct address or unit, or remove one of them", device.row, "address", fatal=False,
                )  # fmt: skip
                self._problems.add(placed.place(problem))


def _on(text: str) -> bool:
    """Whether a switch is on. Raises Unfit."""
    if text.lower() not in ("on", "off"):
        raise Unfit(f"{text!r} is neither on nor off", "Write on or off")
    return text.lower() == "on"


class _Cells:
    """The cells of one device, each problem noted where the cell stands."""

    def __init__(
        self, file: str, row: Row, inline: tuple[Toml, int] | None, placeholders: Placeholders, problems: Problems
    ) -> None:
        self.row = row
        self._file = file
        self._inline = inline
        self._problems = problems
        self._unsure: set[str] = set()
        if inline is None:
            self._fill(placeholders)
        else:
            # The texts of the TOML file have been filled in, and their problems told.
            source, index = inline
            self._unsure.update(str(path[2]) for path in source.unfilled if path[:2] == ("device", index))

    @property
    def unsure(self) -> frozenset[str]:
        """The columns with a problem."""
        return frozenset(self._unsure)

    def _fill(self, placeholders: Placeholders) -> None:
        cells = list(self.row.cells)
        for index, column in enumerate(self.row.columns):
            if "${" in cells[index]:
                try:
                    cells[index] = placeholders.fill(cells[index])
                except Unfit as unfit:
                    self.fault(column, unfit.what, unfit.remedy)
        self.row = Row(self.row.number, self.row.columns, tuple(cells))

    def name(self) -> str:
        name = unicodedata.normalize("NFC", self.row.text("name"))
        if not _NAME.fullmatch(name):
            what = f"{name!r} can't be a name" if name else "the device has no name"
            self.fault("name", what, "Use at most 64 letters, digits, `_`, `.` and `-`, a letter or digit first")
        return name

    def text(self, column: str) -> str:
        return self.row.text(column)

    def read(self, column: str, parse: Callable[[str], Value | None], otherwise: Value | None) -> Value | None:
        text = self.row.text(column)
        if not text:
            return otherwise
        try:
            return parse(text)
        except Unfit as unfit:
            self.fault(column, unfit.what, unfit.remedy)
            return otherwise

    def fault(self, column: str, what: str, remedy: str) -> None:
        self._unsure.add(column)
        if self._inline is None:
            self._problems.fault(self._file, self.row.text("name"), what, remedy, self.row.number, column)
            return
        source, index = self._inline
        row = source.lines.of(("device", index, column))
        key = f"{self.row.text('name') or 'device'} {column}"
        self._problems.fault(self._file, key, what, remedy, row)


def groups(sections: Mapping[str, GroupSection]) -> dict[str, tuple[float, float]]:
    """Interval and deadline in seconds of every group, by name; `default` is always there."""
    found = {GROUP: (INTERVAL_S, INTERVAL_S)}
    for name, section in sections.items():
        usual = min(max(section.interval, DEADLINE_S_MIN), DEADLINE_S_MAX)
        found[name] = (section.interval, section.deadline if section.deadline is not None else usual)
    return found
