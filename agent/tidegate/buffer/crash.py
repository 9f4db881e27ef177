"""Crash: since when readings may be lost that the last run had taken and not committed when it died.

It goes by the last block on disk. A run whose clock was not set stamped it wrongly: its right time follows from a
moment of that run at which the time was known, else from the monotonic clock, else only how early it may have been is
certain.
"""

import sqlite3
from contextlib import closing
from dataclasses import dataclass

from tidegate.buffer.block import decode
from tidegate.buffer.catalog import Catalog, Entry
from tidegate.buffer.control import Start
from tidegate.buffer.ledger import Ledger
from tidegate.buffer.segment import blocks_from, look
from tidegate.buffer.settings import BufferSettings
from tidegate.buffer.times import Times
from tidegate.clock import BUILT_US, Clock, ClockState
from tidegate.errors import BufferDamaged, FrameDamaged
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap, Why


@dataclass(frozen=True, slots=True)
class Stamp:
    """A moment as a run stamped it: wall and monotonic µs, and whether its clock could be believed."""

    boot: int
    wall_us: int
    mono_us: int
    clock: int


def crash_window(
    catalog: Catalog, ledger: Ledger, settings: BufferSettings, clock: Clock, times: Times, last: Start, passed_us: int
) -> Gap:
    """What was read and not committed when the last run died: from the earliest reading of its last block on.

    `last` is that run's start, `passed_us` a wall time that had certainly passed (0: none). A loss that was being told
    then, now and again, is told no more: the window reaches back to where it was.
    """
    stamps = _last_block(catalog) or [Stamp(last.boot, last.wall_us, last.mono_us, last.clock)]
    earliest = min(stamps, key=lambda stamp: stamp.wall_us)
    right = [us for us in (_right_us(stamp, clock, times) for stamp in stamps) if us is not None]
    now_us = clock.now_us()
    if not right:
        # It was after what had passed, and that is all: too long a window names what is lost, a short one does not.
        return Gap(Why.CRASH_WINDOW, passed_us or BUILT_US, max(passed_us or BUILT_US, now_us))
    begun_us = min(right)
    t0 = begun_us - round(settings.reading_delay_s_max * 1e6)
    # Losses were told by the clock of then.
    told_us = ledger.lasting_until(earliest.wall_us - round(settings.telling_delay_s_max * 1e6))
    if told_us is not None:
        t0 = min(t0, told_us + begun_us - earliest.wall_us)
    return Gap(Why.CRASH_WINDOW, t0, max(t0, now_us))


def _right_us(stamp: Stamp, clock: Clock, times: Times) -> int | None:
    """The wall time of a stamp, as far as it is known. None: it is not.

    On a machine that has not been started anew and still has no time, it is by the same wrong clock as now: such a
    time lies before this version was made, and is corrected with the gap that tells it.
    """
    if stamp.clock != ClockState.UNSET:
        return stamp.wall_us
    known = times.known(stamp.boot)
    if known is not None:
        return known.wall_us - known.mono_us + stamp.mono_us
    moment = clock.moment()
    if not times.same_machine_start(stamp.boot, clock.boot):
        return None
    right_us = moment.wall_us - (moment.mono_us - stamp.mono_us)
    return right_us if moment.state is ClockState.SET or moment.wall_us < BUILT_US else None


def _last_block(catalog: Catalog) -> list[Stamp]:
    """The stamps of the frames of the last block on disk; none where there is no block."""
    for numbering in reversed(catalog.numberings):
        for entry in catalog.sealed(numbering.epoch)[-1:]:
            return _stamps(catalog, entry)
    return []


def _stamps(catalog: Catalog, entry: Entry) -> list[Stamp]:
    try:
        with closing(look(catalog.path(entry))) as db, closing(blocks_from(db, entry.last, entry.last)) as blocks:
            frames = [Frame.decode(data) for block in blocks for _, data in decode(block)]
    except (sqlite3.DatabaseError, BufferDamaged, FrameDamaged, UnicodeDecodeError):
        frames = []
    stamps = [Stamp(frame.boot, frame.gateway_us, frame.mono_us, frame.clock) for frame in frames]
    return stamps or [Stamp(0, entry.t0, 0, ClockState.SET if entry.t0 >= BUILT_US else ClockState.UNSET)]
