"""Reads the TOML file: placeholders filled in, keys checked, every problem with its line. It opens no other file."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidegate.config.defaults import Default
from tidegate.config.document import SECTIONS, UNSAID, Document, validate
from tidegate.config.lines import Lines, Path
from tidegate.config.placeholders import Placeholders
from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit, did_you_mean

SECRET_KEYS = frozenset({("target", "password"), ("target", "proxy_password")})

# Each removes what the one before revealed; nothing is nested deeper than this.
REPAIRS_MAX = 5

# What is taken for a required key that is missing, once that has been told.
STAND_INS: dict[tuple[str, str], str] = {
    ("gateway", "name"): "unnamed",
    ("gateway", "state"): "state",
    ("groups", "interval"): "1s",
    ("tables", "file"): UNSAID,
    ("devices", "file"): UNSAID,
    ("target", "name"): "unnamed",
    ("target", "url"): "mqtt://127.0.0.1",
}

# tomllib of Python 3.11 to 3.13 tells the place in its message only.
_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)")

# Words for what pydantic finds; the rest are Unfit, raised by our own validators.
_WORDS = {
    "missing": "it is missing",
    "int_type": "it must be a whole number",
    "int_from_float": "it must be a whole number",
    "bool_type": "it must be true or false",
    "string_too_short": "it is empty",
    "string_too_long": "it is too long",
    "dict_type": "it must be a section, not a value",
    "model_type": "it must be a section, not a value",
    "list_type": "it must be a list of sections",
    "too_long": "it has too many entries",
    "float_type": "it must be a number",
}


@dataclass(frozen=True, slots=True)
class Toml:
    """A TOML file as read: `file` as problems name it, the checked document, and where each key stands.

    `unfilled` are the keys whose placeholder can't be filled, `repaired` the sections that have problems.
    """

    file: str
    document: Document
    lines: Lines
    unfilled: frozenset[Path] = frozenset()
    repaired: frozenset[str] = frozenset()

    def default(self, path: Path, text: str) -> Default:
        """The text of a key that stands in for texts of a table."""
        return Default(text, self.file, dotted(path), self.lines.of(path))

    def fault(self, problems: Problems, path: Path, what: str, remedy: str) -> None:
        """Note a problem with a key."""
        problems.fault(self.file, dotted(path), what, remedy, self.lines.of(path))

    def warn(self, problems: Problems, path: Path, what: str, remedy: str) -> None:
        """Note a warning about a key."""
        problems.warn(self.file, dotted(path), what, remedy, self.lines.of(path))


def read(data: bytes, file: str, placeholders: Placeholders, problems: Problems) -> Toml | None:
    """The file's document, with every problem noted; None when not even its sections can be told apart.

    What is wrong is left out, or something harmless stands in for it, so that the tables that the file names can be
    checked in the same go; `repaired` says in which sections.
    """
    parsed = parse(data, file, problems)
    if parsed is None:
        return None
    tree, lines = parsed
    unfilled = _Filling(file, lines, placeholders, problems).fill(tree)
    for path in unfilled:
        # An entry of a key's list takes the whole list with it.
        key = path[:-1] if isinstance(path[-1], int) else path
        if key[0] in SECTIONS and key[-1] in SECTIONS[str(key[0])].model_fields:
            _remove(tree, key)
    repaired = {str(path[0]) for path in unfilled}
    for attempt in range(REPAIRS_MAX):
        try:
            return Toml(file, validate(tree), lines, frozenset(unfilled), frozenset(repaired))
        except ValidationError as error:
            for details in error.errors(include_url=False):
                path = tuple(part for part in details["loc"] if part != "[key]")
                if attempt == 0 and path not in unfilled:
                    problems.fault(file, dotted(path), *_explain(details, path), lines.of(path))
                repaired.add(str(path[0]))
                _repair(tree, path, details["type"])
    return None


def parse(data: bytes, file: str, problems: Problems) -> tuple[dict[str, Any], Lines] | None:
    """The bare tree and its lines, or None with a problem noted when the text is no TOML."""
    try:
        # Windows editors write a BOM and CRLF, which are neither wrong nor of any meaning.
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        return tomllib.loads(text), Lines(text)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        problems.fault(file, "", "the file is not UTF-8 text", "Save it again as UTF-8", row)
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        row = int(found[1]) if found and found[1] else data.count(b"\n") + 1
        what = _PLACE.sub("", str(error))
        problems.fault(file, "", what[:1].lower() + what[1:], "Correct the TOML syntax here or just before", row)
    except RecursionError:
        problems.fault(file, "", "it is nested too deeply", "Remove the inner brackets")
    return None


def dotted(path: Path) -> str:
    """A key as a person writes it: `groups.fast.interval`. Which entry of a list it is in, the line says."""
    return ".".join(part for part in path if isinstance(part, str))


class _Filling:
    """Fills in all placeholders of a tree, in place."""

    def __init__(self, file: str, lines: Lines, placeholders: Placeholders, problems: Problems) -> None:
        self._file = file
        self._lines = lines
        self._placeholders = placeholders
        self._problems = problems

    def fill(self, tree: dict[str, Any]) -> set[Path]:
        """The keys whose placeholder can't be filled; they keep their text."""
        unfilled: set[Path] = set()
        for path, holder in list(_texts(tree, ())):
            text = holder[path[-1]]
            try:
                is_secret = tuple(part for part in path if isinstance(part, str)) in SECRET_KEYS
                holder[path[-1]] = self._placeholders.secret(text) if is_secret else self._placeholders.fill(text)
            except Unfit as unfit:
                unfilled.add(path)
                self._problems.fault(self._file, dotted(path), unfit.what, unfit.remedy, self._lines.of(path))
        return unfilled


