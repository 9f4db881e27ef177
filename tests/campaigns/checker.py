"""Holds what a subscriber received against what the plant answered. Imports nothing of Tidegate.

    python -m tests.campaigns.checker FOLDER --units 20 --registers 125

FOLDER is a campaign's: received.jsonl (recorder), truth.log (plant), kills.jsonl (if any), state/ (the buffer, closed).
Every claim is a line with its figure; the exit code is 1 when one does not hold.
"""

import argparse
import json
import sqlite3
import sys
from bisect import bisect
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from demo.machines import POLL_STEP, REGISTERS_MAX, UNIT_STEP, WORDS, load_word
from tests.campaigns.disk import frames_on_disk
from tests.campaigns.recorder import holes
from tests.campaigns.scene import WINDOW, Load, device
from tests.campaigns.transcript import Transcript, read

Poll = tuple[int, int]

# A reply is loose for at most a commit interval, plus the time that the commit itself takes on a busy machine.
COMMIT_S_MAX = 2.0
# Of the readings, what is held in memory.
CACHE_KB = 262_144
# A reply is stamped by the plant before it leaves, and by the gateway when it is there: a gap begins so much later.
REPLY_S_MAX = 0.1
# The deadline of a read: what is asked at the end of a gap may be answered so much later, and be nobody's any more.
LATE_S_MAX = 1.0
WAVE_VALUES = [load_word(0, 0, 2 + k) for k in range(WORDS + REGISTERS_MAX)]


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim: whether it holds, and its figures in words."""

    holds: bool
    words: str

    def __str__(self) -> str:
        return f"  {'ok  ' if self.holds else 'FAIL'}  {self.words}"


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL of the gateway, µs UTC, and what the buffer said of itself after it ("" = whole)."""

    at_us: int
    damage: str


def read_truth(path: Path) -> dict[Poll, int]:
    """Time of each reply by unit and poll number."""
    truth = {}
    for line in path.read_text().splitlines():
        unit, poll, at_us = map(int, line.split())
        truth[unit, poll] = at_us
    return truth


def read_kills(path: Path) -> list[Kill]:
    """The kills of a campaign in order of time; none when there is no such file."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [Kill(line["at_us"], line["damage"]) for line in lines]


def check(folder: Path, load: Load) -> tuple[list[Finding], Transcript]:
    """Every claim of a campaign with this load, and what was received."""
    # In a file that vanishes with it: 500 kills are some ten million readings.
    database = sqlite3.connect("")
    database.execute(f"pragma cache_size = -{CACHE_KB}")
    seen = read(folder / "received.jsonl", database)
    truth, kills = read_truth(folder / "truth.log"), read_kills(folder / "kills.jsonl")
    arrived = polls_that_arrived(database, load.units)
    findings = [
        committed_arrived(folder / "state", seen),
        nothing_missing(seen),
        polls_are_accounted_for(truth, arrived, seen),
        values_are_true(database, truth, load),
        well_formed(seen),
    ]
    if kills:
        findings += [
            loss_is_bounded(truth, arrived, kills, load.commit_interval_s),
            duplicates_are_bounded(seen, kills),
            buffers_are_whole(kills),
        ]
    return findings, seen


def polls_that_arrived(database: sqlite3.Connection, units: int) -> set[Poll]:
    """Unit and poll number of every frame that arrived with a good counter."""
    unit_of = {device(unit): unit for unit in range(1, units + 1)}
    rows = database.execute("select device, value from reading where tag = 'poll' and status = 0")
    return {(unit_of[name], poll) for name, poll in rows}


def committed_arrived(state: Path, seen: Transcript) -> Finding:
    """What lies in the buffer, read from its files, has arrived."""
    committed, missing = 0, 0
    for epoch, number in frames_on_disk(state):
        committed += 1
        missing += (epoch, number) not in seen.brought
    words = f"{committed} frames committed (read from the buffer's own files), {missing} of them did not arrive"
    return Finding(committed > 0 and missing == 0, words)


def nothing_missing(seen: Transcript) -> Finding:
    """No number from `since` to `last` is in no covered range."""
    open_holes = {
        epoch: holes(seen.covered.get(epoch, []), seen.since.get(epoch, 1), last) for epoch, last in seen.last.items()
    }
    missing = sum(b - a + 1 for ranges in open_holes.values() for a, b in ranges)
    total = sum(last - seen.since.get(epoch, 1) + 1 for epoch, last in seen.last.items())
    lanes = ", ".join(f"{lane} {count}" for lane, count in sorted(seen.lanes.items()))
    words = f"{total} numbers of {len(seen.last)} epoch(s), {missing} missing; messages: {lanes}"
    return Finding(missing == 0 and total > 0, words)


def polls_are_accounted_for(truth: dict[Poll, int], arrived: set[Poll], seen: Transcript) -> Finding:
    """Every reply of the plant arrived, or lies in the time of a gap that names its device or all devices.

    A question that was given up within that time may be answered later: before anything else of the device arrived.
    """
    windows: dict[str | None, list[tuple[int, int]]] = {}
    came: dict[int, list[int]] = {}
    for unit, poll in sorted(arrived):
        came.setdefault(unit, []).append(truth.get((unit, poll), 0))
    for told in seen.gaps.values():
        windows.setdefault(told.device, []).append((told.t0 - int(REPLY_S_MAX * 1e6), told.t1))
    lost = {poll: at for poll, at in truth.items() if poll not in arrived}
    silent = 0
    for (unit, _), at_us in lost.items():
        near = windows.get(None, []) + windows.get(device(unit), [])
        times = came.get(unit, [])
        last_us = times[bisect(times, at_us) - 1] if times and times[0] <= at_us else 0
        late_us = int(LATE_S_MAX * 1e6)
        silent += not any(t0 <= at_us <= t1 or (last_us <= t1 <= at_us <= t1 + late_us) for t0, t1 in near)
    whys = sorted({told.why for told in seen.gaps.values()})
    words = (
        f"{len(truth)} replies of the plant: {len(arrived)} arrived, {len(lost) - silent} lie in one of "
        f"{len(seen.gaps)} gaps ({', '.join(whys) or 'none'}), {silent} are unexplained"
    )
    return Finding(silent == 0 and len(arrived) > 0, words)


def values_are_true(database: sqlite3.Connection, truth: dict[Poll, int], load: Load) -> Finding:
    """A consumer that upserts by the documented key holds, of each poll, each register's value exactly once."""
    unit_of = {device(unit): unit for unit in range(1, load.units + 1)}
    wrong, twice, rows_total = 0, 0, 0
    polls: set[Poll] = set()
    # The table is kept in the order of its key, so that a frame's rows come together: poll, r002, r003, ...
    rows = database.execute("select epoch, seq, device, tag, value from reading where status = 0 order by 1, 2, 4")
    for (_, _, name), of_frame in groupby(rows, key=lambda row: row[:3]):
        poll, *values = [value for *_, value in of_frame]
        rows_total += 1 + len(values)
        at = (poll * POLL_STEP + unit_of[name] * UNIT_STEP) % WORDS
        wrong += values != WAVE_VALUES[at : at + load.registers - 2]
        twice += (unit_of[name], poll) in polls
        polls.add((unit_of[name], poll))
    invented = len(polls - truth.keys())
    bad = database.execute("select count(*) from reading where status <> 0").fetchone()[0]
    words = (
        f"{rows_total} readings upserted: {wrong} frames with a wrong value, {twice} polls twice, "
        f"{invented} that the plant never gave; {bad} readings of bad quality"
    )
    return Finding(wrong == twice == invented == 0 and rows_total > 0, words)


