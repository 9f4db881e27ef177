"""The acceptance page of `tidegate read --all`: what each device answered, to be signed. It reads nothing."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tidegate.logs import visible
from tidegate.plural import counted

# Fits on A4 in a usual fixed font.
COLUMNS = 96
NAME_COLUMNS_MAX = 32
BAD_SHOWN_MAX = 8
INDENT = "        "
MATCHES = {True: "yes", False: "NO", None: "-"}


@dataclass(frozen=True, slots=True)
class BadTag:
    """A tag that was read, and is not good."""

    tag: str
    status: str


@dataclass(frozen=True, slots=True)
class Row:
    """One device. `unread` of its `tags` did not come; `match`: whether its profile is for it, None: can't be told."""

    name: str
    driver: str
    address: str
    unit: int | None
    answered: bool
    trip_ms: float | None
    tags: int
    unread: int
    bad: tuple[BadTag, ...]
    faults: tuple[str, ...]
    profile: str
    identity: str
    match: bool | None
    mismatch: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A page: which gateway and configuration, when (ISO 8601 with offset), by which version, and its devices."""

    gateway: str
    configuration: str
    fingerprint: str
    version: str
    read_at: str
    rows: tuple[Row, ...]

    @property
    def silent(self) -> int:
        """How many devices did not answer."""
        return sum(not row.answered for row in self.rows)

    @property
    def bad(self) -> int:
        """How many tags are not good, or did not come."""
        return sum(row.unread + len(row.bad) for row in self.rows)

    @property
    def strangers(self) -> int:
        """How many devices are not what their profile is for."""
        return sum(row.match is False for row in self.rows)

    @property
    def summary(self) -> str:
        """All of it in one line."""
        asked = [row for row in self.rows if row.match is not None]
        told = f"{len(self.rows) - self.silent} of {counted(len(self.rows), 'device')} answered"
        told += f"; {self.bad} of {counted(sum(row.tags for row in self.rows), 'tag')} bad"
        return f"{told}; {len(asked) - self.strangers} of {counted(len(asked), 'profile')} match" if asked else told


def plain(page: Page) -> dict[str, Any]:
    """The page as what JSON can hold."""
    return {
        **asdict(page),
        "silent": page.silent,
        "bad": page.bad,
        "strangers": page.strangers,
        "summary": page.summary,
    }


def lines(page: Page, remedies: Iterable[str]) -> Iterator[str]:
    """The page as text, a place to sign at its end."""
    yield f"ACCEPTANCE PAGE{f'tidegate {page.version}':>{COLUMNS - 15}}"
    yield ""
    yield f"gateway        {page.gateway}"
    yield f"configuration  {page.fingerprint}  {visible(page.configuration)}"
    yield f"read           {page.read_at}"
    yield ""
    width = min(NAME_COLUMNS_MAX, max([6, *(len(row.name) for row in page.rows)]))
    yield f"{'device':<{width}}  answered  round trip   tags    bad  profile"
    yield "-" * COLUMNS
    for row in page.rows:
        yield from _row(row, width)
    yield "-" * COLUMNS
    for remedy in remedies:
        yield from _wrapped("-> ", remedy, "   ")
    yield page.summary
    yield ""
    yield from ("Accepted, but for:  " + "_" * (COLUMNS - 20), "", "")
    yield "Name  ____________________________   Date  ________________   Signature  " + "_" * (COLUMNS - 73)


def _row(row: Row, width: int) -> Iterator[str]:
    trip = "-" if row.trip_ms is None else f"{row.trip_ms:.1f} ms"
    said = "yes" if row.answered else "NO"
    if len(row.name) > width:
        yield row.name
    name = row.name if len(row.name) <= width else ""
    yield f"{name:<{width}}  {said:<8}  {trip:>10}  {row.tags:>5}  {row.unread + len(row.bad):>5}  {MATCHES[row.match]}"
    if row.profile or row.identity:
        # Of one that is not there nothing is known, not even that it keeps silent about itself.
        nothing = "it does not say who it is" if row.answered else "it could not be asked who it is"
        yield from _wrapped(INDENT, f"{row.profile}: {visible(row.identity) or nothing}", INDENT)
    for told in (row.mismatch, *row.faults):
        if told:
            yield from _wrapped(INDENT, visible(told), INDENT)
    if row.bad:
        yield from _wrapped(INDENT, f"bad: {_bad(row.bad)}", INDENT)


def _bad(bad: Sequence[BadTag]) -> str:
    shown = ", ".join(f"{one.tag} ({one.status})" for one in bad[:BAD_SHOWN_MAX])
    return f"{shown}, and {len(bad) - BAD_SHOWN_MAX} more" if len(bad) > BAD_SHOWN_MAX else shown


def _wrapped(first: str, text: str, rest: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent=first, subsequent_indent=rest)
