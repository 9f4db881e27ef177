"""Looks at the demo from outside: what `tidegate tail` reports and logs, what `tidegate status` says, and the truth.

It reads files that the separate processes write; it takes part in nothing.
"""

import json
import subprocess
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.child import tidegate

HISTORY_MAX = 120
STATUS_DEADLINE_S = 5.0
DATA_LANES = ("live", "backlog", "replay")
# The press counts the replies it gave, so that who receives its counter can be held against the plant's own log.
COUNTED_DEVICE, COUNTED_TAG, COUNTED_UNIT = "press-7", "polls", 3


@dataclass(frozen=True, slots=True)
class Value:
    """The newest value of one tag at the subscriber."""

    device: str
    tag: str
    value: object
    unit: str
    status: int
    at_us: int


@dataclass(slots=True)
class Report:
    """What `tidegate tail --json` last said of itself."""

    readings: int = 0
    missing: int = 0
    asked: int = 0
    duplicates: int = 0
    gaps: int = 0
    delay_ms: float | None = None
    # Numbers that are not there yet, but too fresh to be called missing.
    waiting: int = 0
    connected: bool = False
    complete: bool = False
    last: int = 0


class Lines:
    """New whole lines of a file that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = b""

    def new(self) -> list[bytes]:
        """Whole lines since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._at)
            data = file.read()
            self._at = file.tell()
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines


@dataclass(slots=True)
class Watch:
    """Everything that is known of the running demo. `look` once a tick."""

    report_file: Path
    log_file: Path
    truth_file: Path
    state: Path
    report: Report = field(default_factory=Report)
    values: dict[tuple[str, str], Value] = field(default_factory=dict)
    lanes: dict[str, int] = field(default_factory=dict)
    backlog: int = 0
    backlogs: deque[int] = field(default_factory=lambda: deque([0], maxlen=HISTORY_MAX))
    devices: list[tuple[str, str]] = field(default_factory=list)
    target: tuple[str, str] = ("", "")
    # The last number that was committed, now and at the look before.
    committed: int = 0
    owed: int = 0
    counted: set[int] = field(default_factory=set)
    _tables: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    _reports: Lines | None = None
    _logged: Lines | None = None
    _asking: "subprocess.Popen[bytes] | None" = None
    _asked_at: float = 0.0

    @property
    def settled(self) -> bool:
        """Whether the subscriber has, and can prove, everything up to where the gateway was some seconds ago."""
        report = self.report
        whole = report.complete and report.missing == report.waiting == 0
        return whole and report.connected and self.target[0] == "connected" and report.last >= self.owed

    def look(self) -> None:
        """Take in what is new. Never waits for anybody."""
        self._reports = self._reports or Lines(self.report_file)
        self._logged = self._logged or Lines(self.log_file)
        for line in self._reports.new():
            self._take_report(line)
        for line in self._logged.new():
            self._take_message(json.loads(line))
        self._ask_status()
        self.backlogs.append(self.backlog)

    def _take_report(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if isinstance(said, dict) and "complete" in said:
            known = {name: said[name] for name in Report.__slots__ if name in said}
            last = max((epoch["last"] for epoch in said.get("epochs", {}).values()), default=0)
            self.report = Report(**{**known, "last": last})

    def _take_message(self, entry: dict[str, Any]) -> None:
        kind = entry["topic"].split("/")[-2:]
        payload = entry["payload"]
        if isinstance(payload, str):
            payload = json.loads(payload) if payload else None
        if payload is None:
            return
        if kind[0] == "table":
            self._tables[kind[1]] = [(tag["name"], tag["unit"]) for tag in payload["tags"]]
        elif kind[1] in DATA_LANES:
            self.lanes[kind[1]] = self.lanes.get(kind[1], 0) + 1
            for frame in payload["frames"]:
                self._take_frame(frame)

    def _take_frame(self, frame: dict[str, Any]) -> None:
        names = self._tables.get(frame["table"], [])
        statuses, times, size = frame.get("st", 0), frame["t"], len(frame["tags"])
        for i, tag in enumerate(frame["tags"]):
            if tag >= len(names):
                continue
            at_us = times[i] if isinstance(times, list) else times
            status = statuses[i] if isinstance(statuses, list) else statuses
            name, unit = names[tag]
            key, value = (frame["dev"], name), frame["v"][i]
            if key not in self.values or self.values[key].at_us <= at_us:
                self.values[key] = Value(frame["dev"], name, value, unit, status, at_us)
            if key == (COUNTED_DEVICE, COUNTED_TAG) and status == 0 and size:
                self.counted.add(value)

    def _ask_status(self) -> None:
        if self._asking is not None:
            if self._asking.poll() is None:
                if time.monotonic() - self._asked_at > STATUS_DEADLINE_S:
                    self._asking.kill()
                return
            answer = self._asking.stdout.read() if self._asking.stdout else b""
            failed, self._asking = self._asking.returncode != 0, None
            if not failed:
                self._take_status(json.loads(answer))
        if time.monotonic() - self._asked_at >= 1.0:
            self._asked_at = time.monotonic()
            self._asking = subprocess.Popen(
                tidegate("status", str(self.state), "--json"),
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def _take_status(self, status: dict[str, Any]) -> None:
        self.devices = [(device["name"], device["state"]) for device in status["devices"]]
        self.owed, self.committed = self.committed, status["buffer"]["last"]
        for target in status["targets"]:
            self.backlog, self.target = target["backlog"], (target["state"], target["why"] or "")

    def answered(self) -> dict[int, int]:
        """What the plant says it answered of the press: poll number → µs UTC."""
        found = {}
        for line in self.truth_file.read_text().splitlines():
            unit, poll, at_us = map(int, line.split())
            if unit == COUNTED_UNIT:
                found[poll] = at_us
        return found
