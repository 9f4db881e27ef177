"""BufferStatus: one look at the buffer, as `tidegate status` and the console show it. It computes nothing."""

from dataclasses import dataclass

from tidegate.buffer.scrub import ScrubStatus


@dataclass(frozen=True, slots=True)
class BufferStatus:
    """One look at the buffer. Times in µs UTC; `unacknowledged` are frames by target, over all epochs.

    `oldest_us` is the gateway time of the oldest frame that some target still waits for (None when none does), `fault`
    is why the last commit failed ("" when it did not).
    """

    epoch: str
    first: int
    last: int
    gaps: int
    bytes_used: int
    quota_bytes: int
    segments: int
    commits: int
    frames: int
    readings: int
    shed_readings: int
    queue_readings: int
    queue_readings_max: int
    unacknowledged: tuple[tuple[str, int], ...]
    oldest_us: int | None
    commit_ms: float
    commit_ms_max: float
    fault: str
    scrub: ScrubStatus
