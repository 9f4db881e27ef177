"""Finding: one thing that the doctor looked at, how it is, and its remedy."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: nothing to do, worth doing, or the gateway will not do its work."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """`about` is what was looked at, in a word or two; `remedy` is empty when nothing is to be done."""

    about: str
    level: Level
    what: str
    remedy: str = ""


def ok(about: str, what: str) -> Finding:
    """Nothing is to be done."""
    return Finding(about, Level.OK, what)


def warning(about: str, what: str, remedy: str) -> Finding:
    """It works, but not well, or not for long."""
    return Finding(about, Level.WARNING, what, remedy)


def fault(about: str, what: str, remedy: str) -> Finding:
    """It does not work so."""
    return Finding(about, Level.FAULT, what, remedy)
