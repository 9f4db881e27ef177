"""A subscriber of its own for the campaigns: writes every message down, and asks for what it misses.

    python -m tests.campaigns.recorder mqtt://127.0.0.1:1883 --log FILE --progress FILE

It imports nothing of Tidegate: it is the second, independent reading of how a subscriber proves what it received. The
log has a JSON line a message: {"at_us", "topic", "retain", "payload"}. `--progress` is a small JSON file, replaced ten
times a second: what is covered, what is still missing.
"""

import argparse
import json
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

GRACE_S = 5.0
ASK_AGAIN_S = 5.0
RANGES_ASKED_MAX = 50
PROGRESS_INTERVAL_S = 0.1
SESSION_EXPIRY_S = 3600
RECONNECT_S = 0.1
CLOSES_NUMBERS = ("evicted", "corrupt", "dead_letter", "lost")


def merged(ranges: list[list[int]]) -> list[list[int]]:
    """The same numbers, sorted and joined."""
    joined: list[list[int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], last)
        else:
            joined.append([first, last])
    return joined


def holes(ranges: list[list[int]], first: int, last: int) -> list[list[int]]:
    """The numbers of first..last that are in none of these (merged) ranges."""
    missing, at = [], first
    for a, b in ranges:
        if a > last:
            break
        if a > at:
            missing.append([at, a - 1])
        at = max(at, b + 1)
    if at <= last:
        missing.append([at, last])
    return missing


@dataclass
class Stream:
    """What is known of one epoch."""

    since: int | None = None
    last: int = 0
    covered: list[list[int]] = field(default_factory=list)
    # Parts of a frame that have arrived, by number, lane and run: parts of two runs do not make one frame.
    parts: dict[tuple[int, str, int, int], set[int]] = field(default_factory=dict)
    # When a hole that is still open was first seen.
    seen: dict[tuple[int, int], float] = field(default_factory=dict)
    asked: dict[tuple[int, int], float] = field(default_factory=dict)

    def cover(self, first: int, last: int) -> None:
        """These numbers have arrived, or will never."""
        if self.covered and first == self.covered[-1][1] + 1:
            self.covered[-1][1] = last
        else:
            self.covered = merged([*self.covered, [first, last]])

    @property
    def missing(self) -> list[list[int]]:
        """What is owed and has not arrived."""
        return holes(self.covered, self.since or 1, self.last)


