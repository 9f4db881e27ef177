"""Rows of a tag table into tags, each row checked by itself. It knows no driver: what it does not know is an option."""

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from tidegate.config import arrays, quantities
from tidegate.config.defaults import Default
from tidegate.config.formulas import ALARM_TYPES, Computed, check_formulas, described, labels, usual_type
from tidegate.config.names import bit_names, value_names
from tidegate.config.powers import check_powers
from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit, did_you_mean
from tidegate.config.spreadsheet import Row, Sheet
from tidegate.errors import Problem
from tidegate.model.names import Names
from tidegate.model.tag import ACCESS, INTEGERS, Scale, Tag, Type
from tidegate.shape.formula import Alarm, Misformed, parse

COLUMNS = (
    "name", "address", "type", "scale", "offset", "unit", "group", "deadband", "heartbeat", "low", "high", "label",
    "identifier", "access", "description", "formula", "scale_by",
    "values", "bits", "count",
)  # fmt: skip
REQUIRED = ("name", "type")
# Columns that say something of one tag only, so that a default for a whole table means nothing.
NO_DEFAULT = frozenset(
    {"name", "address", "identifier", "description", "formula", "scale_by", "values", "bits", "count"}
)
# What a computed tag has; of a table's defaults only the label is meant for it.
COMPUTED_COLUMNS = frozenset(
    {
        "name", "type", "unit", "deadband", "heartbeat", "low", "high", "label", "identifier", "description", "formula",
        "values", "bits",
    }
)  # fmt: skip

# Types of values that have no distance from one another.
UNSCALED = frozenset({Type.BOOL, Type.STRING})

HEARTBEAT_S_MIN, HEARTBEAT_S_MAX = 0.1, 86_400.0
TEXT_LETTERS_MAX = 1000
TAGS_MAX = 100_000
# Of a first row that names no column that we know, so much is repeated.
COLUMNS_SHOWN, COLUMN_LETTERS_SHOWN = 8, 20
# float64 holds every whole number up to here.
EXACT_MAX = 2**53
WIDE = {Type.INT64: 2**63, Type.UINT64: 2**64 - 1}

# A tag's name goes into JSON only, so it may be in any script, with spaces; never with a control character.
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,126}[^\s\x00-\x1f\x7f])?")

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class TagList:
    """The tags that devices of one kind share.

    `own` says which columns the rows themselves fill in, by row; `defaults` stand in for the others. `label` is ""
    in tags whose row gives none: it is the device's. `unsure` are the rows whose type is unknown: what a driver says
    about them may follow from that. `computed` are the tags that follow from `tags`.
    """

    file: str
    tags: tuple[Tag, ...]
    own: Mapping[int, frozenset[str]]
    defaults: Mapping[str, Default]
    unsure: frozenset[int]
    computed: tuple[Computed, ...] = ()

    def labelled(self, label: str) -> tuple[Tag, ...]:
        """The tags for a device of this label."""
        return tuple(tag if tag.label else replace(tag, label=label) for tag in self.tags)

    def with_computed(self, tags: tuple[Tag, ...]) -> tuple[Tag, ...] | None:
        """These labelled tags, and the computed ones after them; None when there are none."""
        return (*tags, *labels(tags, self.computed)) if self.computed else None


