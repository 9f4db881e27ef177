"""Returning: what the end of a connection means for the next one: which broker, which password, and when.

    one message's doing, or all brokers not tried yet ─▶ at once      the broker or the way ─▶ growing pauses
    somebody has to act ─▶ parked, a knock once in a while            another client of our name ─▶ long pauses

It remembers over a target's connections, and makes none.
"""

from dataclasses import dataclass, replace
from random import Random

from tidegate.errors import PublishError, TargetRefused
from tidegate.publish.brokers import Brokers, FirstIsBack
from tidegate.publish.faults import (
    CREDENTIALS,
    EVICTIONS_MAX,
    GOOD_CONNECTION_S,
    RETAIN_NOT_SUPPORTED,
    TAKEN_FACTOR,
    TAKEN_PAUSE_S_MIN,
    BackOff,
    Lost,
    SessionTaken,
)
from tidegate.publish.settings import TargetSettings
from tidegate.publish.standing import State
from tidegate.publish.suspects import End, Suspects

# So often in a row a target is back at once to find out which message ended its connections.
QUICK_RETURNS_MAX = 40
EVICTED = (
    "the broker ended {} connections in a row soon after it had accepted them, and gave no reason: another client may "
    "use the client id {!r} (give each gateway its own name, or client_id), or it forbids a topic (`tidegate topics`)"
)


@dataclass(frozen=True, slots=True)
class Pause:
    """What a target does until its next connection, for how long, and the fault as it is to be told."""

    state: State
    pause_s: float
    fault: PublishError


class Returning:
    """The comings back of one target. `retain` is whether its broker keeps messages; `brokers` whose turn it is."""

    def __init__(self, settings: TargetSettings, client_id: str, suspects: Suspects, rng: Random) -> None:
        self.brokers = Brokers(settings.urls, settings.return_s)
        self.retain = True
        self._settings = settings
        self._client_id = client_id
        self._suspects = suspects
        self._rng = rng
        self._back_off = BackOff(settings.back_off_s_min, settings.back_off_s_max, rng)
        self._password = settings.password
        self._quick_returns = 0
        self._taken_pause_s = TAKEN_PAUSE_S_MIN
        self._evictions = 0

    def served(self) -> TargetSettings:
        """What the next connection works with: the broker whose turn it is, and the password as it is now."""
        return replace(self._settings, url=self.brokers.url, password=self._password)

    def after(self, end: End) -> Pause:
        """What to do after a connection ended."""
        fault = end.fault
        if isinstance(fault, FirstIsBack):
            self.brokers.returning()
            return Pause(State.WAITING, 0.0, fault)
        good = end.connected and end.lived_s >= GOOD_CONNECTION_S
        if good:
            self._back_off.reset()
            self.brokers.served()
        if end.lived_s >= TAKEN_PAUSE_S_MIN:
            self._taken_pause_s = TAKEN_PAUSE_S_MIN
        quick = self._one_message(self._suspects.ended(end), end.lived_s)
        if self._evicted(end):
            quick, end = False, replace(end, fault=SessionTaken(EVICTED.format(self._evictions, self._client_id)))
        if isinstance(fault, TargetRefused) and fault.code == RETAIN_NOT_SUPPORTED and self.retain:
            self.retain = False
            quick = True
        parked = isinstance(fault, TargetRefused) or self._suspects.systemic
        if self._suspects.systemic:
            # All of it is kept, and tried again from the start.
            self._suspects.forget()
        return self._pause(end, good, quick, parked)

    def _pause(self, end: End, good: bool, quick: bool, parked: bool) -> Pause:
        fault, settings = end.fault, self._settings
        soon = Pause(State.WAITING, settings.back_off_s_min * self._rng.uniform(0.5, 1.0), fault)
        if not end.connected and isinstance(fault, TargetRefused) and fault.code in CREDENTIALS and self._renewed():
            return Pause(State.WAITING, settings.back_off_s_min, fault)
        if quick:
            return soon
        if not good:
            all_tried, parked = self.brokers.failed(parked)
            if not all_tried:
                return soon
        if parked:
            return Pause(State.PARKED, settings.parked_probe_s * self._rng.uniform(0.9, 1.1), fault)
        return Pause(State.WAITING, self._pause_s(fault), fault)

    def _evicted(self, end: End) -> bool:
        """Whether it looks as if somebody took our session, again and again. Data in flight may have been the reason
        as well, so that such an end says nothing.
        """
        if not end.connected or not isinstance(end.fault, Lost) or end.lived_s >= GOOD_CONNECTION_S:
            self._evictions = 0
        elif all(sent.lane is None for sent in end.in_flight):
            self._evictions += 1
        return self._evictions >= EVICTIONS_MAX

    def _one_message(self, its: bool, lived_s: float) -> bool:
        """Whether to be back at once: it was one message's doing, and we did not come back so too often."""
        self._quick_returns = self._quick_returns + 1 if its and lived_s < GOOD_CONNECTION_S else 0
        return its and self._quick_returns <= QUICK_RETURNS_MAX

    def _renewed(self) -> bool:
        """Whether the password has changed where it is kept; then it is worth another try at once."""
        before = self._password
        self._password = before.renewed() if before is not None else None
        return self._password != before

    def _pause_s(self, fault: PublishError) -> float:
        if not isinstance(fault, SessionTaken):
            return self._back_off.pause_s()
        pause_s = min(self._taken_pause_s, self._settings.parked_probe_s)
        self._taken_pause_s = pause_s * TAKEN_FACTOR
        return pause_s * self._rng.uniform(0.5, 1.0)
