"""Restamp: the right times of a frame that was taken before the time was known. A pure step; the buffer keeps the old.

taken at mono 5 s, wall 1970 ─┐
                              ├─▶ sent with "clk":"corrected" and t = its old t + (right - old gateway time)
known: mono 65 s is 12:01:05 ─┘
"""

import sys
from array import array
from collections.abc import Callable
from dataclasses import replace

from tidegate.clock import BUILT_US, ClockState, Known
from tidegate.model.frame import Frame, Kind, Origin
from tidegate.model.gap import Gap, Why

# What is told of this start alone, so that both its times were read off the clock that was wrong.
OF_THIS_START = frozenset(
    {Why.DEVICE_DOWN, Why.POLL_OVERRUN, Why.INVALID_REPLY, Why.SHED, Why.SOURCE_OVERFLOW, Why.SOURCE_GAP}
)


def restamp(frame: Frame, known: Callable[[int], Known | None]) -> Frame:
    """The frame with its right times, where `known` has a moment of its boot; else the frame as it is.

    Source times of live frames were read off the gateway's clock, and move with it; those of a machine's own history
    do not. A frame whose clock was set is never touched.
    """
    if frame.clock != ClockState.UNSET:
        return frame
    moment = known(frame.boot)
    if moment is None:
        return frame
    gateway_us = moment.wall_us - moment.mono_us + frame.mono_us
    ahead_us = gateway_us - frame.gateway_us
    source_us, side = frame.source_us, frame.side
    if frame.kind == Kind.GAP:
        try:
            side = _restamped(Gap.decode(side), gateway_us, ahead_us).encode()
        except (ValueError, KeyError, TypeError):
            return frame  # Whoever encodes it says what is wrong with it.
    elif frame.origin != Origin.BACKFILL:
        source_us = _moved(source_us, ahead_us)
    return replace(frame, clock=ClockState.CORRECTED, gateway_us=gateway_us, source_us=source_us, side=side)


def _moved(column: bytes, by_us: int) -> bytes:
    times = array("q", column)
    if sys.byteorder == "big":
        times.byteswap()
    moved = array("q", (us + by_us for us in times))
    if sys.byteorder == "big":
        moved.byteswap()
    return moved.tobytes()


def _restamped(gap: Gap, gateway_us: int, ahead_us: int) -> Gap:
    if gap.why in OF_THIS_START:
        return replace(gap, t0=gap.t0 + ahead_us, t1=gap.t1 + ahead_us)
    if gap.why is Why.CRASH_WINDOW:
        # It ended with this start, just before it was announced. It began in the run before: a time of when this
        # version did not exist is by the same wrong clock, any other is right.
        t0 = gap.t0 + ahead_us if gap.t0 < BUILT_US else gap.t0
        return replace(gap, t0=min(t0, gateway_us), t1=gateway_us)
    return gap
