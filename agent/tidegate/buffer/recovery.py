"""Recovery: what a start finds on disk, and what it makes of it. Everything that changes is one transaction.

control.db   proven, else put aside: a new numbering begins, and what the segments hold is an older epoch
segments     below the floor: unlinked · not sealed: proven, sealed · damaged: put aside, in the ledger
numbers      go on after the last proven one, unless the end can't be proven or this is another box
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from tidegate.buffer import ballast
from tidegate.buffer.block import NO_HASH
from tidegate.buffer.catalog import SALVAGED, Catalog, Entry, Numbering, files_of
from tidegate.buffer.control import FILE, Control
from tidegate.buffer.crash import crash_window
from tidegate.buffer.cursors import Cursors
from tidegate.buffer.image import await_bytes
from tidegate.buffer.ledger import Ledger
from tidegate.buffer.migrations import forget_old
from tidegate.buffer.missing import unnamed
from tidegate.buffer.renewal import adopt
from tidegate.buffer.salvage import Salvaged, put_aside, salvage
from tidegate.buffer.segment import connect, is_refusal, look, seal_file, size_of, sync_folder
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.state import SEGMENTS, State, is_full, quarantine, unlink
from tidegate.buffer.survey import LOOKS, survey
from tidegate.buffer.tables import proven_tables
from tidegate.buffer.times import Times
from tidegate.clock import Clock
from tidegate.errors import BufferDamaged
from tidegate.model.gap import Gap, Why
from tidegate.model.identity import kernel_boot, new_epoch
from tidegate.proof import Ranges

log = logging.getLogger(__name__)

FIRST_START = "first start"


@dataclass(slots=True)
class Findings:
    """What is on disk: good segments, rows for what is not, and why the numbering can't go on ("" when it can)."""

    settings: BufferSettings
    control: Control
    numberings: list[Numbering]
    entries: list[Entry] = field(default_factory=list)
    dropped: list[Entry] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    salvaged: list[Salvaged] = field(default_factory=list)
    carriers: list[tuple[int, str, int]] = field(default_factory=list)
    tables: dict[bytes, bytes] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    made_us: dict[str, int] = field(default_factory=dict)
    boot: int = 0
    reason: str = ""

    @property
    def current(self) -> str:
        """The epoch whose numbers would go on ("" for none)."""
        return self.numberings[-1].epoch if self.numberings else ""

    def reach(self, epoch: str, last: int) -> None:
        """A number of an epoch that was given."""
        self.reached[epoch] = max(self.reached.get(epoch, 0), last)

    def lose(self, why: Why, epoch: str, first: int, last: int, entry: Entry | None = None) -> None:
        """Numbers that will not come."""
        self.reach(epoch, last)
        if last < first:
            return
        t0, t1, n = (entry.t0, entry.t1, entry.readings) if entry is not None else (0, 0, 0)
        n_is = "exact" if entry is not None else "unknown"
        self.gaps.append(Gap(why, t0, t1, n, n_is, frames=((first, last),), epoch=epoch))


def recover(settings: BufferSettings, clock: Clock, targets: Sequence[str], identity: str) -> State:
    """Open what lies in the folder, whatever state it is in. The caller holds the lock.

    Sets `clock.boot` and raises the clock's floor. Raises BufferFault when a newer build wrote it, BufferDamaged or
    sqlite3.Error or OSError when the disk can't hold a buffer at all.
    """
    control, reason = _open_control(settings)
    try:
        state = _settle(_find(settings, control, reason), settings, clock, targets, identity)
        ballast.lay(settings.folder)
        sync_folder(settings.folder)
        return state
    except BaseException:
        control.close()
        raise


def _find(settings: BufferSettings, control: Control, reason: str) -> Findings:
    folder = settings.folder
    found = Findings(settings, control, control.numberings(), reason=reason)
    files = {parts: _first(paths) for parts, paths in files_of(folder / SEGMENTS).items()}
    if not found.numberings and not reason:
        found.reason = f"{FILE} was missing" if files else FIRST_START
    for entry in control.segments():
        if entry.sealed:
            _check_listed(found, entry, files.pop((entry.epoch, entry.first), None))
        elif (entry.epoch, entry.first) not in files:
            log.error("the newest segment, %s, is missing", entry.file)
            found.dropped.append(entry)
            found.lose(Why.LOST, entry.epoch, entry.first, max(entry.first, entry.last))
    floors = {n.epoch: n.floor for n in found.numberings}
    for (epoch, first), path in sorted(files.items(), key=lambda item: item[0]):
        if first < floors.get(epoch, 0):
            log.info("%s lies below the floor: its removal is carried out now", path.name)
            unlink(path)
        else:
            _prove_unsealed(found, path, epoch, first)
    return found


