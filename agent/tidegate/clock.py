"""The clock: wall time that knows whether it may be trusted, and monotonic time for every timer.

    UNSET ──▶ SYNCED      the kernel says that NTP or PTP steers the clock, or the configuration declares it right
      │  ▲      │ ▲
      │  │      ▼ │       holdover: it was known before, or a real-time clock set it, and it runs on by itself
      └──┴── HOLDOVER     back to UNSET: it stands before a time that has passed, or was stepped and nobody vouches

It is no NTP client, and sets nothing. Frames and messages have two words for it only: set and unset (formats §1).
"""

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from pathlib import Path

# No reading can have been taken before this version existed: 2026-11-01T00:00:00Z.
BUILT_US = 1_793_491_200_000_000
# Wall and monotonic time part by less than this between two looks, unless somebody stepped the wall clock.
STEP_US = 500_000
# A step beyond it is believed only when the kernel says that the clock is synchronised.
DOUBT_US = 60_000_000
# The kernel is asked whether it is synchronised once in so long; at once after a step.
KERNEL_LOOK_US = 1_000_000
# Return value of adjtimex(2): the clock is not synchronised. Its struct timex is smaller than this on every machine.
TIME_ERROR = 5
TIMEX_BYTES = 512
REAL_TIME_CLOCKS = Path("/sys/class/rtc")


class ClockState(IntEnum):
    """How far a frame's wall times may be trusted (formats §1)."""

    SET = 0
    UNSET = 1
    CORRECTED = 2


class Trust(IntEnum):
    """How well the time is known; more is better."""

    UNSET = 0
    HOLDOVER = 1
    SYNCED = 2

    @property
    def state(self) -> ClockState:
        """As frames and messages say it."""
        return ClockState.UNSET if self is Trust.UNSET else ClockState.SET


class Source(StrEnum):
    """Who may set the wall clock, as `[clock] source` says."""

    AUTO = "auto"  # NTP or PTP by the kernel's word, else a real-time clock that set the clock at boot
    NTP = "ntp"  # the kernel's word only
    RTC = "rtc"  # also any real-time clock of this box
    SYSTEM = "system"  # something that the kernel does not know of keeps it right


@dataclass(frozen=True, slots=True)
class Known:
    """One moment at which the time was known: wall and monotonic µs, and how well."""

    wall_us: int
    mono_us: int
    trust: Trust = Trust.SYNCED


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at both clocks: wall and monotonic µs, and how far that wall time may be trusted."""

    wall_us: int
    mono_us: int
    trust: Trust

    @property
    def state(self) -> ClockState:
        """As frames and messages say it."""
        return self.trust.state


def wall_us() -> int:
    """Microseconds since 1970 UTC by the system's clock, right or wrong."""
    return time.time_ns() // 1000


def monotonic_us() -> int:
    """Microseconds since this machine started; never steps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def kernel_synchronised() -> bool | None:
    """Whether the kernel says that its clock is synchronised (adjtimex(2)); None where it can't be asked."""
    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    if ask is None:
        return None
    # All zeros: modes = 0 only reads.
    said = int(ask(ctypes.create_string_buffer(TIMEX_BYTES)))
    return None if said < 0 else said != TIME_ERROR


def set_by_real_time_clock(source: Source, folder: Path = REAL_TIME_CLOCKS) -> bool:
    """Whether a real-time clock set the wall clock at boot; for Source.RTC it is enough that there is one."""
    for clock in folder.glob("rtc*"):
        try:
            if source is Source.RTC or (clock / "hctosys").read_text().strip() == "1":
                return True
        except OSError:
            continue
    return False


