"""Unit: one device as the poller sees it, with its circuit breaker. It reads nothing and waits for nothing.

     BREAK_AFTER failures in a row
up ──────────────────────────────▶ down: one of its groups is tried now and then, the others are parked
▲ ▲                                 │
│ └──────── one good read ──────────┘
└── backing off: the bus is gone, and comes back ──

A group that fails alone, while others of its device are read, is tried now and then in the same way; so is one that
answers only sometimes, where that costs other devices their pace.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from struct import Struct

from tidegate.acquire.backoff import Backoff
from tidegate.acquire.inspection import Inspection
from tidegate.acquire.lock import Lock
from tidegate.acquire.trips import Trips
from tidegate.acquire.turn import Turn
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.frame import I64, U32, Frame
from tidegate.model.refused import RefusedTag
from tidegate.model.status import BAD_NO_COMMUNICATION

BREAK_AFTER = 3
STARTING, UP, DOWN, BACKING_OFF = "starting", "up", "down", "backing off"
TAGS_NAMED_MAX = 64
REFUSED_TOLD_MAX = 20
EMPTY_SLOT = bytes(8)

log = logging.getLogger("tidegate.acquire")


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """One look at a device.

    `state` is starting, up, down (it does not answer) or backing off (its bus is gone), `since_us` when that began,
    `next_try_us` when it is tried again (None: at its pace), both µs UTC. `reads` came, `missed` cycles did not;
    `failures` are (kind, how many), `exceptions` (code, how often) of those that refused the whole read, and `counted`
    (word, how many) what its driver counts besides; all of it since `counted_since_us`. Round trips in ms: the last,
    and within how much half of the last thousands were done (`typical_ms`), and 99 of a hundred. `refused` are tags
    that it won't give, though it gives others. `identity` is who it says it is, `lock` why it
    is locked, "" while it is not, `offer` what to do about that.
    """

    name: str
    state: str
    why: str
    since_us: int
    reads: int
    failures: tuple[tuple[str, int], ...]
    missed: int
    last_ms: float
    typical_ms: float
    next_try_us: int | None
    refused: tuple[RefusedTag, ...] = ()
    p99_ms: float = 0.0
    exceptions: tuple[tuple[int, int], ...] = ()
    counted: tuple[tuple[str, int], ...] = ()
    counted_since_us: int = 0
    identity: str = ""
    lock: str = ""
    offer: str = ""


class Unit:
    """The state of one device, kept by its bus. `probe` is the turn that tries it while it is down, else None.

    The groups in `told` have no turns: its driver delivers them.
    """

    def __init__(self, device: Device, clock: Clock, rng: Random, told: frozenset[str] = frozenset()) -> None:
        self.device = device
        self.told = told
        self.turns = [Turn(self, group) for group in device.groups if group.name not in told]
        self.probe: Turn[Unit] | None = None
        self.reads = 0
        self.missed = 0
        self.losing = False
        # Of a device that can say who it is: what its frames pass.
        self.inspection: Inspection | None = None
        self._refused: tuple[RefusedTag, ...] = ()
        self._clock = clock
        self._rng = rng
        self._state = STARTING
        self._why = ""
        self._since_us = self._counted_since_us = clock.now_us()
        self._failures: dict[str, int] = {}
        self._exceptions: dict[int, int] = {}
        self._in_a_row = 0
        self._backoff = Backoff(rng)
        # Of each group that rests alone: its waits, and why.
        self._resting: dict[str, tuple[Backoff, str]] = {}
        self._next_try_us: int | None = None
        self._trips = Trips()
        self._tags = {group.name: self._named(group.tags) for group in device.groups}

    @property
    def state(self) -> str:
        """One of the four words of DeviceStatus."""
        return self._state

    def tags(self, turn: Turn["Unit"]) -> tuple[str, ...] | None:
        """What a gap of this group names: its tags, or None where they are all of the device's, or very many."""
        return self._tags[turn.group.name]

    @property
    def lock(self) -> Lock | None:
        """The lock of a device that can say who it is."""
        return self.inspection.lock if self.inspection is not None else None

    def barred(self) -> str:
        """Why nothing may be written to it now: it is not who was accepted, or has still to say who it is, being back.

        "" while it may, or can't be asked.
        """
        return self.lock.bars(self._clock.mono_us()) if self.lock is not None else ""

    def read(self, turn: Turn["Unit"], trip_us: int) -> bool:
        """A read came back; whether something had been wrong before, so that `recover` is due."""
        self._trips.add(trip_us)
        self.reads += 1
        return turn.failures > 0 or self._in_a_row > 0 or self._state != UP

    def heard(self) -> bool:
        """It spoke up by itself; whether this ended an outage."""
        self.reads += 1
        if self._state == UP:
            return False
        was_out = self._state in (DOWN, BACKING_OFF)
        if self.probe is None:
            self._in_a_row = 0
            self._next_try_us = None
            self._become(UP, "")
        return was_out

    def recover(self, turn: Turn["Unit"]) -> bool:
        """Forget the failures of a group that was read, and of its device; whether this ended an outage of either."""
        rested = self._resting.pop(turn.group.name, None)
        was_out = self._state in (DOWN, BACKING_OFF) or rested is not None
        turn.failures = self._in_a_row = 0
        self.probe = self._next_try_us = None
        self._become(UP, "")
        return was_out

    def failed(self, turn: Turn["Unit"], kind: str, what: str, costly: bool = False) -> bool:
        """A read of a group failed; whether the group, or with it the device, stopped answering just now.

        It is `costly` when a group that is read at times must rest all the same.
        """
        self.count(kind)
        if self.lock is not None:
            self.lock.missed()
        turn.failures += 1
        self._in_a_row += 1
        if self._in_a_row >= BREAK_AFTER:
            first = self.probe is None
            if first:
                self.probe = turn
                self._backoff.reset()
            self._become(DOWN, what)
            return first
        resting = self._resting.get(turn.group.name)
        if resting or costly or turn.failures >= BREAK_AFTER:
            waits = resting[0] if resting else Backoff(self._rng)
            self._resting[turn.group.name] = waits, f"group {turn.group.name}: {what}"
            return resting is None
        return False

    def count(self, kind: str) -> None:
        """One more failure of a kind, that is not the device's own fault or is judged elsewhere."""
        self._failures[kind] = self._failures.get(kind, 0) + 1

    def excepted(self, code: int) -> None:
        """It refused a whole read, with this code."""
        self._exceptions[code] = self._exceptions.get(code, 0) + 1

    def rests(self, turn: Turn["Unit"]) -> bool:
        """Whether this turn is one that is only tried now and then: the device's probe, or a group that rests alone."""
        return self.probe is turn or turn.group.name in self._resting

    def wait_s(self, turn: Turn["Unit"]) -> float:
        """How long this turn rests after its failure: 0 where it keeps its pace."""
        if self.probe is turn:
            return self._backoff.next_s()
        waits, _ = self._resting.get(turn.group.name, (None, ""))
        return waits.next_s() if waits else 0.0

    def refuse(self, refused: tuple[RefusedTag, ...]) -> None:
        """The tags that its machine refuses now: what is new is told once, and so is what is given again."""
        if refused is self._refused:
            return
        before, self._refused = self._refused, refused
        known = set(before)
        if fresh := [str(tag) for tag in refused if tag not in known]:
            more = f"; and {len(fresh) - REFUSED_TOLD_MAX} more" if len(fresh) > REFUSED_TOLD_MAX else ""
            log.warning("%s: tag %s%s", self.device.name, "; ".join(fresh[:REFUSED_TOLD_MAX]), more)
        names = {tag.tag for tag in refused}
        if again := [tag.tag for tag in before if tag.tag not in names]:
            log.info("%s gives again what it refused: %s", self.device.name, ", ".join(again[:REFUSED_TOLD_MAX]))

    def try_at(self, us: int | None) -> None:
        """When it is tried again, µs UTC, for whoever looks."""
        self._next_try_us = us

    def bus_gone(self, what: str) -> bool:
        """Its bus can't be opened; whether it was not known to be out until now."""
        was_out = self._state in (DOWN, BACKING_OFF)
        self._become(BACKING_OFF, what)
        return not was_out

    def bus_back(self) -> None:
        """Its bus is open: a device that was down on its own account still is."""
        self._next_try_us = None
        if self.lock is not None:
            self.lock.back()
        if self.probe is not None:
            self._become(DOWN, self._why)

    def silence(self, turn: Turn["Unit"] | None) -> Frame:
        """What a device that is out reports, or one group of it: every polled tag, Bad, as of now."""
        groups = self.device.groups if turn is None else (turn.group,)
        tags = sorted({tag for group in groups for tag in group.tags})
        now = self._clock.moment()
        return Frame(
            self.device.name, self.device.table.hash, len(tags), self._clock.boot, now.mono_us, now.wall_us,
            Struct(f"<{len(tags)}I").pack(*tags), I64.pack(now.wall_us), U32.pack(BAD_NO_COMMUNICATION), EMPTY_SLOT,
            clock=now.state,
        )  # fmt: skip

    def status(self, counted: Mapping[str, int]) -> DeviceStatus:
        """One look, with what its driver counted."""
        return DeviceStatus(
            self.device.name,
            self._state,
            self._why or next((why for _, why in self._resting.values()), ""),
            self._since_us,
            self.reads,
            tuple(sorted(self._failures.items())),
            self.missed,
            self._trips.last_us / 1000,
            self._trips.within_us(0.5) / 1000,
            self._next_try_us,
            self._refused,
            self._trips.within_us(0.99) / 1000,
            tuple(sorted(self._exceptions.items())),
            tuple(sorted(counted.items())),
            self._counted_since_us,
            *((lock.said, lock.why, lock.offer) if (lock := self.lock) is not None else ()),
        )

    def _become(self, state: str, why: str) -> None:
        before, self._state, self._why = self._state, state, why
        if state == before:
            return
        now_us = self._clock.now_us()
        lasted_s = (now_us - self._since_us) / 1e6
        self._since_us = now_us
        if state == UP and before != STARTING:
            log.info("%s is up again after %.1f s", self.device.name, lasted_s)
        elif state in (DOWN, BACKING_OFF):
            if self.lock is not None:
                self.lock.back()
            log.warning("%s is %s: %s", self.device.name, state, why)

    def _named(self, tags: tuple[int, ...]) -> tuple[str, ...] | None:
        everything = {tag for group in self.device.groups for tag in group.tags}
        if len(tags) > TAGS_NAMED_MAX or len(tags) == len(everything):
            return None
        return tuple(self.device.table.tags[tag].name for tag in tags)