def read_tags(sheet: Sheet, defaults: Mapping[str, Default], groups: Collection[str], problems: Problems) -> TagList:
    """The tags of a sheet. `defaults` are texts by column for rows that leave it empty, all columns included."""
    missing = [c for c in REQUIRED if c not in sheet.columns and c not in defaults]
    for column in missing:
        remedy = _rename(column, sheet.columns)
        problems.fault(sheet.file, "", f"there is no column `{column}`", remedy, sheet.header)
    if missing:
        return TagList(sheet.file, (), {}, defaults, frozenset())
    others = {column: default.text for column, default in defaults.items() if column not in COLUMNS}
    of_label = {column: default for column, default in defaults.items() if column == "label"}
    formulas = [_TagRow(sheet, row, of_label, groups, problems) for row in sheet.rows if row.text("formula")]
    readers = [_TagRow(sheet, row, defaults, groups, problems) for row in sheet.rows if not row.text("formula")]
    tags = [tag for reader in readers for tag in reader.tags(others)]
    if len(tags) > TAGS_MAX:
        problems.fault(sheet.file, "", f"it has {len(tags):,} tags", f"Share them out: a table takes {TAGS_MAX:,}")
        tags = tags[:TAGS_MAX]
    computed = [one for reader in formulas if (one := reader.computed()) is not None]
    if not readers:
        problems.fault(sheet.file, "", "there is no tag in it", "Add a row for each tag", sheet.header)
    _refuse_repeats(sheet.file, [*tags, *(one.tag for one in computed)], problems)
    check_powers(sheet.file, tags, problems)
    if not any(reader.misformed for reader in formulas):
        check_formulas(sheet.file, tags, computed, problems)
    own = {r.row.number: frozenset(c for c, t in zip(r.row.columns, r.row.cells, strict=True) if t) for r in readers}
    return TagList(
        sheet.file,
        tuple(tags),
        {number: columns for number, columns in own.items() if number is not None},
        defaults,
        frozenset(reader.row.number for reader in readers if reader.unsure and reader.row.number is not None),
        tuple(computed),
    )


def _rename(column: str, columns: Collection[str]) -> str:
    near = did_you_mean(column, columns)
    return (
        f"Rename `{near.split('`')[1]}`, or add it"
        if "`" in near
        else f"Add it to the first row, which has {_listed(columns)}"
    )


def _listed(columns: Collection[str]) -> str:
    return ", ".join(f"`{column[:COLUMN_LETTERS_SHOWN]}`" for column in list(columns)[:COLUMNS_SHOWN])


