"""Reads a profile.toml, parsed, into a Profile, with every problem told by its key. It opens no file."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tidegate.errors import Problem
from tidegate.model.option import duration_s
from tidegate.profiles.firmware import HOW_TO_WRITE, Range
from tidegate.profiles.identity import FIELDS, Ask, Kind, Place, Step, Wanted
from tidegate.profiles.profile import MODBUS, REGISTERS_FILE, VECTORS_FILE, Bus, Evidence, Profile, RegisterSet, Source

Path = tuple[str | int, ...]

KEYS = {
    "": (
        "vendor", "model", "aliases", "description", "evidence", "driver", "sources", "set", "identity", "bus", "table",
        "device",
    ),
    "sources": ("id", "document", "revision", "place"),
    "set": ("name", "firmware", "registers", "vectors", "table", "models", "note"),
    "bus": ("unit", "baud", "parity", "even_only", "pause", "connect_pause"),
    "place": ("at", "type", "length"),
}  # fmt: skip
IDENTITY_KEYS = ("ask", "at", "type", "length", "is", "firmware", "version")
PARITIES = ("none", "even", "odd")
BAUDS = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200)
ENTRIES_MAX = 50
TEXT_LETTERS_MAX = 500

_FILE = re.compile(r"[\w.-]+\.csv")
_WORD = re.compile(r"[a-z0-9][a-z0-9.-]*")


def read(
    name: str,
    file: str,
    tree: Mapping[str, Any],
    row_of: Callable[[Path], int | None],
    add: Callable[[Problem], None],
) -> Profile | None:
    """The profile `name` of a parsed `file`, or None with its problems added. `row_of` gives the line of a key."""
    reader = _Reader(file, row_of, add)
    found = reader.profile(name, tree)
    return None if reader.failed else found


class _Reader:
    """Takes texts out of tables; what can't be used is told, and something harmless stands in."""

    def __init__(self, file: str, row_of: Callable[[Path], int | None], add: Callable[[Problem], None]) -> None:
        self.failed = False
        self._file = file
        self._row_of = row_of
        self._add = add

    def profile(self, name: str, tree: Mapping[str, Any]) -> Profile:
        """The whole file."""
        self._known((), tree, KEYS[""])
        evidence = self._one_of((), tree, "evidence", list(Evidence))
        sources = tuple(self._source(path, entry) for path, entry in self._entries(tree, "sources"))
        self._once([source.id for source in sources], ("sources",), "id")
        if not sources:
            self._wrong(("sources",), "it names no source", "Add [[sources]] with id, document, revision and place")
        sets = tuple(self._set(path, entry) for path, entry in self._entries(tree, "set"))
        self._once([one.name for one in sets], ("set",), "name")
        return Profile(
            name,
            self._text((), tree, "vendor"),
            self._text((), tree, "model"),
            self._texts((), tree, "aliases"),
            self._text((), tree, "description"),
            Evidence(evidence) if evidence else Evidence.SINGLE,
            sources,
            sets or (RegisterSet("any", Range.parse("any"), REGISTERS_FILE, VECTORS_FILE),),
            tuple(self._step(path, entry) for path, entry in self._entries(tree, "identity")),
            self._bus(self._section((), tree, "bus")),
            self._pairs(("table",), self._section((), tree, "table")),
            self._pairs(("device",), self._section((), tree, "device")),
            self._text((), tree, "driver", MODBUS),
        )

    def _source(self, path: Path, entry: Mapping[str, Any]) -> Source:
        self._known(path, entry, KEYS["sources"])
        source = Source(
            self._text(path, entry, "id"),
            self._text(path, entry, "document"),
            self._text(path, entry, "place"),
            self._text(path, entry, "revision", ""),
        )
        if source.id and not _WORD.fullmatch(source.id):
            self._wrong((*path, "id"), f"{source.id!r} can't be an id", "Use lower-case letters, digits, `.` and `-`")
        return source

    def _set(self, path: Path, entry: Mapping[str, Any]) -> RegisterSet:
        self._known(path, entry, KEYS["set"])
        text = self._text(path, entry, "firmware")
        firmware = Range.parse("any")
        try:
            firmware = Range.parse(text) if text else firmware
        except ValueError as wrong:
            self._wrong((*path, "firmware"), str(wrong), HOW_TO_WRITE)
        name = self._text(path, entry, "name", "any" if firmware.is_any else "")
        if not _WORD.fullmatch(name):
            self._wrong((*path, "name"), f"{name!r} can't be a set's name", 'Name it, such as name = "1.14"')
        registers = self._file_name(path, entry, "registers", REGISTERS_FILE)
        vectors = self._file_name(path, entry, "vectors", VECTORS_FILE)
        table = self._pairs((*path, "table"), self._section(path, entry, "table"))
        models = self._texts(path, entry, "models")
        return RegisterSet(name, firmware, registers, vectors, table, models, self._text(path, entry, "note", ""))

    def _file_name(self, path: Path, entry: Mapping[str, Any], key: str, usual: str) -> str:
        text = self._text(path, entry, key, usual)
        if not _FILE.fullmatch(text):
            self._wrong((*path, key), f"{text!r} is no CSV file of this folder", f"Write its name: {usual}")
        return text

    def _step(self, path: Path, entry: Mapping[str, Any]) -> Step:
        word = self._one_of(path, entry, "ask", list(Ask))
        if not word:
            return Step(Ask.REGISTERS, ())
        ask = Ask(word)
        fields = {"is": "answer"} if FIELDS[ask] == ("answer",) else {field: field for field in FIELDS[ask]}
        self._known(path, entry, (*IDENTITY_KEYS, *fields))
        place = self._place(path, entry) if ask == Ask.REGISTERS else None
        wanted = tuple(Wanted(fields[k], self._texts(path, entry, k)) for k in fields if k in entry)
        if not wanted:
            self._wrong(path, "it says of no answer that it is right", f"Add {' or '.join(fields)}")
        firmware = entry.get("firmware")
        where = self._place((*path, "firmware"), firmware) if isinstance(firmware, dict) else None
        if firmware is not None and where is None and not isinstance(firmware, dict):
            self._wrong((*path, "firmware"), "it is no place", 'Write { at = "holding 0x0302", type = "uint16" }')
        return Step(ask, wanted, place, where, self._pattern(path, entry))

    def _pattern(self, path: Path, entry: Mapping[str, Any]) -> str:
        text = self._text(path, entry, "version", "")
        try:
            if text and re.compile(text).groups < 1:
                self._wrong((*path, "version"), f"{text!r} has no group", "Put the version in brackets: V([0-9.]+)")
        except re.error as error:
            self._wrong((*path, "version"), f"{text!r} is no pattern: {error}", "Correct the regular expression")
            return ""
        return text

    def _place(self, path: Path, entry: Mapping[str, Any]) -> Place | None:
        if path[-1] == "firmware":
            self._known(path, entry, KEYS["place"])
        length = entry.get("length", 0)
        try:
            at, kind = self._text(path, entry, "at"), self._text(path, entry, "type", Kind.UINT16)
            return Place.parse(at, kind, length if isinstance(length, int) else 0) if at else None
        except ValueError as wrong:
            self._wrong((*path, "at"), str(wrong), "Correct at, type or length")
            return None

    def _bus(self, entry: Mapping[str, Any]) -> Bus:
        self._known(("bus",), entry, KEYS["bus"])
        return Bus(
            self._whole(("bus",), entry, "unit", range(256)),
            self._whole(("bus",), entry, "baud", BAUDS),
            self._one_of(("bus",), entry, "parity", PARITIES) if "parity" in entry else None,
            entry.get("even_only", False) is True,
            self._seconds(("bus",), entry, "pause"),
            self._seconds(("bus",), entry, "connect_pause"),
        )

    def _seconds(self, path: Path, entry: Mapping[str, Any], key: str) -> float | None:
        if key not in entry:
            return None
        try:
            return duration_s(str(entry[key]))
        except ValueError as wrong:
            self._wrong((*path, key), str(wrong), 'Write it as "50ms"')
            return None

    def _whole(self, path: Path, entry: Mapping[str, Any], key: str, allowed: Iterable[int]) -> int | None:
        value = entry.get(key)
        if value is not None and (isinstance(value, bool) or value not in allowed):
            listed = f"{allowed.start} to {allowed.stop - 1}" if isinstance(allowed, range) else str(allowed)
            self._wrong((*path, key), f"{value!r} is none of {listed}", "Correct it, or leave it out")
            return None
        return value

    def _pairs(self, path: Path, entry: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        pairs = []
        for key, value in entry.items():
            if isinstance(value, bool):
                pairs.append((key.lower(), str(value).lower()))
            elif isinstance(value, (str, int, float)):
                pairs.append((key.lower(), str(value)))
            else:
                self._wrong((*path, key), "it is neither text nor a number, true or false", "Write one value")
        return tuple(pairs)

    def _section(self, path: Path, tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = tree.get(key, {})
        if isinstance(value, dict):
            return value
        self._wrong((*path, key), "it must be a section, not a value", f"Write [{key}]")
        return {}

    def _entries(self, tree: Mapping[str, Any], key: str) -> list[tuple[Path, Mapping[str, Any]]]:
        value = tree.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            self._wrong((key,), "it must be a list of sections", f"Write [[{key}]], with two brackets, once for each")
            return []
        if len(value) > ENTRIES_MAX:
            self._wrong((key,), f"it has more than {ENTRIES_MAX} entries", "Remove some")
        return [((key, index), entry) for index, entry in enumerate(value[:ENTRIES_MAX])]

    def _text(self, path: Path, entry: Mapping[str, Any], key: str, otherwise: str | None = None) -> str:
        value = entry.get(key, otherwise)
        if isinstance(value, str) and len(value) <= TEXT_LETTERS_MAX and (value.strip() or otherwise is not None):
            return value.strip()
        what = "it is missing" if value is None else f"it is no text of 1 to {TEXT_LETTERS_MAX} letters"
        self._wrong((*path, key), what, f'Write {key} = "..."')
        return ""

    def _texts(self, path: Path, entry: Mapping[str, Any], key: str) -> tuple[str, ...]:
        value = entry.get(key, [])
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and all(isinstance(text, str) and text for text in listed):
            return tuple(listed)
        self._wrong((*path, key), "it is no list of texts", f'Write {key} = ["..."]')
        return ()

    def _one_of(self, path: Path, entry: Mapping[str, Any], key: str, known: Iterable[str]) -> str:
        text = self._text(path, entry, key)
        if text and text not in known:
            self._wrong((*path, key), f"{text!r} is not known here", f"Choose one of {', '.join(known)}")
            return ""
        return text

    def _known(self, path: Path, entry: Mapping[str, Any], keys: Iterable[str]) -> None:
        for key in entry.keys() - set(keys):
            self._wrong((*path, key), "there is no such key", f"Use one of: {', '.join(keys)}")

    def _once(self, names: list[str], path: Path, key: str) -> None:
        for name in {name for name in names if names.count(name) > 1}:
            self._wrong((*path, key), f"{name!r} stands there twice", "Give each its own")

    def _wrong(self, path: Path, what: str, remedy: str) -> None:
        self.failed = True
        dotted = ".".join(part for part in path if isinstance(part, str))
        self._add(Problem(self._file, dotted, what, remedy, self._row_of(path)))
