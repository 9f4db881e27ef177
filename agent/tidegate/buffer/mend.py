"""Mend: salvages every damaged segment of a buffer that nobody runs. The caller holds its lock.

What the newest segment of a killed agent needs is left to the next start.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tidegate.buffer.catalog import SALVAGED, Entry, files_of
from tidegate.buffer.control import FILE, Control
from tidegate.buffer.ledger import Ledger
from tidegate.buffer.missing import unnamed
from tidegate.buffer.salvage import Salvaged, put_aside, salvage
from tidegate.buffer.segment import look, size_of
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.state import SEGMENTS, unlink
from tidegate.buffer.survey import survey
from tidegate.errors import BufferFault
from tidegate.proof import Ranges


@dataclass(frozen=True, slots=True)
class Mended:
    """One segment that was damaged: why, the file that it has now ("": none), frames kept, numbers lost."""

    file: str
    damage: str
    now: str
    kept: int
    lost: Ranges


def mend(folder: Path) -> list[Mended]:
    """Prove all sealed segments and salvage those that are damaged. Raises BufferFault."""
    if not (folder / FILE).exists():
        raise BufferFault(
            f"{folder}: there is no {FILE} here; the next start of the agent begins anew from the segments"
        )
    try:
        with closing(Control.open(folder / FILE).db) as db:
            return _mend(folder, Control(db))
    except (sqlite3.Error, OSError) as error:
        raise BufferFault(f"{folder}: {error}. See that the disk has room and can be written") from error


def _mend(folder: Path, control: Control) -> list[Mended]:
    lying = files_of(folder / SEGMENTS)
    mended = []
    for listed in control.segments():
        paths = lying.get((listed.epoch, listed.first), [])
        if not listed.sealed or not paths:
            continue
        for path in paths[1:]:
            unlink(path)  # A salvage that was cut off.
        entry = replace(listed, salvaged=paths[0].name.count(SALVAGED))
        found = survey(paths[0], look)
        if found.refused is not None:
            raise found.refused
        damage = found.damage or ("" if size_of(paths[0]) == entry.size_bytes else "it is not the file that was sealed")
        if damage:
            mended.append(_one(folder, control, paths[0], entry, damage))
    return mended


def _one(folder: Path, control: Control, path: Path, entry: Entry, damage: str) -> Mended:
    saved: Salvaged = salvage(path, look, entry, entry.last)
    ledger = Ledger(control.db)
    with control.transaction():
        ledger.write(unnamed(saved.gaps, ledger))
        if saved.entry is not None:
            control.list_segment(saved.entry)
        else:
            control.drop_segment(entry.epoch, entry.first)
    put_aside(folder, saved, BufferSettings(folder).quarantine_bytes_max)
    lost = Ranges(pair for gap in saved.gaps for pair in gap.frames)
    kept = saved.entry
    return Mended(
        path.name, damage, kept.file if kept is not None else "", kept.frames if kept is not None else 0, lost
    )
