"""Retention: removes the oldest segments for room or age, and says in the ledger who still waited for them.

Order, so that a crash costs nothing: one transaction of control.db is the removal; the unlink only carries it out.
"""

import logging
import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace

from tidegate.buffer import ballast
from tidegate.buffer.block import decode
from tidegate.buffer.catalog import Entry
from tidegate.buffer.segment import blocks_from, look
from tidegate.buffer.state import State, is_full, unlink
from tidegate.clock import BUILT_US, ClockState
from tidegate.errors import BufferDamaged, FrameDamaged
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why
from tidegate.proof import Ranges

log = logging.getLogger(__name__)

REMOVALS_MAX = 1024
SMALL_DISK_SHARE = 20  # A twentieth of a small disk stays free.
# The ledger is part of what the quota bounds: it takes at most this share of it, as long as targets keep up.
LEDGER_SHARE = 16
LEDGER_ROW_BYTES = 100
LEDGER_ROWS_MAX = 200_000


def make_room(state: State) -> int:
    """Remove oldest segments until the buffer is within its limits; returns how many went.

    Beyond the quota they go, whoever waits for them. While the disk has less free than the floor, those go that every
    target has, and the others only so far that the buffer does not grow: what fills the disk may be somebody else.
    """
    oldest = state.catalog.oldest()
    if oldest is not None and not state.catalog.path(oldest).exists():
        # Its file went when the disk was so full that its removal could not be committed: that is done now.
        remove(state, oldest)
    removed = _expire(state)
    scarce = _is_scarce(state)
    if not scarce:
        state.scarce_bytes = None
    elif state.scarce_bytes is None:
        state.scarce_bytes = state.bytes_used
        log.warning("less than %d MB are free on the disk: the buffer grows no more", _floor_bytes(state) // 10**6)
    while removed < REMOVALS_MAX:
        entry = state.catalog.oldest()
        limit_bytes = min(state.settings.quota_bytes, state.scarce_bytes or state.settings.quota_bytes)
        if entry is None or not (state.bytes_used > limit_bytes or (scarce and _is_done(state, entry))):
            break
        remove(state, entry)
        removed += 1
        scarce = scarce and _is_scarce(state)
    return removed


def _expire(state: State) -> int:
    """Remove what is older than it is to be kept, which every target has; only by a clock that can be believed."""
    keep_us = state.settings.keep_s * 1e6
    for removed in range(REMOVALS_MAX):
        entry = state.catalog.oldest()
        if entry is None or state.clock.state is not ClockState.SET:
            return removed
        # Times before this build was made come from a clock that was not set.
        if not BUILT_US <= entry.t0 <= entry.t1 < state.clock.now_us() - keep_us or not _is_done(state, entry):
            return removed
        log.info("removed %s for its age", entry.file)
        remove(state, entry)
    return REMOVALS_MAX


def _is_done(state: State, entry: Entry) -> bool:
    """Whether every target has all of a segment."""
    cursors = state.cursors
    return not any(cursors.waiting(t, entry.epoch, entry.first, entry.last) for t in cursors.targets)


def _floor_bytes(state: State) -> int:
    disk = os.statvfs(state.settings.folder)
    return min(state.settings.free_bytes_min, disk.f_blocks * disk.f_frsize // SMALL_DISK_SHARE)


def _is_scarce(state: State) -> bool:
    disk = os.statvfs(state.settings.folder)
    return disk.f_bavail * disk.f_frsize < _floor_bytes(state)


def free(state: State, error: Exception) -> bool:
    """The disk is full: give up the ballast and oldest segments until it can be laid again; whether it lies now.

    Raises the error where there is no segment to give.
    """
    if state.catalog.oldest() is None:
        raise error
    folder = state.settings.folder
    ballast.drop(folder)
    log.warning("the disk is full (%s): oldest segments go before their time", error)
    for _ in range(REMOVALS_MAX):
        oldest = state.catalog.oldest()
        if oldest is None:
            return False
        try:
            remove(state, oldest)
        except sqlite3.Error as refused:
            if not is_full(refused):
                raise
            # Not even that fits. Then the file goes first: cut off here, the next start says that it is lost.
            unlink(state.catalog.path(oldest))
            remove(state, oldest)
        if ballast.lay(folder):
            return True
    return False


def remove(state: State, entry: Entry) -> None:
    """Remove one sealed segment. Raises sqlite3.Error when control.db can't take it; then nothing has happened."""
    epoch, floor = entry.epoch, entry.last + 1
    catalog, cursors = state.catalog, state.cursors
    before = catalog.numbering(epoch)
    assert before is not None
    numbering = replace(before, floor=floor)
    finished = epoch != state.epoch and len(catalog.sealed(epoch)) == 1
    gap, unseen = _unseen(state, entry)
    with state.transaction([(epoch, floor)]):
        if gap is not None:
            state.ledger.write([gap])
        state.ledger.lose_carriers(epoch, unseen)
        prune_ledger(state)
        state.control.drop_segment(epoch, entry.first)
        state.control.set_floor(numbering)
        if finished:
            state.control.forget(epoch)
    catalog.remove(entry)
    if finished:
        catalog.forget(epoch)
        cursors.forget(epoch)
    else:
        catalog.number(numbering)
        cursors.raise_to(epoch, floor)
    if gap is not None:
        log.warning(
            "removed %s for its room; %s waited for %d readings of it",
            entry.file,
            gap.targets or "all targets",
            gap.n,
        )
    try:
        unlink(catalog.path(entry))
    except OSError as error:
        log.error("%s is removed but could not be unlinked (%s); the next start does it", entry.file, error)


def prune_ledger(state: State) -> None:
    """Drop old ledger rows that every target has, within the caller's transaction: they may not crowd out data."""
    reached = [(n.epoch, state.cursors.lowest(n.epoch)) for n in state.catalog.numberings]
    rows_max = min(LEDGER_ROWS_MAX, state.settings.quota_bytes // LEDGER_SHARE // LEDGER_ROW_BYTES)
    state.ledger.prune([(epoch, upto) for epoch, upto in reached if upto is not None], rows_max)


def _unseen(state: State, entry: Entry) -> tuple[Gap | None, Ranges]:
    """The ledger row that a removal needs (None when every target has it all), and the numbers somebody waits for."""
    closed = state.ledger.closed(entry.epoch)
    waiting: list[str] = []
    unseen = Ranges()
    for target in state.cursors.targets:
        holes = state.cursors.waiting(target, entry.epoch, entry.first, entry.last)
        if holes:
            waiting.append(target)
            unseen.update(holes)
    numbers = unseen.copy()
    for first, last in closed:
        numbers.remove(first, last)
    if not numbers:
        return None, unseen
    counted = _count(state, entry, numbers)
    gap = Gap(
        why=Why.EVICTED,
        t0=counted.t0,
        t1=counted.t1,
        n=counted.readings,
        n_is="exact" if counted.exact else "least",
        frames=tuple(numbers),
        epoch=entry.epoch,
        targets=() if len(waiting) == len(state.cursors.targets) else tuple(waiting),
    )
    return gap, unseen


@dataclass(frozen=True, slots=True)
class _Count:
    readings: int
    t0: int
    t1: int
    exact: bool


def _count(state: State, entry: Entry, numbers: Ranges) -> _Count:
    """How many readings these numbers of a sealed segment hold, and from when to when they are."""
    if numbers.total == entry.last - entry.first + 1:
        return _Count(entry.readings, entry.t0, entry.t1, True)
    readings, times, exact = 0, [], True
    try:
        with closing(look(state.catalog.path(entry))) as db:
            rows = db.execute("SELECT first, last, readings, t0, t1 FROM blocks ORDER BY first").fetchall()
            for first, last, held, t0, t1 in rows:
                wanted = numbers.within(first, last)
                if not wanted:
                    continue
                times += [t0, t1]
                if wanted.total == last - first + 1:
                    readings += held
                else:
                    readings += _count_within(db, first, wanted)
    except (sqlite3.DatabaseError, BufferDamaged, FrameDamaged):
        exact = False
    return _Count(readings, min(times, default=entry.t0), max(times, default=entry.t1), exact)


def _count_within(db: sqlite3.Connection, first: int, wanted: Ranges) -> int:
    with closing(blocks_from(db, first, first)) as blocks:
        return sum(Frame.decode(data).count for block in blocks for number, data in decode(block) if number in wanted)
