"""Wear: an estimate of what a buffer writes to its disk in a day, before it has run. It measures nothing.

A commit costs about the same whatever is in it: pages of SQLite's log, and the journal of the file system. That decides
the sum at low rates, and is why a longer commit interval spares a flash card. What is in it is written twice, into the
log and from there into the file.
"""

from tidegate.buffer.settings import BufferSettings

DAY_S = 86_400.0
# Measured at the block device under ext4, with zstd and random float64 values, the worst that compresses: what a commit
# costs, what a store of cursors, what a reading, and what goes on by time (segments, the file system's own journal).
COMMIT_BYTES = 9_000
CURSORS_BYTES = 13_000
READING_BYTES = 19
BYTES_S, BUSY_S = 1_700, 5.0
# A flash card of today bears so many times its own size, by the more careful of its makers' promises.
FULL_WRITES = 500


def bytes_a_day(settings: BufferSettings, readings_s: float, polls_s: float, targets: bool) -> float:
    """How much is written in a day at so many readings and polls a second; `targets`: whether cursors move.

    A commit waits for its interval after the first frame, and there is none without a frame.
    """
    if readings_s <= 0 or polls_s <= 0:
        return 0.0
    commits_s = min(polls_s, max(1 / settings.commit_interval_s, readings_s / settings.commit_readings))
    cursors_s = min(commits_s, 1 / settings.cursor_interval_s) if targets else 0.0
    by_time = BYTES_S * min(1.0, commits_s * BUSY_S)
    return DAY_S * (commits_s * COMMIT_BYTES + cursors_s * CURSORS_BYTES + readings_s * READING_BYTES + by_time)


def life_days(disk_bytes: int, written_a_day: float) -> float:
    """How long a flash card of this size would bear it, as an order of magnitude; infinite when nothing is written."""
    return disk_bytes * FULL_WRITES / written_a_day if written_a_day > 0 else float("inf")
