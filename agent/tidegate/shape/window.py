"""A window: one function over the time between two boundaries of the wall clock. It knows neither tags nor frames.

          reading        reading                    A reading holds until the next one, for `hold_us` at most: the
    ──┬──────┴──────────────┴───────┬──▶ time       window is taken over the steps that this makes. Boundaries are
    begin                          end              multiples of the length in UTC; the length itself is measured by
                                                    the monotonic clock.

While the time is not known, a window begins with its first reading. A step of the wall clock, or its becoming known,
ends a window early: what it then says is Uncertain, like every window that was not seen from end to end.
"""

import math
from dataclasses import dataclass

from tidegate.model.status import BAD_NO_DATA, GOOD, UNCERTAIN_DATA_SUB_NORMAL, is_bad

# The wall clock was stepped when it parts from the monotonic one by more than this (as clock.STEP_US).
STEP_US = 500_000
# A window this much shorter than its length, as a part of it, is still a whole one: the clock was slewed.
SLACK_PART = 10
# Of windows in which nothing at all was seen so many are told, the last ones; gaps tell of the time before.
MISSED_MAX = 8


@dataclass(frozen=True, slots=True)
class Closed:
    """What a window came to: its end in wall-clock µs, the number (0 when Bad) and its status."""

    end_us: int
    number: float
    status: int


class Span:
    """The windows of one tag, one after the other. `length_us` and `hold_us` are µs."""

    def __init__(self, function: str, length_us: int, hold_us: int) -> None:
        self._function = function
        self._length_us = length_us
        self._hold_us = hold_us
        self._slack_us = min(STEP_US, length_us // SLACK_PART)
        self._open = False
        # What `_begin` sets for each window: its bounds, and what was seen in it.
        self._known, self._offset_us, self._begin_us, self._end_us = False, 0, 0, 0
        self._area, self._covered_us, self._counted, self._reset = 0.0, 0, 0.0, False
        self._low, self._high, self._worst = math.inf, -math.inf, GOOD
        self._last: float | None = None
        # The last reading: since when it counts and until when it holds (monotonic µs), None = there is none.
        self._number: float | None = None
        self._status = GOOD
        self._since_us = self._until_us = 0

    def advance(self, mono_us: int, wall_us: int, known: bool) -> list[Closed]:
        """What has ended by now, oldest first. To be called with every frame of the device, before `take`."""
        offset_us = wall_us - mono_us
        if not self._open:
            self._begin(mono_us, offset_us, known)
            return []
        closed: list[Closed] = []
        stepped = known != self._known or abs(offset_us - self._offset_us) > STEP_US
        if stepped and mono_us < self._end_us:
            closed.append(self._close(mono_us, wall_us, whole=False))
            self._begin(mono_us, offset_us, known)
        while mono_us >= self._end_us:
            closed.append(self._close(self._end_us, self._end_us + self._offset_us))
            missed = (mono_us - self._end_us) // self._length_us - MISSED_MAX
            begin_us = self._end_us + max(0, missed) * self._length_us
            self._begin(mono_us if stepped else begin_us, offset_us, known)
        return closed

    def take(self, mono_us: int, number: float, status: int) -> None:
        """A reading of now. A Bad one ends the time that the last one holds, and says nothing more."""
        self._hold(mono_us)
        if is_bad(status):
            self._until_us = min(self._until_us, mono_us)
            return
        if self._last is not None:
            step = number - self._last
            self._counted += max(step, 0.0)
            self._reset = self._reset or step < 0
        self._number, self._status, self._last = number, status, number
        self._since_us, self._until_us = mono_us, mono_us + self._hold_us
        self._see(number, status)

    def _begin(self, mono_us: int, offset_us: int, known: bool) -> None:
        """Open a window here. What still holds goes on in it; what does not is forgotten."""
        self._open, self._known, self._offset_us, self._begin_us = True, known, offset_us, mono_us
        length_us = self._length_us
        if known:
            wall_us = mono_us + offset_us + self._slack_us
            self._end_us = (wall_us // length_us + 1) * length_us - offset_us
        else:
            self._end_us = mono_us + length_us
        self._area, self._covered_us, self._counted, self._reset = 0.0, 0, 0.0, False
        self._low, self._high, self._worst = math.inf, -math.inf, GOOD
        self._last = None
        if self._number is not None and self._until_us > mono_us:
            self._last, self._since_us = self._number, mono_us
            self._see(self._number, self._status)
        else:
            self._number = None

    def _see(self, number: float, status: int) -> None:
        self._low, self._high = min(self._low, number), max(self._high, number)
        self._worst = self._worst or status

    def _hold(self, mono_us: int) -> None:
        """The last reading held until now, or as long as it could."""
        if self._number is None:
            return
        span_us = min(mono_us, self._until_us) - self._since_us
        if span_us > 0:
            self._area += self._number * span_us
            self._covered_us += span_us
            self._since_us += span_us

    def _close(self, mono_us: int, wall_us: int, whole: bool = True) -> Closed:
        self._hold(mono_us)
        if self._last is None:
            return Closed(wall_us, 0.0, BAD_NO_DATA)
        seen = self._covered_us >= mono_us - self._begin_us
        whole = whole and seen and mono_us - self._begin_us >= self._length_us - self._slack_us
        status = self._worst if whole and not self._reset else UNCERTAIN_DATA_SUB_NORMAL
        return Closed(wall_us, self._result(), status)

    def _result(self) -> float:
        if self._function == "mean":
            # One reading that has held for no time yet is its own mean.
            return self._area / self._covered_us if self._covered_us else self._last or 0.0
        if self._function == "min":
            return self._low
        if self._function == "max":
            return self._high
        return self._counted if self._function == "difference" else self._last or 0.0