def _texts(holder: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every text of a tree: its path, and the table or list that holds it under the path's last part."""
    entries = holder.items() if isinstance(holder, dict) else enumerate(holder)
    for key, value in entries:
        if isinstance(value, str):
            yield (*path, key), holder
        elif isinstance(value, (dict, list)):
            yield from _texts(value, (*path, key))


def _repair(tree: dict[str, Any], path: Path, kind: str) -> None:
    """Take what is wrong out of the tree, or put in what is missing, so that the rest can be used."""
    if kind != "missing":
        _remove(tree, path)
    elif len(path) == 1:
        tree[str(path[0])] = {}
    elif (stand_in := STAND_INS.get((str(path[0]), str(path[-1])))) is not None:
        holder: Any = tree
        for part in path[:-1]:
            holder = holder[part]
        holder[path[-1]] = stand_in


def _remove(tree: dict[str, Any], path: Path) -> None:
    """Remove a key; for an entry of a list, the whole list, since the others would change places."""
    if isinstance(path[-1], int):
        tree.pop(str(path[0]), None)
        return
    holder: Any = tree
    for part in path[:-1]:
        if isinstance(holder, dict) and part not in holder:
            return
        holder = holder[part]
    holder.pop(path[-1], None)


def _explain(details: ErrorDetails, path: Path) -> tuple[str, str]:
    """What is wrong, and what to do about it. The value is repeated only by our own validators: it may be a secret."""
    kind, context = details["type"], details.get("ctx", {})
    section = SECTIONS.get(str(path[0])) if path else None
    field = path[-1] if path else ""
    if isinstance(context.get("error"), Unfit):
        unfit = context["error"]
        return unfit.what, unfit.remedy
    if kind == "extra_forbidden":
        known = section.model_fields if section and len(path) > 1 else Document.model_fields
        return "there is no such key", did_you_mean(str(field), known)
    if kind in ("greater_than_equal", "less_than_equal"):
        bound = context.get("ge", context.get("le"))
        return "it is out of range", f"Use at {'least' if 'ge' in context else 'most'} {bound}"
    what = _WORDS.get(kind, details["msg"][:1].lower() + details["msg"][1:])
    if kind == "list_type" and path:
        return what, f"Write [[{path[0]}]], with two brackets, once for each"
    return what, _described(section, str(field), path) or "Correct it"


def _described(section: type | None, field: str, path: Path) -> str | None:
    fields = Document.model_fields if len(path) == 1 else getattr(section, "model_fields", {})
    return fields[field].description if field in fields else None
