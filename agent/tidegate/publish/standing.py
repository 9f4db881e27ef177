"""Standing: how a target is with its broker, as status and doctor show it. It changes nothing."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a target is with its broker."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One look at a target.

    `why` is the last fault ("" while all is well), `since_us` when the state began, `next_try_s` seconds until the
    next attempt (None when connected). `backlog` are frames that are owed and not acknowledged, `backlog_s` the age
    of the oldest of them, `lag_s` that of the oldest in the live run. All others count since the start of the gateway:
    `acknowledged` and `replayed` frames; `refused`, `unheard` (nobody subscribes) and `requests` messages; `spoiled`
    frames that could not be put in a message. `dead_letters` are kept frames that the broker never takes.
    """

    name: str
    url: str
    state: State
    why: str
    since_us: int
    next_try_s: float | None
    backlog: int
    backlog_s: float
    lag_s: float
    in_flight: int
    window: int
    acknowledged: int
    messages: int
    readings: int
    bytes: int
    runs: int
    requests: int
    replayed: int
    refused: int
    unheard: int
    spoiled: int
    dead_letters: int