class Clock:
    """Wall and monotonic time of this gateway, and the number of this boot. May be used from any thread.

    `floor_us` is the newest wall time that is known to have passed; `boot` counts the starts of the gateway with
    this buffer, from 1 (0 until the buffer has been opened); `steps` counts the steps of the wall clock that were
    seen, `step_us` is the last one.
    """

    def __init__(
        self,
        wall: Callable[[], int] = wall_us,
        monotonic: Callable[[], int] = monotonic_us,
        floor_us: int = BUILT_US,
        source: Source = Source.SYSTEM,
        kernel: Callable[[], bool | None] = kernel_synchronised,
        real_time_clock: Callable[[Source], bool] = set_by_real_time_clock,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._floor_us = floor_us
        self._source = source
        self._kernel = kernel
        self._real_time_clock = real_time_clock
        self._lock = threading.Lock()
        # Wall minus monotonic time: at the last look, and when it was last believed.
        self._offset_us: int | None = None
        self._believed_us: int | None = None
        self._synchronised: bool | None = None
        self._asked_us: int | None = None
        self._words = ""
        self.boot = 0
        self.steps = 0
        self.step_us = 0

    def now_us(self) -> int:
        """Wall time in µs UTC; ask `state` before believing it."""
        return self._wall()

    def mono_us(self) -> int:
        """Monotonic µs; only differences mean something, and only within one boot."""
        return self._monotonic()

    def moment(self) -> Moment:
        """Wall time, monotonic time and trust that belong together: what a frame is stamped with."""
        with self._lock:
            mono_us, now_us = self._monotonic(), self._wall()
            trust, self._words = self._judge(now_us, mono_us)
            return Moment(now_us, mono_us, trust)

    @property
    def trust(self) -> Trust:
        """How well the time is known now."""
        return self.moment().trust

    @property
    def state(self) -> ClockState:
        """SET when the time is known, else UNSET."""
        return self.moment().state

    @property
    def words(self) -> str:
        """Why it is trusted or not, and what to do about it, for people."""
        self.moment()
        return self._words

    def raise_floor(self, us: int) -> None:
        """Tell the clock of a wall time that has certainly passed."""
        self._floor_us = max(self._floor_us, us)

    def remember(self, known: Known) -> None:
        """The time was known earlier in this start of the machine: as long as the clock agrees, it still is."""
        with self._lock:
            if self._source is not Source.SYSTEM:
                self._believed_us = known.wall_us - known.mono_us

    def _judge(self, now_us: int, mono_us: int) -> tuple[Trust, str]:
        offset_us = now_us - mono_us
        stepped_us = 0 if self._offset_us is None else offset_us - self._offset_us
        self._offset_us = offset_us
        if abs(stepped_us) > STEP_US:
            self.steps, self.step_us, self._asked_us = self.steps + 1, stepped_us, None
        if now_us < BUILT_US:
            return Trust.UNSET, f"it stands at {_day(now_us)}, before this version existed: {MEANING}; {REMEDY_BEHIND}"
        if self._ask_kernel(mono_us):
            self._believed_us = offset_us
            return Trust.SYNCED, "the kernel says that it is synchronised (NTP or PTP)"
        if now_us < self._floor_us:
            why = f"it stands at {_day(now_us)}, and {_day(self._floor_us)} has been"
            return Trust.UNSET, f"{why}: {MEANING}; {REMEDY_BEHIND}"
        if self._believed_us is not None:
            off_us = offset_us - self._believed_us
            if abs(off_us) > DOUBT_US:
                why = f"it was stepped by {span(off_us)}, and nothing says that this is right"
                return Trust.UNSET, f"{why}: readings keep counting from the time before; {REMEDY_STEPPED}"
            # It follows the clock, so that what a daemon slews in months never looks like a step.
            self._believed_us = offset_us
            if self._source is not Source.SYSTEM:
                return Trust.HOLDOVER, "it was right before, and runs on by itself: nothing synchronises it now"
        trust, words = self._vouched()
        if trust is not Trust.UNSET:
            self._believed_us = offset_us
        return trust, words

    def _vouched(self) -> tuple[Trust, str]:
        """Whether anything but the kernel speaks for a clock that was not believed before."""
        if self._source is Source.SYSTEM:
            return Trust.SYNCED, "the configuration declares it right"
        if self._source in (Source.AUTO, Source.RTC) and self._real_time_clock(self._source):
            return Trust.HOLDOVER, "a real-time clock set it, and nothing synchronises it"
        if self._source is Source.AUTO and self._synchronised is None:
            return Trust.HOLDOVER, "it stands at a plausible time, and the kernel can't be asked for more"
        return Trust.UNSET, f"nothing has synchronised it since the machine started: {MEANING}; {REMEDY}"

    def _ask_kernel(self, mono_us: int) -> bool:
        if self._asked_us is None or mono_us - self._asked_us >= KERNEL_LOOK_US:
            self._synchronised, self._asked_us = self._kernel(), mono_us
        return bool(self._synchronised)


# Words are "why: what it means for the data; what to do".
MEANING = "readings are sent all the same, marked `unset`, and come with their right time once it is known"
NTP = "get NTP running (`timedatectl set-ntp true`)"
REMEDY = f'{NTP}, or, if something else keeps this clock right, declare it: [clock] source = "system"'
REMEDY_BEHIND = f"{NTP}, or set the clock"
REMEDY_STEPPED = f"{NTP}, or restart the gateway if the new time is the right one"


def _day(us: int) -> str:
    """A wall time for people; one outside the calendar as it is."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(us // 1_000_000))
    except (ValueError, OverflowError, OSError):
        return f"{us} µs"


def span(us: int) -> str:
    """A difference of times, in words."""
    seconds = us / 1e6
    return f"{seconds / 86_400:+.1f} days" if abs(seconds) >= 172_800 else f"{seconds:+,.1f} s"
