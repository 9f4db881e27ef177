"""Holds what a buffer has of an OPC UA server against what that server logged of itself. Imports nothing of Tidegate.

    python -m tests.campaigns.opcua_checker FOLDER

The folder is a scene's: server.log (each change of a counter: name, value, source time in µs), kills.jsonl (when the
gateway was killed, and whether the server still had its subscription afterwards), state/ (the buffer, closed).
"""

import argparse
import json
import sqlite3
import struct
import sys
from array import array
from bisect import bisect_right
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.campaigns.checker import Finding
from tests.campaigns.disk import contents

HEADER = struct.Struct("<BBBBBBHII16s8sIIqq")
NO_SERVER_TIME = 0x80
DATA, GAP = 1, 2
SEVERITY = 0xC0000000
LOW, HIGH = -(2**31), 2**31 - 1
# What names that notifications are missing. A crash window or a device that is down says nothing of a subscription.
TELLING = ("source_gap", "source_overflow")
# A server stamps a change before its message is on its way; the gateway knows when that message arrived.
ON_THE_WAY_S_MAX = 1.0
SHOWN_MAX = 5


@dataclass(slots=True)
class Track:
    """What there is of one counter: source times, values, as they were logged or committed."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    values: "array[int]" = field(default_factory=lambda: array("q"))


@dataclass(slots=True)
class Committed:
    """What a buffer holds: good readings by tag, times at which a tag was told to be Bad, gaps, and counts."""

    good: dict[str, Track] = field(default_factory=dict)
    bad: dict[str, "array[int]"] = field(default_factory=dict)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    frames: int = 0
    backfilled: int = 0


@dataclass(slots=True)
class Verdict:
    """Sums over all counters: changes logged, delivered, missing and why that is told, and what should not be."""

    logged: int = 0
    delivered: int = 0
    in_gaps: int = 0
    told_bad: int = 0
    unexplained: list[tuple[str, int, int]] = field(default_factory=list)
    invented: list[tuple[str, int, int]] = field(default_factory=list)
    wrong: int = 0
    twice: int = 0
    stale: list[str] = field(default_factory=list)
    kept_missing: int = 0


def read_log(path: Path) -> dict[str, Track]:
    """The changes of each counter, in order. The last line may be cut off by a crash of the server."""
    tracks: dict[str, Track] = {}
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                name, value, at = line.split()
                track = tracks.setdefault(name, Track())
                track.times.append(int(at))
                track.values.append(int(value))
    return tracks


def read_buffer(state: Path) -> Committed:
    """Everything in the segments of a closed buffer."""
    names = _tables(state)
    found = Committed()
    for _, _, frame in contents(state):
        if frame[1] == GAP:
            found.gaps.append(json.loads(_side(frame)))
        elif frame[1] == DATA:
            found.frames += 1
            _take(frame, names, found)
    return found


def _tables(state: Path) -> dict[bytes, list[str]]:
    tables = {}
    for path in (state / "segments").glob("*.db"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as segment:
            for digest, document in segment.execute("select hash, document from tables"):
                tables[digest] = [tag["name"] for tag in json.loads(document)["tags"]]
    return tables


def _side(frame: bytes) -> bytes:
    name_bytes, side_bytes = struct.unpack_from("<H", frame, 6)[0], struct.unpack_from("<I", frame, 12)[0]
    at = HEADER.size + name_bytes
    return frame[at : at + side_bytes]


def _take(frame: bytes, names: dict[bytes, list[str]], found: Committed) -> None:
    header = HEADER.unpack_from(frame)
    origin, constant, name_bytes, count, table = header[3], header[4], header[6], header[7], header[10]
    at, columns = HEADER.size + name_bytes, []
    for bit, code in enumerate("Iqqiq"):
        if bit == 2 and constant & NO_SERVER_TIME:
            continue
        stored = 1 if constant >> bit & 1 and count > 1 else count
        column = struct.unpack_from(f"<{stored}{code}", frame, at)
        at += stored * struct.calcsize(f"<{code}")
        columns.append(column if stored == count else column * count)
    tags, sources, statuses, values = columns[0], columns[1], columns[-2], columns[-1]
    known = names[table]
    found.backfilled += count if origin else 0
    for tag, source, status, value in zip(tags, sources, statuses, values, strict=True):
        name = known[tag]
        if status & SEVERITY:
            found.bad.setdefault(name, array("q")).append(source)
        else:
            track = found.good.setdefault(name, Track())
            track.times.append(source)
            track.values.append(value)


def judge(logged: dict[str, Track], committed: Committed, kept: list[tuple[int, int]]) -> Verdict:
    """All counters. `kept` are the times (µs) in which the server had the subscription all the while."""
    verdict = Verdict()
    gaps = [gap for gap in committed.gaps if gap["why"] in TELLING]
    for name in logged.keys() | committed.good.keys():
        truth, got = logged.get(name, Track()), committed.good.get(name, Track())
        expected = dict(zip(truth.times, truth.values, strict=True))
        arrived = dict(zip(got.times, got.values, strict=True))
        verdict.logged += len(truth.times)
        verdict.delivered += len(arrived)
        verdict.twice += len(got.times) - len(arrived)
        verdict.wrong += sum(expected.get(at, value) != value for at, value in arrived.items())
        verdict.invented += [(name, value, at) for at, value in arrived.items() if at not in expected]
        if truth.times and truth.times[-1] not in arrived:
            verdict.stale.append(name)
        missing = [at for at in truth.times if at not in arrived]
        if missing:
            _explain(verdict, name, missing, expected, (gaps, committed, kept))
    return verdict


def _explain(
    verdict: Verdict,
    name: str,
    missing: list[int],
    expected: dict[int, int],
    by: tuple[list[dict[str, Any]], Committed, list[tuple[int, int]]],
) -> None:
    gaps, committed, kept = by
    slack_us = int(ON_THE_WAY_S_MAX * 1e6)
    windows = [(gap["t0"] - slack_us, gap["t1"]) for gap in gaps if gap["tags"] is None or name in gap["tags"]]
    bad = sorted(committed.bad.get(name, ()))
    good = sorted(committed.good[name].times) if name in committed.good else []
    for at in missing:
        verdict.kept_missing += any(begin <= at <= end for begin, end in kept)
        before = bisect_right(good, at)
        last_good = good[before - 1] if before else 0
        last_bad = bad[bisect_right(bad, at + slack_us) - 1] if bad and bad[0] <= at + slack_us else -1
        if any(t0 <= at <= t1 for t0, t1 in windows):
            verdict.in_gaps += 1
        elif last_bad > last_good:
            verdict.told_bad += 1
        else:
            verdict.unexplained.append((name, expected[at], at))


def findings(folder: Path) -> list[Finding]:
    """Every claim on what a scene's buffer holds."""
    logged, committed = read_log(folder / "server.log"), read_buffer(folder / "state")
    kills = read_kills(folder / "kills.jsonl")
    kept = kept_times(kills)
    verdict = judge(logged, committed, kept)
    whys = Counter(gap["why"] for gap in committed.gaps)
    gap_s = sum(gap["t1"] - gap["t0"] for gap in committed.gaps if gap["why"] in TELLING) / 1e6
    told = ", ".join(f"{why} {count}" for why, count in sorted(whys.items())) or "none"
    missing = verdict.in_gaps + verdict.told_bad + len(verdict.unexplained)
    accounted = [
        f"{verdict.logged:,} changes in the server's log: {verdict.delivered:,} committed in {committed.frames:,} "
        f"frames, {missing:,} missing, of them {verdict.in_gaps:,} named by a gap, {verdict.told_bad:,} told as Bad, "
        f"{len(verdict.unexplained):,} unexplained (gaps: {told}; {gap_s:.1f} s of source)",
        *(f"{name} = {value} at {at}" for name, value, at in verdict.unexplained[:SHOWN_MAX]),
    ]
    true = [
        f"{verdict.delivered:,} readings: {len(verdict.invented):,} that the server never gave, {verdict.wrong:,} with "
        f"another value, {verdict.twice:,} twice; {sum(map(len, committed.bad.values())):,} Bad, "
        f"{committed.backfilled:,} from history",
        *(f"{name} = {value} at {at}" for name, value, at in verdict.invented[:SHOWN_MAX]),
    ]
    found = [
        Finding(not verdict.unexplained and verdict.delivered > 0, "\n        ".join(accounted)),
        Finding(not verdict.invented and verdict.wrong == verdict.twice == 0, "\n        ".join(true)),
    ]
    words = f"{len(logged)} counters: of {len(verdict.stale)} the last change is not committed"
    found.append(Finding(not verdict.stale, "\n        ".join([words, *verdict.stale[:SHOWN_MAX]])))
    if kills:
        lasting = sum(kill["kept"] for kill in kills)
        words = (
            f"{len(kills)} kills, after {lasting} of them the server still had the subscription: "
            f"{verdict.kept_missing:,} notifications missing there"
        )
        found.append(Finding(verdict.kept_missing == 0, words))
    return found


def read_kills(path: Path) -> list[dict[str, Any]]:
    """The kills of a scene: at_us, back_us, kept; none when there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kept_times(kills: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Times in which the server had one subscription without a break: between kills at which it was lost."""
    lost = [0, *(kill["at_us"] for kill in kills if not kill["kept"]), sys.maxsize]
    if len(lost) == 2:
        return [(0, sys.maxsize)]
    backs = [0, *(kill["back_us"] for kill in kills if not kill["kept"])]
    slack_us = int(ON_THE_WAY_S_MAX * 1e6)
    return [(back, end - slack_us) for back, (_, end) in zip(backs, pairwise(lost), strict=True)]


def main() -> None:
    """The command: prints every finding; exits 1 when one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.opcua_checker")
    parser.add_argument("folder", type=Path)
    found = findings(parser.parse_args().folder)
    print("\n".join(map(str, found)))
    sys.exit(0 if all(finding.holds for finding in found) else 1)


if __name__ == "__main__":
    main()