def _first(paths: list[Path]) -> Path:
    """Of a segment's files the one that counts; what a salvage left that was cut off goes, and is done again."""
    for path in paths[1:]:
        log.info("%s: its salvage was cut off and is done again", path.name)
        unlink(path)
    return paths[0]


def _open_control(settings: BufferSettings) -> tuple[Control, str]:
    path = settings.folder / FILE
    damage = ""
    for _ in range(LOOKS):
        try:
            return Control.open(path, migrating=True), ""
        except BufferDamaged as error:
            damage = str(error)
            await_bytes(path)
    aside = quarantine(settings.folder, path, settings.quarantine_bytes_max)
    log.error("%s; put aside as %s. Numbers begin again in a new epoch", damage, aside.name)
    return Control.open(path), f"{FILE} could not be proven"


def _check_listed(found: Findings, entry: Entry, path: Path | None) -> None:
    if path is not None and size_of(path) == entry.size_bytes and _readable(path):
        found.entries.append(replace(entry, salvaged=path.name.count(SALVAGED)))
    elif path is None:
        found.dropped.append(entry)
        log.error("segment %s is missing", entry.file)
        found.lose(Why.LOST, entry.epoch, entry.first, entry.last, entry)
    else:
        log.error("segment %s is not the file that was sealed", path.name)
        _salvage(found, path, look, entry, entry.last)


def _salvage(
    found: Findings, path: Path, connect: Callable[[Path], sqlite3.Connection], entry: Entry, reached: int
) -> None:
    """Keep what is good of a damaged segment; its file is put aside when all this is written down."""
    listed = entry if entry.hash != NO_HASH else None
    try:
        saved = salvage(path, connect, listed, reached)
    except (sqlite3.Error, OSError) as error:
        if not is_full(error):
            raise
        log.error("%s: no room on the disk to salvage it (%s)", path.name, error)
        frames = ((entry.first, max(reached, entry.first)),)
        saved = Salvaged(path, None, (Gap(Why.CORRUPT, entry.t0, entry.t1, frames=frames, epoch=entry.epoch),))
    found.dropped.append(entry)
    found.salvaged.append(saved)
    found.gaps += saved.gaps
    found.reach(entry.epoch, reached)
    if saved.entry is not None:
        found.entries.append(saved.entry)
        with closing(look(path.with_name(saved.entry.file))) as db:
            found.tables.update(proven_tables(db))


def _readable(path: Path) -> bool:
    """Whether SQLite opens it at all. Blocks are proven when they are read, or by `tidegate buffer verify`."""
    for _ in range(LOOKS):
        try:
            with closing(look(path)) as db:
                return bool(db.execute("SELECT max(first) FROM blocks").fetchone() is not None)
        except sqlite3.DatabaseError:
            await_bytes(path)
    return False


def _prove_unsealed(found: Findings, path: Path, epoch: str, first: int) -> None:
    """A file that is not listed as sealed: the newest of its epoch, or all of them when control.db was lost."""
    proven = survey(path, connect)
    if proven.refused is not None and is_refusal(proven.refused):
        raise proven.refused
    listed = found.control.segments()
    if proven.entry is None and not proven.damage and not any(e.file == path.name for e in listed):
        log.info("%s never took a commit; removed", path.name)
        unlink(path)
        return
    before = next((e.hash for e in listed if e.epoch == epoch and e.last == first - 1 and e.sealed), None)
    strange = proven.meta is not None and before not in (None, proven.meta.before)
    if strange:
        proven = replace(proven, damage="it does not go on from the segment before it", entry=None)
    if proven.damage or proven.entry is None:
        log.error("segment %s can't be proven: %s", path.name, proven.damage or "its blocks are gone")
        last = max(first, proven.reached, *(e.last for e in listed if (e.epoch, e.first) == (epoch, first)))
        nothing = Entry(epoch, first, last, 0, 0, 0, 0, 0, NO_HASH)
        if strange:
            found.dropped.append(nothing)
            found.salvaged.append(Salvaged(path, None, ()))
            found.lose(Why.CORRUPT, epoch, first, last)
        else:
            _salvage(found, path, connect, nothing, last)
        if epoch == found.current and not any(e.epoch == epoch and e.first > first for e in listed):
            found.reason = found.reason or "the end of the newest segment could not be proven"
        return
    entry = replace(proven.entry, size_bytes=seal_file(path), salvaged=path.name.count(SALVAGED))
    for hole in proven.holes:
        found.lose(Why.CORRUPT, epoch, *hole)
    found.entries.append(entry)
    found.carriers += [(row, epoch, number) for row, number in proven.carriers]
    assert proven.meta is not None
    found.made_us[epoch] = max(found.made_us.get(epoch, 0), proven.meta.made_us)
    found.boot = max(found.boot, proven.boot)
    with closing(look(path)) as db:
        found.tables.update(proven_tables(db))


