"""Verify: proves a whole buffer on disk, every block of every segment, and that nothing between them is missing.

It repairs nothing. While an agent runs, control.db and the newest segment are the agent's alone and are left out.
"""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from tidegate.buffer.catalog import Entry, files_of
from tidegate.buffer.control import FILE, Control
from tidegate.buffer.ledger import Ledger
from tidegate.buffer.segment import connect, look, size_of
from tidegate.buffer.state import JOURNALS, QUARANTINE, SEGMENTS
from tidegate.buffer.survey import Survey, survey
from tidegate.errors import BufferDamaged, BufferFault
from tidegate.proof import Ranges


@dataclass(slots=True)
class Report:
    """What was proven, what is wrong (`damage`), and what is worth knowing (`notes`)."""

    whole: bool
    segments: int = 0
    frames: int = 0
    readings: int = 0
    bytes: int = 0
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, Ranges] = field(default_factory=dict)


def verify(folder: Path, running: bool) -> Report:
    """Prove the buffer in a state folder. Unless it is `running`, the caller holds its lock.

    Raises BufferFault when there is no buffer, or one of a newer build.
    """
    if not (folder / SEGMENTS).is_dir():
        raise BufferFault(f"{folder}: there is no buffer here. Name the state folder, or the configuration")
    report = Report(whole=not running)
    surveys = _prove_segments(folder, report, running)
    _prove_chain(surveys, report)
    if running:
        report.notes.append(
            f"an agent runs with this buffer: sealed segments were proven, the newest one and {FILE} are the agent's. "
            "Stop it to prove those too"
        )
    else:
        _prove_control(folder, surveys, report)
    aside = folder / QUARANTINE
    put_aside = [p for p in aside.iterdir() if not p.name.endswith(JOURNALS)] if aside.is_dir() else []
    if put_aside:
        report.notes.append(f"{len(put_aside)} files were put aside in {QUARANTINE}/")
    return report


def _prove_segments(folder: Path, report: Report, running: bool) -> list[Survey]:
    found = []
    for _, (path, *cut_off) in sorted(files_of(folder / SEGMENTS).items()):
        if cut_off and not running:
            report.notes.append(f"{path.name}: its salvage was cut off; the next start does it again")
        unsealed = any(path.with_name(path.name + end).exists() for end in JOURNALS)
        if running and unsealed:
            continue
        # Only SQLite's own connection knows what of a journal counts.
        proven = survey(path, connect if unsealed else look)
        if running and not path.exists():
            continue  # Removed for the quota meanwhile.
        found.append(proven)
        report.segments += 1
        report.bytes += size_of(path)
        if proven.damage:
            report.damage.append(f"{path.name}: {proven.damage}")
        if proven.entry is not None:
            report.frames += proven.entry.frames
            report.readings += proven.entry.readings
            numbers = report.numbers.setdefault(proven.entry.epoch, Ranges())
            numbers.update(proven.holes.holes(proven.entry.first, proven.entry.last))
    return found


def _prove_chain(surveys: list[Survey], report: Report) -> None:
    """A segment carries the hash that the one before it ends with."""
    ends = {(s.entry.epoch, s.entry.last): s.entry.hash for s in surveys if s.entry is not None and not s.damage}
    for proven in surveys:
        if proven.meta is not None:
            before = ends.get((proven.meta.epoch, proven.meta.first - 1))
            if before is not None and before != proven.meta.before:
                report.damage.append(f"{proven.path.name}: the chain of hashes breaks before it")


def _prove_control(folder: Path, surveys: list[Survey], report: Report) -> None:
    if not (folder / FILE).exists():
        report.damage.append(f"{FILE} is missing")
        return
    try:
        control = Control.open(folder / FILE)
    except BufferDamaged as error:
        report.damage.append(str(error))
        return
    try:
        _compare(folder, control, surveys, report)
    except sqlite3.DatabaseError as error:
        report.damage.append(f"{FILE}: {error}")
    finally:
        control.close()


def _compare(folder: Path, control: Control, surveys: list[Survey], report: Report) -> None:
    proven = {s.path.name: s.entry for s in surveys if s.entry is not None and not s.damage}
    lying = files_of(folder / SEGMENTS)
    for entry in control.segments():
        paths = lying.get((entry.epoch, entry.first))
        if paths is None:
            report.damage.append(f"{entry.file}: it is listed and missing")
        elif entry.sealed and (found := proven.get(paths[0].name)) and not _same(entry, found, size_of(paths[0])):
            report.damage.append(f"{paths[0].name}: it is not the file that was sealed")
    ledger = Ledger(control.db)
    for numbering in control.numberings():
        held = report.numbers.get(numbering.epoch, Ranges()).copy()
        end = max((last for _, last in held), default=0)
        held.update(ledger.closed(numbering.epoch))
        for first, last in held.holes(numbering.floor, end):
            report.damage.append(f"epoch {numbering.epoch}: numbers {first}..{last} are missing, and no row says why")


def _same(listed: Entry, proven: Entry, size: int) -> bool:
    return (listed.last, listed.hash, listed.size_bytes) == (proven.last, proven.hash, size)
