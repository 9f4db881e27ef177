"""Options: the texts of a configuration row into typed values, with all that is wrong with them.

It knows no option by name: a driver asks for those that it has, and what nobody asked for is a problem.
"""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal

from tidegate.errors import Problem

DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)", re.ASCII | re.IGNORECASE)
DURATION_UNITS_S = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "min": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def duration_s(text: str) -> float:
    """Seconds of `100ms`, `1s`, `10min`, `1h` or `2d`; raises ValueError that says how to write one."""
    matched = DURATION.fullmatch(text.strip())
    if matched is None:
        raise ValueError(f"{text!r} is no duration, write 100ms, 1s, 10min or 1h")
    return float(Decimal(matched[1]) * DURATION_UNITS_S[matched[2].lower()])


class Options:
    """The options of one device or tag, asked for one by one; an empty text is an absent one.

    `problems` gathers what is wrong, and the default stands in for it, so that one pass finds everything. `key` and
    `row` are where the texts come from; the option's name is the problem's column.
    """

    def __init__(self, texts: Mapping[str, str] | Iterable[tuple[str, str]], key: str, row: int | None) -> None:
        self._texts = {name: text.strip() for name, text in dict(texts).items()}
        self._asked: set[str] = set()
        self._key = key
        self._row = row
        self.problems: list[Problem] = []

    def text(self, name: str, default: str = "") -> str:
        """The text as it stands, without the white space around it."""
        self._asked.add(name)
        return self._texts.get(name) or default

    def duration_s(self, name: str, default_s: float, low_s: float, high_s: float) -> float:
        """A duration in seconds within low_s..high_s."""
        text = self.text(name)
        if not text:
            return default_s
        try:
            found = duration_s(text)
        except ValueError:
            self.wrong(name, f"{text!r} is no duration", "Write it as 100ms, 1s, 10min or 1h")
            return default_s
        if not low_s <= found <= high_s:
            self.wrong(name, f"{text} is outside {low_s:g} s to {high_s:g} s", "Choose a duration within")
            return default_s
        return found

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within low..high."""
        text = self.text(name)
        if not text:
            return default
        if WHOLE.fullmatch(text) is None or not low <= int(text) <= high:
            self.wrong(name, f"{text!r} is no whole number from {low} to {high}", "Choose a number within")
            return default
        return int(text)

    def word(self, name: str, default: str, words: Iterable[str]) -> str:
        """One of the words, in lower case."""
        text = self.text(name).lower()
        if not text:
            return default
        known = tuple(words)
        if text not in known:
            self.wrong(name, f"{text!r} is not known here", f"Choose one of {', '.join(known)}")
            return default
        return text

    def wrong(self, name: str, what: str, remedy: str, fatal: bool = True) -> None:
        """Note a problem with an option (or with a column of the model, such as `address`)."""
        self.problems.append(Problem("", self._key, what, remedy, self._row, name, fatal))

    def refuse_unknown(self) -> None:
        """Note a problem for each option that nobody asked for. Call it last."""
        for name in self._texts:
            if name not in self._asked and self._texts[name]:
                known = ", ".join(sorted(self._asked))
                self.wrong(name, "this driver has no such option", f"Remove it, or choose one of {known}")