class Recorder:
    """Takes messages, writes them down, keeps ranges, knows what to ask for."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("ab", buffering=1 << 16)
        self._lock = threading.Lock()
        self.streams: dict[str, Stream] = {}
        self.messages = 0
        self.asked = 0
        self.online: bool | None = None
        self.boot = 0

    def take(self, topic: str, payload: bytes, retain: bool) -> None:
        """One message, in the order of arrival."""
        with self._lock:
            self._log.write(
                b'{"at_us":%d,"topic":"%s","retain":%s,"payload":%s}\n'
                % (time.time_ns() // 1000, topic.encode(), b"true" if retain else b"false", payload or b"null")
            )
            self.messages += 1
            kind = topic.split("/")[3] if topic.count("/") >= 3 else ""
            if payload and kind in ("live", "backlog", "replay"):
                self._data(json.loads(payload))
            elif payload and kind == "head":
                self._head(json.loads(payload))
            elif payload and kind == "status":
                self.online = json.loads(payload)["online"]

    def _data(self, message: dict[str, Any]) -> None:
        stream = self.streams.setdefault(message["epoch"], Stream())
        stream.last = max(stream.last, message["last"])
        unfinished = []
        for frame in message["frames"]:
            self.boot = max(self.boot, frame.get("boot", 0))
            if "part" in frame:
                part, parts = frame["part"]
                have = stream.parts.setdefault((frame["seq"], message["lane"], message["run"], parts), set())
                have.add(part)
                if len(have) < parts:
                    unfinished.append([frame["seq"]] * 2)
        for first, last in holes(merged(unfinished), message["from"], message["to"]):
            stream.cover(first, last)
        for gap in message.get("gaps", []):
            if gap["why"] in CLOSES_NUMBERS:
                for first, last in gap["frames"] or []:
                    self.streams.setdefault(gap.get("epoch") or message["epoch"], Stream()).cover(first, last)

    def _head(self, head: dict[str, Any]) -> None:
        stream = self.streams.setdefault(head["epoch"], Stream())
        stream.last = max(stream.last, head["last"])
        stream.since = head["since"] if stream.since is None else stream.since
        self.boot = max(self.boot, head["boot"])

    def wants(self, now: float) -> list[tuple[str, list[list[int]]]]:
        """What to ask for: holes older than the grace time that were not asked for just now."""
        with self._lock:
            wanted = []
            for epoch, stream in self.streams.items():
                open_now = {(a, b) for a, b in stream.missing}
                stream.seen = {hole: stream.seen.get(hole, now) for hole in open_now}
                due = [
                    hole
                    for hole, since in sorted(stream.seen.items())
                    if now - since >= GRACE_S and now - stream.asked.get(hole, -ASK_AGAIN_S) >= ASK_AGAIN_S
                ][:RANGES_ASKED_MAX]
                if due:
                    still = {hole: when for hole, when in stream.asked.items() if hole in open_now}
                    stream.asked = {**still, **dict.fromkeys(due, now)}
                    self.asked += sum(b - a + 1 for a, b in due)
                    wanted.append((epoch, [list(hole) for hole in due]))
            return wanted

    def progress(self) -> bytes:
        """What the campaigns watch, as JSON; the log is on disk up to it."""
        with self._lock:
            self._log.flush()
            epochs = {
                epoch: {"since": s.since, "last": s.last, "missing": s.missing, "covered": s.covered}
                for epoch, s in self.streams.items()
            }
            return json.dumps(
                {
                    "messages": self.messages,
                    "asked": self.asked,
                    "online": self.online,
                    "boot": self.boot,
                    "epochs": epochs,
                }
            ).encode()


def connect(recorder: Recorder, given: argparse.Namespace) -> mqtt.Client:
    """A client whose thread receives, reconnects, and hands every message to the recorder."""
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=f"recorder-{given.gateway}", protocol=MQTTProtocolVersion.MQTTv5
    )
    place = urlsplit(given.url)
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's own gap
    properties.ReceiveMaximum = given.receive_maximum
    if given.keep_session:
        properties.SessionExpiryInterval = SESSION_EXPIRY_S

    def on_connect(client: mqtt.Client, _data: object, _flags: object, reason: Any, _properties: object) -> None:
        if not reason.is_failure:
            client.subscribe(f"{given.prefix}/{given.gateway}/{given.target}/#", qos=1)

    client.on_connect = on_connect
    client.on_message = lambda _c, _u, message: recorder.take(message.topic, bytes(message.payload), message.retain)
    # Before the gateway: what is published to nobody has to be asked for.
    client.reconnect_delay_set(RECONNECT_S, RECONNECT_S)  # type: ignore[arg-type]  # fractions work
    client.connect_async(
        place.hostname or "", place.port or 1883, clean_start=not given.keep_session, properties=properties
    )
    client.loop_start()
    return client


def main() -> None:
    """The command: records until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.recorder")
    parser.add_argument("url")
    parser.add_argument("--gateway", default="campaign")
    parser.add_argument("--target", default="checker")
    parser.add_argument("--prefix", default="tidegate")
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--progress", type=Path, required=True)
    parser.add_argument("--keep-session", action="store_true", help="the broker keeps what it owes us")
    parser.add_argument("--receive-maximum", type=int, default=100)
    given = parser.parse_args()
    stopping = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stopping.set())
    recorder = Recorder(given.log)
    client = connect(recorder, given)
    asked = 0
    while not stopping.wait(PROGRESS_INTERVAL_S):
        part = given.progress.with_suffix(".part")
        part.write_bytes(recorder.progress())
        part.rename(given.progress)
        if client.is_connected():
            for epoch, want in recorder.wants(time.monotonic()):
                asked += 1
                request = {"id": f"recorder-{asked}", "epoch": epoch, "want": want}
                client.publish(f"{given.prefix}/{given.gateway}/{given.target}/request", json.dumps(request), qos=1)
    client.disconnect()
    client.loop_stop()
    recorder.progress()


if __name__ == "__main__":
    main()
