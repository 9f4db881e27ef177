"""What a subscriber received, read from its log: numbers, frames, gaps, order. Imports nothing of Tidegate.

Everything is checked as it is read: content of duplicates, hashes of tag tables, order within runs.
"""

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaigns.recorder import CLOSES_NUMBERS, merged

VERSION = 1
WRONG_KEPT_MAX = 20
LANES = ("live", "backlog", "replay")
COLUMNS = ("gateway", "epoch", "seq", "tag", "part", "parts", "position", "device", "t_us", "value", "status")

# Where a subscriber is told how to write each reading once: the consumer of the campaigns does exactly that.
DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "subscriber.md"


def documented() -> tuple[str, str]:
    """The table of readings and the upsert that docs/subscriber.md gives, the latter with its parameters by position.

    Raises ValueError when the document has no such statements any more.
    """
    statements = DOCUMENT.read_text().partition("```sql\n")[2].partition("```")[0].split(";")
    tables = [s for s in statements if "CREATE TABLE IF NOT EXISTS reading" in s]
    upserts = [s for s in statements if "INSERT INTO reading" in s]
    if len(tables) != 1 or len(upserts) != 1 or re.findall(r":(\w+)", upserts[0]) != list(COLUMNS):
        raise ValueError(f"{DOCUMENT} does not give the table and the upsert of readings")
    return tables[0], re.sub(r":\w+", "?", upserts[0])


@dataclass(frozen=True, slots=True)
class Message:
    """One data message as it arrived."""

    at_us: int
    lane: str
    run: int
    epoch: str
    first: int
    last: int
    committed: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """A gap that was announced."""

    why: str
    device: str | None
    t0: int
    t1: int
    n: int
    n_is: str


@dataclass(frozen=True, slots=True)
class Arrival:
    """When a message with frames came and when it was sent, µs; the oldest time of a reading in it, and how many."""

    at_us: int
    sent_us: int
    lane: str
    oldest_us: int
    readings: int


