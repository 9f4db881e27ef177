"""BufferSettings: where the buffer lies on disk and the limits it keeps. It knows no configuration file."""

import math
from dataclasses import dataclass
from pathlib import Path

SEGMENTS_IN_QUOTA_MIN = 8
COMMIT_BYTES_MAX = 16 << 20


@dataclass(frozen=True, slots=True)
class BufferSettings:
    """One buffer; `folder` is the state folder.

    A commit is due `commit_interval_s` after the first frame that waits for it (the loss window), or at
    `commit_readings` or `commit_bytes`, whichever comes first. A segment is sealed at `segment_bytes` or
    `segment_age_s`; past `quota_bytes` the oldest segment goes. At most `queue_readings_max` readings and
    `queue_bytes_max` bytes wait in memory; a frame that finds no room within `put_deadline_s` is shed.
    A reading reaches the buffer at most `reading_delay_s_max` after it was taken: a crash window begins so much early.
    A loss that lasts is told again at most `telling_delay_s_max` later: a crash window begins where it was last told.
    Cursors are stored at the latest `cursor_interval_s` after an acknowledgement, and at once when a kill would cost
    more than a window of duplicates: so the interval is a matter of wear alone.
    What every target has goes `keep_s` after it was taken. With less than `free_bytes_min` free on the disk (or a
    twentieth of a disk that is small) the buffer grows no more. `scrub_bytes_s` of the sealed segments are proven a
    second, all of them every `scrub_pause_s`; files that were put aside go beyond `quarantine_bytes_max`. Frames that
    need new numbers get them in pages of about `renewal_bytes`.

    Raises ValueError when a limit is not positive, `commit_bytes` passes COMMIT_BYTES_MAX, or the quota holds fewer
    than SEGMENTS_IN_QUOTA_MIN segments.
    """

    folder: Path
    commit_interval_s: float = 1.0
    commit_readings: int = 4000
    commit_bytes: int = 1 << 20
    quota_bytes: int = 2 << 30
    segment_bytes: int = 8 << 20
    segment_age_s: float = 600.0
    queue_readings_max: int = 200_000
    put_deadline_s: float = 5.0
    reading_delay_s_max: float = 5.0
    telling_delay_s_max: float = 60.0
    queue_bytes_max: int = 64 << 20
    cursor_interval_s: float = 60.0
    keep_s: float = math.inf
    free_bytes_min: int = 200_000_000
    scrub_bytes_s: int = 1 << 20
    scrub_delay_s: float = 60.0
    scrub_pause_s: float = 86_400.0
    quarantine_bytes_max: int = 64 << 20
    renewal_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if name != "folder" and value <= 0:
                raise ValueError(f"{name} must be more than 0, not {value}")
        if self.commit_bytes > COMMIT_BYTES_MAX:
            raise ValueError(f"commit_bytes must be at most {COMMIT_BYTES_MAX}, not {self.commit_bytes}")
        if self.quota_bytes < SEGMENTS_IN_QUOTA_MIN * self.segment_bytes:
            raise ValueError(
                f"quota_bytes {self.quota_bytes} holds fewer than {SEGMENTS_IN_QUOTA_MIN} segments of "
                f"{self.segment_bytes} bytes: raise the quota or make segments smaller"
            )