def _settle(found: Findings, settings: BufferSettings, clock: Clock, targets: Sequence[str], identity: str) -> State:
    control = found.control
    known_box, clean, wall_us = control.box()
    clock.raise_floor(wall_us)
    if clean and control.before is None:
        forget_old(settings.folder, FILE)
    last = control.start()
    clock.boot = max(last.boot, found.boot) + 1
    times = Times(control, clock, kernel_boot())
    cursors = Cursors(targets, control.marks())
    _number_older(found)
    _check_end(found, cursors, Ledger(control.db))
    if known_box and known_box != identity:
        found.reason = found.reason or "this is another box"
    catalog = _catalog(settings.folder / SEGMENTS, found)
    _find_holes(found, catalog, Ledger(control.db))
    with control.transaction():
        _write(found, control, catalog, cursors)
        ledger = Ledger(control.db)
        if found.reason:
            _begin(found, control, catalog, cursors)
        _owe(catalog, cursors, lost=found.reason != FIRST_START and not known_box)
        if not clean or (found.boot and not last.boot):
            ledger.write([crash_window(catalog, ledger, settings, clock, times, last, wall_us)])
        ledger.write(unnamed(found.gaps, ledger))
        control.add_boot(clock.boot, kernel_boot(), clock.now_us(), clock.mono_us(), clock.state)
        control.set_box(identity, False, wall_us)
        marks = cursors.marks(everything=True)
        control.store_marks(marks)
        unasked = _unasked(control, targets, catalog.numberings[-1])
    cursors.stored(marks)
    ledger.refresh()
    for saved in found.salvaged:
        put_aside(settings.folder, saved, settings.quarantine_bytes_max)
    current = catalog.numberings[-1]
    entries = catalog.sealed(current.epoch)
    tail = entries[-1].hash if entries else NO_HASH
    state = State(
        settings, clock, control, ledger, cursors, catalog, current.epoch, current.last, tail, identity, times,
        unasked=unasked,
    )  # fmt: skip
    for renewal in control.renewals():
        adopt(state, renewal)
    if found.reason and found.reason != FIRST_START:
        log.warning("numbers begin again in epoch %s: %s", state.epoch, found.reason)
    return state


def _unasked(control: Control, targets: Sequence[str], current: Numbering) -> dict[str, tuple[str, int]]:
    """Numbers that come now may have been given before, by what this folder was before an image was put back. So may
    those of a run before that reached no broker: they stay in doubt with them.
    """
    before = control.unasked()
    for target in targets:
        if before.get(target, ("", 0))[0] != current.epoch:
            control.store_unasked(target, current.epoch, current.last + 1)
    return control.unasked()


def _number_older(found: Findings) -> None:
    """Epochs that segments speak of and control.db does not: it was lost. They come before all others."""
    known = {n.epoch for n in found.numberings}
    strange = {e.epoch for e in found.entries} | set(found.reached)
    for epoch in sorted(strange - known, key=lambda e: found.made_us.get(e, 0), reverse=True):
        firsts = [e.first for e in found.entries if e.epoch == epoch]
        firsts += [a for gap in found.gaps if gap.epoch == epoch for a, _ in gap.frames]
        ordinal = min((n.ordinal for n in found.numberings), default=0) - 1
        found.numberings.insert(0, Numbering(ordinal, epoch, min(firsts), 0))