@dataclass
class Transcript:
    """All of a log. `wrong` holds the first sentences on what must not be."""

    upsert: str
    messages: int = 0
    frames: int = 0
    readings: int = 0
    duplicate_frames: int = 0
    wrong_total: int = 0
    wrong: list[str] = field(default_factory=list)
    covered: dict[str, list[list[int]]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    # (epoch, seq, part) -> hash of content, and -> index of the message that brought it first.
    content: dict[tuple[str, int, int], bytes] = field(default_factory=dict)
    brought: dict[tuple[str, int], int] = field(default_factory=dict)
    # Messages whose frames came again: (time of the repetition, index of the message that was repeated).
    repeated: list[tuple[int, int]] = field(default_factory=list)
    gaps: dict[tuple[str, int], Told] = field(default_factory=dict)
    tables: dict[str, list[str]] = field(default_factory=dict)
    lanes: dict[str, int] = field(default_factory=dict)
    arrivals: list[Arrival] = field(default_factory=list)
    answers: list[dict[str, Any]] = field(default_factory=list)
    _runs: dict[tuple[str, str, int], tuple[int, set[tuple[int, int]]]] = field(default_factory=dict)
    _open: dict[str, list[list[int]]] = field(default_factory=dict)

    def fault(self, sentence: str) -> None:
        """Something that must not be."""
        self.wrong_total += 1
        if len(self.wrong) < WRONG_KEPT_MAX:
            self.wrong.append(sentence)

    def close(self) -> None:
        """Join what was collected; to be called once, after the last message."""
        self.covered = {epoch: merged(ranges) for epoch, ranges in self._open.items()}


def entries(log: Path) -> Iterator[tuple[int, str, bool, Any]]:
    """Arrival, topic, whether retained, payload, one by one. Raises ValueError where the log is no such log."""
    with log.open("rb") as lines:
        for line in lines:
            entry = json.loads(line)
            yield entry["at_us"], entry["topic"], entry.get("retain", False), entry["payload"]


def read(log: Path, database: sqlite3.Connection) -> Transcript:
    """Read a recorder's log to its end, check what can be checked, and upsert every reading into `database`."""
    table, upsert = documented()
    database.execute(table)
    seen = Transcript(upsert=upsert)
    for at_us, topic, _, payload in entries(log):
        kind = topic.split("/")[3]
        if kind in LANES:
            _take(seen, _message(seen, at_us, kind, payload), database)
        elif kind == "table" and payload is not None:
            _table(seen, topic.rpartition("/")[2], payload)
        elif kind == "head" and payload is not None:
            seen.last[payload["epoch"]] = max(seen.last.get(payload["epoch"], 0), payload["last"])
            seen.since.setdefault(payload["epoch"], payload["since"])
        elif kind == "answer":
            seen.answers.append(payload)
    seen.close()
    return seen


def _table(seen: Transcript, name: str, payload: dict[str, Any]) -> None:
    described = {key: payload[key] for key in ("v", "dev", "tags")}
    digest = hashlib.sha256(json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()
    if not (payload["hash"] == name == digest[:16]):
        seen.fault(f"table {name} says hash {payload['hash']}, its content has {digest[:16]}")
    seen.tables[name] = [tag["name"] for tag in payload["tags"]]


def _message(seen: Transcript, at_us: int, topic_lane: str, body: dict[str, Any]) -> Message:
    if body["v"] != VERSION or body["lane"] != topic_lane:
        seen.fault(f"a message of version {body['v']}, lane {body['lane']} on topic {topic_lane}")
    return Message(
        at_us, body["lane"], body["run"], body["epoch"], body["from"], body["to"], body["last"], body
    )  # fmt: skip


def _take(seen: Transcript, message: Message, database: sqlite3.Connection) -> None:
    index = seen.messages
    seen.messages += 1
    seen.lanes[message.lane] = seen.lanes.get(message.lane, 0) + 1
    seen.last[message.epoch] = max(seen.last.get(message.epoch, 0), message.committed)
    _order(seen, message)
    told = {gap["seq"] for gap in message.body.get("gaps", [])}
    for gap in message.body.get("gaps", []):
        seen.gaps[message.epoch, gap["id"]] = Told(
            gap["why"], gap["dev"], gap["t0"], gap["t1"], gap["n"], gap["n_is"]
        )  # fmt: skip
        if gap["why"] in CLOSES_NUMBERS:
            seen._open.setdefault(gap.get("epoch") or message.epoch, []).extend(gap["frames"] or [])
    numbers = {frame["seq"] for frame in message.body["frames"]} | told
    if any(not message.first <= number <= message.last for number in numbers):
        seen.fault(f"{message.lane} {message.first}..{message.last} holds numbers outside of that")
    withheld = message.body.get("withheld", {}).get("frames", 0)
    if not withheld and len(numbers) != message.last - message.first + 1:
        seen.fault(f"{message.lane} {message.first}..{message.last} claims more than its {len(numbers)} numbers")
    seen._open.setdefault(message.epoch, []).append([message.first, message.last])
    _frames(seen, index, message, database)


def _order(seen: Transcript, message: Message) -> None:
    """Within a run, the next message begins after the last one; a repetition by the broker is no disorder."""
    key = (message.epoch, message.lane, message.run)
    end, taken = seen._runs.get(key, (None, set()))
    span = (message.first, message.last)
    if span in taken:
        return
    if end is not None and message.first != end + 1 and not _is_part(message):
        seen.fault(f"{message.lane} run {message.run}: {message.first}..{message.last} came after ..{end}")
    sequence = [frame["seq"] for frame in message.body["frames"]]
    if sequence != sorted(sequence):
        seen.fault(f"{message.lane} run {message.run}: frames not in order in {message.first}..{message.last}")
    taken.add(span)
    seen._runs[key] = (message.last, taken)


def _is_part(message: Message) -> bool:
    return any("part" in frame for frame in message.body["frames"])


def _frames(seen: Transcript, index: int, message: Message, database: sqlite3.Connection) -> None:
    repeated, times, count = set(), [], 0
    for frame in message.body["frames"]:
        names = seen.tables.get(frame["table"])
        if names is None:
            seen.fault(f"frame {frame['seq']} came before its table {frame['table']}")
            continue
        (part, parts), size = frame.get("part", [1, 1]), len(frame["tags"])
        content = hashlib.blake2b(
            json.dumps([frame["dev"], frame["table"], frame["tags"], frame["v"], frame.get("st", 0)]).encode(),
            digest_size=8,
        ).digest()
        key = (message.epoch, frame["seq"], part)
        seen.frames += 1
        seen.readings += size
        if key in seen.content:
            seen.duplicate_frames += 1
            if seen.content[key] != content:
                seen.fault(f"frame {frame['seq']} came again with other content")
            repeated.add(seen.brought[message.epoch, frame["seq"]])
        else:
            seen.content[key] = content
            seen.brought.setdefault((message.epoch, frame["seq"]), index)
        t, status = frame["t"], frame.get("st", 0)
        stamps = t if isinstance(t, list) else [t] * size
        statuses = status if isinstance(status, list) else [status] * size
        times.append(min(stamps))
        count += size
        place = (message.body["gw"], message.epoch, frame["seq"])
        lists = zip(frame["tags"], stamps, frame["v"], statuses, strict=True)
        database.executemany(
            seen.upsert,
            [
                (*place, names[tag], part, parts, position, frame["dev"], at, value, st)
                for position, (tag, at, value, st) in enumerate(lists)
            ],
        )
    seen.repeated += [(message.at_us, earlier) for earlier in sorted(repeated)]
    if times:
        seen.arrivals.append(Arrival(message.at_us, message.body["sent"], message.lane, min(times), count))
