"""Wear: an estimate of what a buffer writes to its disk in a day, before it has run. It measures nothing.

SQLite writes whole pages, and each twice: into its log, and from there into the file. What a commit costs whatever is
in it decides the sum at low rates; that is why a longer commit interval spares a flash card.
"""

from tidegate.buffer.settings import BufferSettings

DAY_S = 86_400.0
# Measured at the process, with zstd and random float64 values, the worst that compresses: a commit of few readings, a
# store of cursors, and a reading in a large commit.
COMMIT_BYTES = 11_000
CURSORS_BYTES = 13_000
READING_BYTES = 17
# A flash card of today bears so many times its own size, by the more careful of its makers' promises.
FULL_WRITES = 500


def bytes_a_day(settings: BufferSettings, readings_s: float, polls_s: float, targets: bool) -> float:
    """How much is written in a day at so many readings and polls a second; `targets`: whether cursors move.

    A commit waits for its interval after the first frame, and there is none without a frame.
    """
    if readings_s <= 0 or polls_s <= 0:
        return 0.0
    by_time_s = 1 / (settings.commit_interval_s + 0.5 / polls_s)
    commits_s = min(polls_s, max(by_time_s, readings_s / settings.commit_readings))
    cursors_s = min(commits_s, 1 / settings.cursor_interval_s) if targets else 0.0
    return DAY_S * (commits_s * COMMIT_BYTES + cursors_s * CURSORS_BYTES + readings_s * READING_BYTES)


def life_days(disk_bytes: int, written_a_day: float) -> float:
    """How long a flash card of this size would bear it, as an order of magnitude; infinite when nothing is written."""
    return disk_bytes * FULL_WRITES / written_a_day if written_a_day > 0 else float("inf")
