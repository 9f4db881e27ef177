"""A profile as it lies in firmware-profiles/: whom it is for, where it was taken from, its sets of registers."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tidegate.profiles.firmware import Range
from tidegate.profiles.identity import Step, Wanted

PROFILE_FILE, REGISTERS_FILE, VECTORS_FILE = "profile.toml", "registers.csv", "vectors.csv"
# The column of registers.csv that is no tag's: which of the sources a register was taken from.
SOURCE_COLUMN = "source"
MODBUS = "modbus"


class Evidence(StrEnum):
    """How sure it is, from most to least."""

    BENCH = "bench"
    VENDOR = "vendor document"
    TWO = "two sources"
    SINGLE = "single source"


class NoSet(ValueError):
    """No set of registers, or more than one, is meant: what is wrong, and what to write instead."""

    def __init__(self, what: str, remedy: str) -> None:
        self.what = what
        self.remedy = remedy
        super().__init__(f"{what}. {remedy}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where something was taken from. `id` is how a register names it."""

    id: str
    document: str
    place: str
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Bus:
    """What the device's line is like. None = not known."""

    unit: int | None = None
    baud: int | None = None
    parity: str | None = None
    even_only: bool = False
    pause_s: float | None = None
    connect_pause_s: float | None = None

    @property
    def needs(self) -> tuple[tuple[str, str], ...]:
        """What the device can't do without, as options of its driver."""
        pauses = (("pause", self.pause_s), ("connect_pause", self.connect_pause_s))
        even = (("even_only", "true"),) if self.even_only else ()
        return (*even, *((name, f"{seconds * 1000:g}ms") for name, seconds in pauses if seconds is not None))

    @property
    def delivered(self) -> tuple[tuple[str, str], ...]:
        """How its line is set when it is delivered, which whoever installs it may have changed."""
        baud = (("baud", str(self.baud)),) if self.baud is not None else ()
        return (*baud, *((("parity", self.parity),) if self.parity is not None else ()))


@dataclass(frozen=True, slots=True)
class RegisterSet:
    """The registers of some firmware: two files of the profile's folder, and texts that stand for columns.

    `models` are patterns of the identity's answer (not of the firmware) that this set is for, where such an answer
    tells two sets apart.
    """

    name: str
    firmware: Range
    registers: str
    vectors: str
    table: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One model, or several that share their registers. `name` is `vendor/model`, as its folder is called.

    `table` and `device` are texts that stand for columns of its tags, and for options of its devices. `driver` is who
    reads it; only Modbus has registers, and so golden vectors.
    """

    name: str
    vendor: str
    model: str
    aliases: tuple[str, ...]
    description: str
    evidence: Evidence
    sources: tuple[Source, ...]
    sets: tuple[RegisterSet, ...]
    identity: tuple[Step, ...]
    bus: Bus
    table: tuple[tuple[str, str], ...]
    device: tuple[tuple[str, str], ...]
    driver: str = MODBUS

    def choose(self, wanted: str = "") -> RegisterSet:
        """The set of a name or a firmware; without either the only one, or the one that stands for all others.

        Raises NoSet.
        """
        named = [one for one in self.sets if one.name == wanted]
        if named:
            return named[0]
        if not wanted:
            usual = [one for one in self.sets if one.firmware.is_any and not one.models]
            return self._only(list(self.sets) if len(self.sets) == 1 else usual, "it has several sets of registers")
        held = [one for one in self.sets if not one.models and one.firmware.holds(wanted)]
        ranged = [one for one in held if not one.firmware.is_any]
        return self._only(ranged or held, f"it has no set of registers for firmware {wanted}")

    def fitting(self, answer: str, firmware: str) -> RegisterSet:
        """The set for a device that answered so when it was identified, and has this firmware. Raises NoSet."""
        told = [one for one in self.sets if one.models and Wanted("answer", one.models).fits(answer)]
        return told[0] if told else self.choose(firmware)

    def _only(self, found: Sequence[RegisterSet], what: str) -> RegisterSet:
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{self.name}@{one.name} ({describe(one)})" for one in self.sets)
        raise NoSet(f"{self.name}: {what}", f"Write one of: {known}")


def describe(one: RegisterSet) -> str:
    """Which devices a set is for, in few words."""
    parts = [] if one.firmware.is_any and one.models else [f"firmware {one.firmware.text}"]
    return ", ".join([*parts, *([f"model {' or '.join(one.models)}"] if one.models else [])])