def well_formed(seen: Transcript) -> Finding:
    """Order within runs, claims of each message, hashes of tables, equal content of duplicates."""
    words = f"{seen.messages} messages: {seen.wrong_total} out of order within their run, or not as documented"
    return Finding(seen.wrong_total == 0, "\n        ".join([words, *seen.wrong]))


def loss_is_bounded(truth: dict[Poll, int], arrived: set[Poll], kills: list[Kill], interval_s: float) -> Finding:
    """What a kill cost was read at most a commit interval before it."""
    lost_us = sorted(at for poll, at in truth.items() if poll not in arrived)
    oldest_us, at = 0, 0
    for kill in kills:
        while at < len(lost_us) and lost_us[at] <= kill.at_us:
            oldest_us = max(oldest_us, kill.at_us - lost_us[at])
            at += 1
    words = (
        f"{len(kills)} kills cost {len(lost_us)} replies not yet committed, the oldest {oldest_us / 1e6:.2f} s old "
        f"(commit interval {interval_s:g} s); {len(lost_us) - at} were lost after the last kill"
    )
    return Finding(oldest_us <= (interval_s + COMMIT_S_MAX) * 1e6 and at == len(lost_us), words)


def duplicates_are_bounded(seen: Transcript, kills: list[Kill]) -> Finding:
    """After each kill at most two windows of messages came again."""
    worst, total = 0, 0
    bounds = [0, *(kill.at_us for kill in kills), sys.maxsize]
    for begin, end in pairwise(bounds):
        messages = {earlier for at_us, earlier in seen.repeated if begin <= at_us < end}
        worst, total = max(worst, len(messages)), total + len(messages)
    words = (
        f"{total} messages ({seen.duplicate_frames} frames) came again, at most {worst} after one kill "
        f"(allowed: two windows, {2 * WINDOW})"
    )
    return Finding(worst <= 2 * WINDOW, words)


def buffers_are_whole(kills: list[Kill]) -> Finding:
    """After each kill the buffer verified itself as whole."""
    damaged = [kill.damage for kill in kills if kill.damage]
    return Finding(not damaged, "\n        ".join([f"{len(damaged)} of {len(kills)} buffers damaged", *damaged[:5]]))


def main() -> None:
    """The command: prints every finding; exits 1 when one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.checker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--units", type=int, required=True)
    parser.add_argument("--registers", type=int, required=True)
    parser.add_argument("--commit-interval-s", type=float, default=1.0)
    given = parser.parse_args()
    load = Load(given.units, given.registers, 1000, commit_interval_s=given.commit_interval_s)
    findings, _ = check(given.folder, load)
    print("\n".join(map(str, findings)))
    sys.exit(0 if all(finding.holds for finding in findings) else 1)


if __name__ == "__main__":
    main()
