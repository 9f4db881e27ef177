"""A board without a clock battery, for tests of what a buffer makes of a clock that is not set."""

from dataclasses import replace
from pathlib import Path

from tests.buffer.world import NOW_US, World
from tidegate.clock import Clock, Known, Source
from tidegate.model.frame import Frame

SINCE_START_US = 30_000_000


class Board(World):
    """A machine without a clock battery: its wall clock begins at 1970, and NTP comes when the test says so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.mono_us = SINCE_START_US
        self.now_us = self.mono_us
        self.ntp = False
        self.known_at_once: Known | None = None
        self.died_us = 0

    def new_clock(self) -> Clock:
        return Clock(lambda: self.now_us, self._mono, source=Source.NTP, kernel=lambda: self.ntp)

    def _mono(self) -> int:
        return self.mono_us

    def frame(self, value: int) -> Frame:
        """A frame that says how the clock was."""
        return replace(super().frame(value), clock=self.clock.state)

    def pass_s(self, seconds: float) -> None:
        self.now_us += round(seconds * 1e6)
        self.mono_us += round(seconds * 1e6)

    def synchronise(self) -> None:
        self.now_us, self.ntp = NOW_US + self.mono_us, True