class _TagRow:
    """Reads one row. A cell that can't be used is told, and a harmless value stands in, so that all cells are seen."""

    def __init__(
        self, sheet: Sheet, row: Row, defaults: Mapping[str, Default], groups: Collection[str], problems: Problems
    ) -> None:
        self.row = row
        self.unsure = False
        self.misformed = False
        self._sheet = sheet
        self._defaults = defaults
        self._groups = groups
        self._problems = problems
        self._name = unicodedata.normalize("NFC", row.text("name"))

    def tags(self, others: Mapping[str, str]) -> list[Tag]:
        """The tag, or the tags of an array; none when not even a name can be used."""
        tag = self._tag(others)
        if tag is None or not self.row.text(arrays.COLUMN):
            return [] if tag is None else [tag]
        try:
            return arrays.elements(tag, arrays.numbers(self.row.text(arrays.COLUMN)))
        except Unfit as unfit:
            self._fault(arrays.COLUMN, unfit.what, unfit.remedy)
            return [tag]

    def _tag(self, others: Mapping[str, str]) -> Tag | None:
        """The tag; None when even its name can't be used."""
        if not self._named():
            return None
        raw = self._type()
        bounds = self._bounds()
        scale = self._scale(raw, bounds)
        own = dict(self.row.others(COLUMNS))
        power = self.row.text("scale_by")
        deadband = self._deadband(raw, bounds)
        return Tag(
            name=self._name,
            type=raw if scale.neutral and not power else Type.FLOAT64,
            raw=raw,
            address=self._text("address"),
            options=tuple({**others, **own}.items()),
            group=self._group(),
            scale=scale,
            deadband=deadband,
            heartbeat_s=self._heartbeat(deadband),
            unit=self._text("unit"),
            range=bounds,
            description=self._text("description"),
            label=self._read("label", quantities.label, ""),
            identifier=self._text("identifier"),
            access=self._read("access", lambda text: quantities.one_of(text, ACCESS), "read"),
            row=self.row.number,
            scale_by=power,
            names=self._names(raw, not scale.neutral or bool(power)),
        )

    def computed(self) -> Computed | None:
        """The tag of a row with a formula; None when its name or its formula can't be used."""
        try:
            formula = parse(self.row.text("formula"))
        except Misformed as misformed:
            self.misformed = True
            self._fault("formula", misformed.what, misformed.remedy)
            return None
        for column, _ in self.row.others(COMPUTED_COLUMNS):
            self._fault(column, "a computed tag is not read from the device", "Leave it empty, or remove the formula")
        if not self._named():
            return None
        kind = self._type() if self._given("type") else usual_type(formula)
        if kind == Type.STRING or (isinstance(formula, Alarm) and kind not in ALARM_TYPES):
            known = f"Leave it empty, which is {usual_type(formula).word}, or use a number or bool"
            self._fault("type", f"what this formula gives is no {kind.word}", known)
            kind = usual_type(formula)
        bounds = self._bounds()
        deadband = self._deadband(kind, bounds)
        tag = Tag(
            name=self._name,
            type=kind,
            raw=kind,
            deadband=deadband,
            heartbeat_s=self._heartbeat(0.0 if isinstance(formula, Alarm) else deadband),
            unit=self._text("unit"),
            range=bounds,
            description=self._text("description"),
            label=self._read("label", quantities.label, ""),
            identifier=self._text("identifier"),
            row=self.row.number,
            formula=self.row.text("formula"),
            names=self._names(kind, False),
        )
        return Computed(described(tag, formula), formula)

    def _named(self) -> bool:
        if _NAME.fullmatch(self._name):
            return True
        what = f"{self._name!r} can't be a name" if self._name else "the tag has no name"
        self._fault("name", what, "Use 1 to 128 letters without control characters")
        return False

    def _type(self) -> Type:
        if not self._given("type"):
            self.unsure = True
            self._fault("type", "it is empty", f"Fill in one of: {', '.join(t.word for t in Type)}")
            return Type.UINT16
        try:
            return Type.of(self._given("type"))
        except ValueError:
            self.unsure = True
            known = did_you_mean(self._given("type").lower(), [t.word for t in Type])
            self._fault("type", f"{self._given('type')!r} is no type", known)
            return Type.UINT16

    def _bounds(self) -> tuple[float, float] | None:
        low, high = self._read("low", self._number, None), self._read("high", self._number, None)
        if low is None and high is None:
            return None
        if low is None or high is None:
            if bool(self._given("low")) != bool(self._given("high")):
                empty = "high" if self._given("low") else "low"
                self._fault(empty, "only one end of the range is filled in", "Fill in low and high, or neither")
            return None
        if low >= high:
            self._fault("low", f"the range {low:g} to {high:g} holds nothing", "Make low smaller than high")
            return None
        return low, high

    def _scale(self, raw: Type, bounds: tuple[float, float] | None) -> Scale:
        offset = self._read("offset", self._number, 0.0)
        comma = self._sheet.decimal_comma
        scale = self._read("scale", lambda text: quantities.scale(text, offset, comma), Scale(offset=offset))
        if scale.neutral or self.unsure:
            return Scale() if scale.neutral else scale
        if raw in UNSCALED:
            # A default of the table is meant for its numbers.
            for column in ("scale", "offset"):
                if self.row.text(column):
                    self._fault(column, f"a {raw.word} can't be scaled", "Leave scale and offset empty")
            return Scale()
        if raw in WIDE and _reach(raw, scale, bounds) > EXACT_MAX:
            what = "scaled values are float64, which rounds whole numbers beyond 2^53, and this tag may reach them"
            remedy = "Leave scale and offset empty to keep every digit, or fill in low and high"
            self._tell("scale", what, remedy, fatal=False)
        return scale

    def _deadband(self, raw: Type, bounds: tuple[float, float] | None) -> float | None:
        comma = self._sheet.decimal_comma
        without = bounds is None and self._given("deadband").endswith("%")
        if without and not self._given("low") and not self._given("high") and raw not in UNSCALED:
            what = f"{self._given('deadband')!r} is a part of a range, and the tag has none"
            self._tell("deadband", what, "Fill in low and high, or give it in the tag's unit")
        known = (0.0, 1.0) if without else bounds
        value = self._read("deadband", lambda text: quantities.deadband(text, known, comma), None)
        if raw not in UNSCALED or not value or self.unsure:
            return value
        if self.row.text("deadband"):
            self._fault("deadband", f"a {raw.word} has no distance from another", "Write 0 to report every change")
        return 0.0

    def _heartbeat(self, deadband: float | None) -> float:
        value = self._read("heartbeat", lambda text: quantities.seconds(text, HEARTBEAT_S_MIN, HEARTBEAT_S_MAX), 0.0)
        if value and deadband is None and self.row.text("heartbeat") and not self._given("deadband"):
            what = "it does nothing, since every reading is reported"
            self._tell("heartbeat", what, "Fill in deadband, or leave heartbeat empty", fatal=False)
        return value

    def _names(self, kind: Type, scaled: bool) -> Names:
        if self.unsure:
            return Names()
        values = self._read("values", lambda text: value_names(text, kind, scaled), Names())
        bits = self._read("bits", lambda text: bit_names(text, kind, scaled), Names())
        if self.row.text("values") and self.row.text("bits"):
            self._fault("bits", "its values have names already", "Fill in values or bits, not both")
        return values or bits

    def _group(self) -> str:
        name = self._given("group") or "default"
        if name not in self._groups:
            self._fault("group", f"there is no group {name!r}", did_you_mean(name, self._groups))
            return "default"
        return name

    def _text(self, column: str) -> str:
        text = self._given(column)
        if len(text) > TEXT_LETTERS_MAX:
            self._fault(column, f"it is longer than {TEXT_LETTERS_MAX} letters", "Shorten it")
        return text

    def _number(self, text: str) -> float:
        return quantities.number(text, self._sheet.decimal_comma)

    def _read(self, column: str, parse: Callable[[str], Value], otherwise: Value) -> Value:
        text = self._given(column)
        if not text:
            return otherwise
        try:
            return parse(text)
        except Unfit as unfit:
            self._fault(column, unfit.what, unfit.remedy)
            return otherwise

    def _given(self, column: str) -> str:
        text = self.row.text(column)
        return text if text or column not in self._defaults else self._defaults[column].text

    def _tell(self, column: str, what: str, remedy: str, fatal: bool = True) -> None:
        """Note what is wrong with this row alone, even where a default stands in for the cell."""
        self._problems.add(Problem(self._sheet.file, self._name, what, remedy, self.row.number, column, fatal))

    def _fault(self, column: str, what: str, remedy: str) -> None:
        """Note what is wrong with a cell, or with the default that stands in for it."""
        problem = Problem(self._sheet.file, self._name, what, remedy, self.row.number, column)
        default = self._defaults.get(column)
        self._problems.add(default.moved(problem) if default and not self.row.text(column) else problem)


def _reach(raw: Type, scale: Scale, bounds: tuple[float, float] | None) -> float:
    """The largest whole number that the device may hold for a tag: of its range, else of its type."""
    widest = WIDE.get(raw, max(WIDE.values()) if raw in INTEGERS else 0)
    if bounds is None:
        return widest
    return min(widest, max(abs((end - scale.offset) * scale.denominator / scale.numerator) for end in bounds))


def _refuse_repeats(file: str, tags: list[Tag], problems: Problems) -> None:
    seen: dict[str, int | None] = {}
    told = set()
    for tag in tags:
        # Of two arrays that share names, once.
        rows = (seen.get(tag.name), tag.row)
        if tag.name in seen and (rows not in told or None in rows):
            told.add(rows)
            what = f"the name stands in row {seen[tag.name]} already"
            problems.fault(file, tag.name, what, "Give every tag of a table its own name", tag.row, "name")
        seen.setdefault(tag.name, tag.row)
