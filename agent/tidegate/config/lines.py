"""Finds the line of a TOML file that a key stands on, since the standard parser does not tell. It checks no values."""

import re

Path = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_HEADER = re.compile(rf"\s*\[(\[?)\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]")
_QUOTED = re.compile(r"""\"{3}|'{3}|"(?:[^"\\]|\\.)*"|'[^']*'|\#.*""")


class Lines:
    """Line numbers, from 1, by the path of a key: ("target", 0, "url"). Made from a text that parses as TOML."""

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {}
        self._lists: dict[Path, int] = {}
        table: Path = ()
        open_brackets, open_quotes = 0, ""
        for number, line in enumerate(text.splitlines(), 1):
            within = bool(open_quotes) or open_brackets > 0
            if not within and (header := _HEADER.match(line)):
                table = self._header(_parts(header[2]), bool(header[1]), number)
                continue
            value = line
            if not within and (key := _KEY.match(line)):
                self._note(table + _parts(key[1]), number)
                value = line[key.end() :]
            elif not within:
                continue
            open_brackets, open_quotes = _still_open(value, open_brackets, open_quotes)

    def of(self, path: Path) -> int | None:
        """The line of a key, or of the nearest thing around it that has a line."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._at:
                return self._at[path[:length]]
        return None

    def _header(self, path: Path, is_list: bool, number: int) -> Path:
        inside = self._through_lists(path[:-1]) + path[-1:]
        self._note(inside, number)
        if not is_list:
            return inside
        index = self._lists.get(inside, -1) + 1
        self._lists[inside] = index
        self._note((*inside, index), number)
        return (*inside, index)

    def _through_lists(self, path: Path) -> Path:
        """A table below `[[a]]` belongs to the list's newest entry."""
        inside: Path = ()
        for part in path:
            inside = (*inside, part)
            if inside in self._lists:
                inside = (*inside, self._lists[inside])
        return inside

    def _note(self, path: Path, number: int) -> None:
        for length in range(1, len(path) + 1):
            self._at.setdefault(path[:length], number)


def _parts(dotted: str) -> Path:
    return tuple(part[1:-1] if part[0] in "\"'" else part for part in re.findall(_PART, dotted))


def _still_open(text: str, brackets: int, quotes: str) -> tuple[int, str]:
    """How many brackets, and which triple quotes, are open at the end of this part of a line."""
    if quotes:
        _, found, text = text.partition(quotes)
        if not found:
            return brackets, quotes
    position = 0
    while match := _QUOTED.search(text, position):
        brackets += _balance(text[position : match.start()])
        position = match.end()
        if match[0] in ('"""', "'''"):
            end = text.find(match[0], position)
            if end < 0:
                return brackets, match[0]
            position = end + 3
    return brackets + _balance(text[position:]), ""


def _balance(text: str) -> int:
    return text.count("[") + text.count("{") - text.count("]") - text.count("}")