def _check_end(found: Findings, cursors: Cursors, ledger: Ledger) -> None:
    """How far each numbering went: by its segments, by what the ledger closed, and by what somebody acknowledged."""
    for entry in found.entries:
        found.reach(entry.epoch, entry.last)
    good = max((e.last for e in found.entries if e.epoch == found.current), default=0)
    if any(e.epoch == found.current and e.last > good for e in found.dropped):
        found.reason = found.reason or "the end of the newest segment could not be proven"
    for numbering in found.numberings:
        found.reach(numbering.epoch, numbering.floor - 1)
        for _, last in ledger.closed(numbering.epoch):
            found.reach(numbering.epoch, last)
        last, highest = found.reached[numbering.epoch], cursors.highest(numbering.epoch)
        if highest > last:
            log.error("epoch %s: %d was acknowledged, and segments end at %d", numbering.epoch, highest, last)
            found.lose(Why.LOST, numbering.epoch, last + 1, highest)
            if numbering.epoch == found.current:
                found.reason = found.reason or "numbers were acknowledged that are not on disk"


def _catalog(folder: Path, found: Findings) -> Catalog:
    catalog = Catalog(folder)
    held = {e.epoch for e in found.entries}
    for numbering in found.numberings:
        if numbering.epoch in held or (numbering.epoch == found.current and not found.reason):
            catalog.number(replace(numbering, last=found.reached[numbering.epoch]))
    for entry in found.entries:
        catalog.seal(entry)
    return catalog


def _find_holes(found: Findings, catalog: Catalog, ledger: Ledger) -> None:
    """Numbers between floor and end that neither a segment holds nor a row names are lost; times by the neighbours."""
    for numbering in catalog.numberings:
        entries = catalog.sealed(numbering.epoch)
        held = ledger.closed(numbering.epoch)
        for first, last in ((e.first, e.last) for e in entries):
            held.add(first, last)
        held.update(Ranges(pair for gap in found.gaps if gap.epoch == numbering.epoch for pair in gap.frames))
        for first, last in held.holes(numbering.floor, numbering.last):
            found.lose(Why.LOST, numbering.epoch, first, last)
        found.gaps = [_timed(gap, entries) if gap.epoch == numbering.epoch else gap for gap in found.gaps]


def _timed(gap: Gap, entries: Iterable[Entry]) -> Gap:
    if gap.t1:
        return gap
    before = [e.t1 for e in entries if e.last < gap.frames[0][0]]
    after = [e.t0 for e in entries if e.first > gap.frames[-1][1]]
    t0 = max(before, default=min(after, default=0))
    return replace(gap, t0=t0, t1=max(t0, min(after, default=t0)))


def _write(found: Findings, control: Control, catalog: Catalog, cursors: Cursors) -> None:
    """Into control.db what the disk says."""
    for entry in found.dropped:
        control.drop_segment(entry.epoch, entry.first)
    for entry in found.entries:
        control.list_segment(entry)
    control.keep_tables(found.tables)
    control.db.executemany(
        "UPDATE ledger SET carrier = ?3, carrier_epoch = ?2 WHERE id = ?1 AND carrier IS NULL", found.carriers
    )
    known = {n.epoch for n in control.numberings()}
    for numbering in reversed(found.numberings):
        if numbering.epoch not in known:
            control.begin(numbering.epoch, numbering.floor, "found on disk", older=True)
        if catalog.numbering(numbering.epoch) is None:
            control.set_floor(replace(numbering, floor=found.reached[numbering.epoch] + 1))
            control.forget(numbering.epoch)
            cursors.forget(numbering.epoch)


def _begin(found: Findings, control: Control, catalog: Catalog, cursors: Cursors) -> None:
    """A new numbering; of the one before stays what is left to read."""
    epoch = new_epoch()
    catalog.number(Numbering(control.begin(epoch, 1, found.reason), epoch, 1, 0))
    for target in cursors.targets:
        cursors.begin(target, epoch, 1)


def _owe(catalog: Catalog, cursors: Cursors, lost: bool) -> None:
    """Targets that are new are owed what comes from now on; everything, when the cursors were lost."""
    *older, current = catalog.numberings
    for target in cursors.targets:
        for numbering in older if lost else ():
            if not cursors.has(target, numbering.epoch):
                cursors.begin(target, numbering.epoch, numbering.floor)
        if not cursors.has(target, current.epoch):
            cursors.begin(target, current.epoch, current.last + 1)
