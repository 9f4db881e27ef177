"""Catalog: which segments there are, in memory. The writer thread changes it; the loop reads whole snapshots of it."""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from pathlib import Path

SALVAGED = "-salvaged"


@dataclass(frozen=True, slots=True)
class Entry:
    """One segment: numbers first..last of `epoch`, its blocks' times t0..t1 (gateway µs), hash of its last block."""

    epoch: str
    first: int
    last: int
    size_bytes: int
    frames: int
    readings: int
    t0: int
    t1: int
    hash: bytes
    sealed: bool = True
    salvaged: int = 0  # How often its file was damaged and what was good of it put into a new one.

    @property
    def file(self) -> str:
        """Its name in the folder of segments."""
        return f"{self.epoch}-{self.first}{SALVAGED * self.salvaged}.db"

    def joined(self, added: "Entry") -> "Entry":
        """It and what one more commit added to it."""
        return replace(
            self,
            last=added.last,
            size_bytes=self.size_bytes + added.size_bytes,
            frames=self.frames + added.frames,
            readings=self.readings + added.readings,
            t0=min(self.t0, added.t0),
            t1=max(self.t1, added.t1),
            hash=added.hash,
        )


def file_parts(name: str) -> tuple[str, int] | None:
    """Epoch and first number in a segment's file name; None for any other file."""
    epoch, _, number = name.removesuffix(".db").replace(SALVAGED, "").partition("-")
    if name.endswith(".db") and len(epoch) == 16 and number.isdecimal():
        return epoch, int(number)
    return None


def files_of(folder: Path) -> dict[tuple[str, int], list[Path]]:
    """The files of a folder of segments by epoch and first number, those that were salvaged less often first.

    Where there are two, a salvage was cut off: the first is still the segment, and the others are made again.
    """
    found: dict[tuple[str, int], list[Path]] = {}
    for path in sorted(folder.iterdir(), key=lambda p: (p.name.count(SALVAGED), p.name)):
        parts = file_parts(path.name)
        if parts is not None:
            found.setdefault(parts, []).append(path)
    return found


@dataclass(frozen=True, slots=True)
class Renewal:
    """Numbers first..last of an epoch turned out to be used elsewhere: their frames get new ones, in order.

    Those up to `moved` have theirs. Of those that follow some may, above the number `after` of the epoch `into`.
    """

    epoch: str
    first: int
    last: int
    moved: int
    into: str
    after: int


@dataclass(frozen=True, slots=True)
class Numbering:
    """An epoch that the buffer answers for. `last` is 0 where nothing was committed."""

    ordinal: int
    epoch: str
    floor: int
    last: int


@dataclass(slots=True)
class _Row:
    numbering: Numbering
    firsts: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


class Catalog:
    """Segments by epoch, in the order of their numbers, and the one that takes commits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._rows: dict[str, _Row] = {}
        self.active: Entry | None = None
        self.sealed_bytes = 0
        self.segments = 0
        self.numberings: tuple[Numbering, ...] = ()

    def path(self, entry: Entry) -> Path:
        """Where a segment lies."""
        return self.folder / entry.file

    def number(self, numbering: Numbering) -> None:
        """A numbering that is new, or has another floor or last."""
        row = self._rows.setdefault(numbering.epoch, _Row(numbering))
        row.numbering = numbering
        self._publish()

    def forget(self, epoch: str) -> None:
        """An epoch of which nothing is left."""
        del self._rows[epoch]
        self._publish()

    def numbering(self, epoch: str) -> Numbering | None:
        """What is kept of an epoch; None when it is not known (any more)."""
        return next((n for n in self.numberings if n.epoch == epoch), None)

    def grow(self, entry: Entry) -> None:
        """The active segment took a commit."""
        self.active = entry
        self.number(replace(self._rows[entry.epoch].numbering, last=entry.last))

    def seal(self, entry: Entry) -> None:
        """A segment is sealed (the active one, or one found at the start)."""
        row = self._rows[entry.epoch]
        at = bisect_right(row.firsts, entry.first)
        # New lists, since the loop may be looking at the old ones.
        row.entries = [*row.entries[:at], entry, *row.entries[at:]]
        row.firsts = [e.first for e in row.entries]
        # Only now, so that the loop finds it in one place or the other at every moment.
        if self.active is not None and self.active.file == entry.file:
            self.active = None
        self.sealed_bytes += entry.size_bytes
        self.segments += 1

    def remove(self, entry: Entry) -> None:
        """A sealed segment is gone."""
        row = self._rows[entry.epoch]
        row.entries = [e for e in row.entries if e.first != entry.first]
        row.firsts = [e.first for e in row.entries]
        self.sealed_bytes -= entry.size_bytes
        self.segments -= 1

    def replace(self, entry: Entry, salvaged: Entry) -> None:
        """A sealed segment has another file from now on."""
        row = self._rows[entry.epoch]
        row.entries = [salvaged if e == entry else e for e in row.entries]
        self.sealed_bytes += salvaged.size_bytes - entry.size_bytes

    def oldest(self) -> Entry | None:
        """The sealed segment that goes first."""
        for numbering in self.numberings:
            entries = self._rows[numbering.epoch].entries
            if entries:
                return entries[0]
        return None

    def sealed(self, epoch: str) -> list[Entry]:
        """The sealed segments of an epoch, rising."""
        row = self._rows.get(epoch)
        return row.entries if row is not None else []

    def at(self, epoch: str, number: int) -> Entry | None:
        """The segment that holds a number, else the next one above it; None when there is none."""
        entries = self.sealed(epoch)
        low = bisect_right(entries, number, key=lambda e: e.first) - 1
        if low >= 0 and entries[low].last >= number:
            return entries[low]
        if low + 1 < len(entries):
            return entries[low + 1]
        active = self.active
        return active if active is not None and active.epoch == epoch and active.last >= number else None

    def _publish(self) -> None:
        self.numberings = tuple(sorted((r.numbering for r in self._rows.values()), key=lambda n: n.ordinal))
