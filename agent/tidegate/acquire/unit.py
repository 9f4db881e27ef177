"""Unit: what the poller knows of one device: up or down, and when it may be asked again (a circuit breaker).

     BREAK_AFTER failures in a row, or the bus is gone
up ────────────────────────────────────────────────▶ down ── asked again after a wait that doubles
▲                                                     │
└──────────────────── one good read ──────────────────┘
"""

import logging
import math
from dataclasses import dataclass
from random import Random

from tidegate.clock import Clock
from tidegate.errors import DriverError
from tidegate.model.device import Device
from tidegate.model.frame import I64, U32, Frame
from tidegate.model.status import BAD_NO_COMMUNICATION

BREAK_AFTER = 3
WAIT_S_MIN = 1.0
WAIT_S_MAX = 30.0
SMOOTHING = 0.1

log = logging.getLogger("tidegate.acquire")


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One look at a device. `state` is up, down or unknown (not read yet); `since_us` when it became so, µs UTC."""

    name: str
    state: str
    why: str
    since_us: int
    reads: int
    failures: int
    missed: int
    round_trip_ms: float


class Backoff:
    """Waits that double from WAIT_S_MIN to WAIT_S_MAX, each with full jitter between a half and the whole of it."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._wait_s = WAIT_S_MIN

    def next_s(self) -> float:
        """How long to wait this time, in seconds."""
        wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, WAIT_S_MAX)
        return wait_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """It worked: begin with short waits again."""
        self._wait_s = WAIT_S_MIN


class Unit:
    """The state of one device, kept by its bus."""

    def __init__(self, device: Device, clock: Clock, rng: Random) -> None:
        self.device = device
        self._clock = clock
        self._backoff = Backoff(rng)
        self.state = "unknown"
        self.why = ""
        self.since_us = clock.now_us()
        self.reads = 0
        self.failures = 0
        self.missed = 0
        self.round_trip_s = 0.0
        self._in_a_row = 0
        self._ask_at_s = 0.0

    def claim(self, now_s: float) -> bool:
        """Whether a read may go to the device now. While it is down one probe is given, until its outcome is known."""
        if self.state != "down":
            return True
        if now_s < self._ask_at_s:
            return False
        self._ask_at_s = math.inf
        return True

    def release(self) -> None:
        """What was claimed did not happen, since the bus went away: the device may be asked when it is back."""
        self._ask_at_s = 0.0

    def succeeded(self, round_trip_s: float) -> bool:
        """A read came back; whether this ended an outage."""
        self.reads += 1
        self._in_a_row = 0
        self.round_trip_s += SMOOTHING * (round_trip_s - self.round_trip_s) if self.reads > 1 else round_trip_s
        if self.state == "up":
            return False
        was_down = self.state == "down"
        self._backoff.reset()
        self._become("up", "")
        return was_down

    def failed(self, error: DriverError, now_s: float, *, bus_gone: bool = False) -> bool:
        """A read failed, or its bus is gone; whether the device went down just now."""
        self.failures += 1
        self._in_a_row += 1
        if self.state != "down" and not bus_gone and self._in_a_row < BREAK_AFTER:
            return False
        if not bus_gone:
            self._ask_at_s = now_s + self._backoff.next_s()
        if self.state == "down":
            self.why = error.what
            return False
        self._become("down", error.what)
        return True

    def _become(self, state: str, why: str) -> None:
        if state == "down":
            log.warning("%s is down: %s", self.device.name, why)
        elif self.state == "down":
            log.info("%s is up again after %.1f s", self.device.name, (self._clock.now_us() - self.since_us) / 1e6)
        self.state, self.why, self.since_us = state, why, self._clock.now_us()

    def silence(self) -> Frame:
        """What a device that went down reports: every polled tag, Bad, as of now."""
        tags = sorted({tag for group in self.device.groups for tag in group.tags})
        now_us = self._clock.now_us()
        return Frame(
            device=self.device.name,
            table=self.device.table.hash,
            count=len(tags),
            boot=self._clock.boot,
            mono_us=self._clock.mono_us(),
            gateway_us=now_us,
            tags=b"".join(U32.pack(tag) for tag in tags),
            source_us=I64.pack(now_us),
            status=U32.pack(BAD_NO_COMMUNICATION),
            values=bytes(8),
            clock=self._clock.state,
        )

    def status(self) -> DeviceStatus:
        """One look."""
        return DeviceStatus(
            self.device.name,
            self.state,
            self.why,
            self.since_us,
            self.reads,
            self.failures,
            self.missed,
            round(self.round_trip_s * 1000, 3),
        )
