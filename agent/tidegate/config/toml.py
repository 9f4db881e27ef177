"""Reads the TOML file: placeholders filled in, keys checked, every problem with its line. It opens no other file."""

import re
import tomllib
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from tidegate.config.defaults import Default
from tidegate.config.document import SECTIONS, Document, validate
from tidegate.config.lines import Lines, Path
from tidegate.config.placeholders import Placeholders
from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit, did_you_mean

SECRET_KEYS = frozenset({("target", "password")})

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
}


@dataclass(frozen=True, slots=True)
class Toml:
    """A TOML file as read: `file` as problems name it, the checked document, and where each key stands."""

    file: str
    document: Document
    lines: Lines

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
    """The file's document; None, with the problems noted, when it can't be used."""
    parsed = parse(data, file, problems)
    if parsed is None:
        return None
    tree, lines = parsed
    told: set[Path] = set()
    filled = _fill(tree, (), placeholders, file, lines, problems, told)
    try:
        document = validate(filled)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            path = _path(details)
            if path not in told:
                what, remedy = _explain(details, path)
                problems.fault(file, dotted(path), what, remedy, lines.of(path))
        return None
    return Toml(file, document, lines)


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


def _fill(
    value: Any, path: Path, placeholders: Placeholders, file: str, lines: Lines, problems: Problems, told: set[Path]
) -> Any:
    """The tree with all placeholders filled in. `told` gathers the keys whose placeholder can't be filled."""
    if isinstance(value, dict):
        return {k: _fill(v, (*path, k), placeholders, file, lines, problems, told) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, (*path, i), placeholders, file, lines, problems, told) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        is_secret = tuple(part for part in path if isinstance(part, str)) in SECRET_KEYS
        return placeholders.secret(value) if is_secret else placeholders.fill(value)
    except Unfit as unfit:
        told.add(path)
        problems.fault(file, dotted(path), unfit.what, unfit.remedy, lines.of(path))
        return value


def _path(details: ErrorDetails) -> Path:
    """Where in the file an error is; pydantic also counts the steps of its own types, such as `[key]`."""
    return tuple(part for part in details["loc"] if part != "[key]")


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
