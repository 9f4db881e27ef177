"""Tail: follows one target of one gateway, asks for what is missing, and says what it can prove.

    find (whose heads are there?) ──▶ follow ──▶ tick each second: ask, report, save ──▶ settle ──▶ verdict

It knows the topics of formats.md and leaves what messages mean to the proof.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from tidegate.errors import TargetRefused, TidegateError
from tidegate.logs import JSON_ESCAPES, visible
from tidegate.model.names import Names
from tidegate.proof import Proof, ProofError, Taken
from tidegate.tail.subscriber import Link, Message, Subscriber
from tidegate.tail.words import Tags, Told, dumps, gap_lines, reading_lines, report_json, report_line, summary

TICK_S = 1.0
# How long to wait for a second gateway or target before the first one is taken for the only one.
FIND_S = 1.5
# After the end was asked for: time for grace, question and answer, when something is missing.
SETTLE_S_MAX = 12.0
TABLES_MAX = 10_000
SAID_MAX = 20
# Tables first: what comes after is read with them.
LEAVES = ("table/+", "head", "status", "answer", "live", "backlog", "replay")
DATA = ("live", "backlog", "replay")
# MQTT 5, 2.4: what asking again does not help.
REFUSED_FOR_GOOD = {0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C}
UNSUPPORTED_VERSION = 0x84


@dataclass(frozen=True, slots=True)
class TailSettings:
    """What to follow and how to tell it. "" for `gateway` and `target` takes the only one that is there.

    `seconds` None follows until stopped. `state` keeps the proof over restarts; `log` gets every message, a JSON line
    each: {"topic", "at_us", "payload"}. `from_now` leaves out what was committed before the first start.
    """

    gateway: str = ""
    target: str = ""
    prefix: str = "tidegate"
    seconds: float | None = None
    ask: bool = True
    from_now: bool = False
    as_json: bool = False
    readings: bool = False
    state: Path | None = None
    log: Path | None = None


class Tail:
    """One run of `tidegate tail`. `out` gets what was asked for, `err` what a person should know besides."""

    def __init__(
        self,
        settings: TailSettings,
        subscriber: Subscriber,
        name: str,
        out: TextIO,
        err: TextIO,
        now_s: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._settings = settings
        self._subscriber = subscriber
        self._name = name
        self._out = out
        self._err = err
        self._now_s = now_s
        self._wall_us = wall_us
        self._proof = _load(settings)
        self._target = (settings.gateway or self._proof.gateway, settings.target or self._proof.target)
        self._found: dict[tuple[str, str], float] = {}
        self._begin_now = settings.from_now and not self._proof.lasts
        self._tables: dict[str, Tags] = {}
        self._log: BinaryIO | None = None
        self._connected = False
        # Whether there is anybody to ask.
        self._online = False
        self._requests = 0
        self._said: set[str] = set()
        self._line = ""
        self._saved = self._proof.save()
        self._stopping = 0

    def stop(self) -> None:
        """End soon: at once when nothing is missing, else after a last try. A second call ends at once."""
        self._stopping += 1

    def run(self) -> bool:
        """Follow until the time is over or `stop`; whether all that was owed at that moment is proven.

        Raises TidegateError when there is nothing to follow or the broker refuses us for good.
        """
        begin_s = self._now_s()
        end_s = begin_s + self._settings.seconds if self._settings.seconds is not None else float("inf")
        self._log = _opened(self._settings.log)
        try:
            self._subscriber.follow(*self._filters())
            self._subscriber.start()
            self._until(end_s, lambda: self._stopping > 0)
            return self._finish()
        finally:
            self._subscriber.close()
            if self._log is not None:
                self._log.close()

    def _until(self, end_s: float, over: Callable[[], bool]) -> None:
        tick_s = self._now_s() + TICK_S
        while not over() and (now_s := self._now_s()) < end_s:
            if now_s >= tick_s:
                self._tick(now_s)
                tick_s = max(tick_s + TICK_S, now_s)
            # Short waits, since a signal only sets a flag.
            event = self._subscriber.next(min(tick_s, end_s, now_s + TICK_S / 5) - now_s)
            if isinstance(event, Message):
                self._take(event)
            elif isinstance(event, Link):
                self._link(event)

    def _finish(self) -> bool:
        """Wait for what was owed when the end came, within a limit; the verdict."""
        owed, again = self._proof.lasts, self._stopping + 1

        def settled() -> bool:
            return all(not self._proof.holes(epoch).within(1, last) for epoch, last in owed.items())

        def over() -> bool:
            hopeless = not self._may_ask and not self._proof.report(self._now_s()).waiting
            return settled() or hopeless or self._stopping >= again

        self._until(self._now_s() + SETTLE_S_MAX, over)
        now_s = self._now_s()
        report = self._proof.report(now_s)
        complete = report.complete and settled()
        self._save()
        if self._settings.as_json:
            self._print(report_json(report, self._connected, self._wall_us(), ended=True))
        else:
            name = "/".join(self._target) if all(self._target) else "no gateway was heard of"
            for line in summary(report, name, complete):
                self._tell(line)
            if self._connected and not all(self._target):
                self._tell(
                    "  Does it run? Is it at this broker, under this --prefix, and may this user read its topics?"
                )
        return complete

    def _filters(self) -> list[str]:
        gateway, target = self._target
        if gateway and target:
            return [self._topic(leaf) for leaf in LEAVES]
        return [f"{self._settings.prefix}/{gateway or '+'}/{target or '+'}/head"]

    def _topic(self, leaf: str) -> str:
        return f"{self._settings.prefix}/{self._target[0]}/{self._target[1]}/{leaf}"

    def _link(self, link: Link) -> None:
        if link.code in REFUSED_FOR_GOOD:
            hint = " (try --mqtt 3.1.1)" if link.code == UNSUPPORTED_VERSION else ""
            raise TargetRefused(link.why + hint, link.code)
        if link.up != self._connected and (link.up or self._connected):
            self._warn("connected" if link.up else link.why, again=True)
        elif link.why:
            self._warn(link.why)
        self._connected = link.up
        self._online = self._online and link.up

    def _take(self, message: Message) -> None:
        if not all(self._target):
            self._find(message.topic)
            return
        leaf = message.topic.removeprefix(self._topic(""))
        body = _parsed(message.payload)
        if self._log is not None:
            self._write_log(message, body)
        if not message.payload:
            # A retained message that was taken back.
            return
        if leaf.startswith("table/"):
            self._take_table(leaf, body)
        if leaf == "status" and isinstance(body, dict):
            self._online = body.get("online") is True
        elif not message.retained and leaf != "answer":
            self._online = True
        try:
            taken = self._proof.take(body if isinstance(body, dict) else message.payload, self._now_s(), message.at_us)
        except ProofError as error:
            self._warn(f"{message.topic}: {error}")
            return
        if self._begin_now and leaf == "head":
            self._begin_now = False
            self._proof.begin_now()
        if leaf in DATA and isinstance(body, dict):
            try:
                self._show(body, taken)
            except (KeyError, TypeError, ValueError) as error:
                self._warn(f"{message.topic}: can't be shown: {error!r}")

    def _show(self, body: dict[str, Any], taken: Taken) -> None:
        if self._settings.readings:
            for line in reading_lines(body, taken.new, self._tables, self._settings.as_json):
                self._print(line, flush=False)
            self._out.flush()
        if not self._settings.as_json:
            for line in gap_lines(body, taken):
                self._tell(line)

    def _find(self, topic: str) -> None:
        gateway, _, rest = topic.removeprefix(self._settings.prefix + "/").partition("/")
        target, _, leaf = rest.partition("/")
        if leaf == "head":
            self._found.setdefault((gateway, target), self._now_s())

    def _choose(self, now_s: float) -> None:
        """Follow the only target that is there. Raises TidegateError when there are several."""
        if not self._found or now_s - min(self._found.values()) < FIND_S:
            return
        if len(self._found) > 1:
            listed = ", ".join(f"--gateway {gateway} --target {target}" for gateway, target in sorted(self._found))
            raise TidegateError(f"there are several to follow, choose one: {listed}")
        self._target = next(iter(self._found))
        self._warn(f"following {self._target[0]}/{self._target[1]}")
        self._subscriber.follow(*self._filters())

    def _take_table(self, leaf: str, body: Any) -> None:
        try:
            tags = [Told(str(t["name"]), str(t["unit"]), str(t["type"]), Names.of(t)) for t in body["tags"]]
        except (KeyError, TypeError, ValueError, AttributeError):
            self._warn(f"{leaf}: not a tag table")
            return
        if len(self._tables) < TABLES_MAX:
            self._tables[leaf.removeprefix("table/")] = tags

    def _tick(self, now_s: float) -> None:
        if not all(self._target):
            self._choose(now_s)
        if self._may_ask:
            self._ask(now_s)
        report = self._proof.report(now_s)
        if self._settings.as_json:
            self._print(report_json(report, self._connected, self._wall_us(), ended=False))
        elif (line := report_line(report)) != self._line and report.epochs:
            self._line = line
            self._tell(f"{time.strftime('%H:%M:%S')}  {line}")
        self._save()

    @property
    def _may_ask(self) -> bool:
        return self._settings.ask and self._online and self._connected

    def _ask(self, now_s: float) -> None:
        for epoch, ranges in self._proof.wants(now_s):
            self._requests += 1
            request = {"id": f"{self._name}-{self._requests}", "epoch": epoch, "want": ranges.pairs}
            if self._subscriber.publish(self._topic("request"), dumps(request).encode()):
                self._proof.asked(epoch, ranges, now_s)

    def _save(self) -> None:
        """Replace the state file, whole or not at all. Raises TidegateError when that fails."""
        path = self._settings.state
        if path is None or (state := self._proof.save()) == self._saved:
            return
        beside = path.with_name(path.name + ".new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError as error:
            raise TidegateError(f"the state can't be kept in {path}: {error.strerror}") from error
        self._saved = state

    def _write_log(self, message: Message, body: Any) -> None:
        assert self._log is not None
        payload = message.payload.split(b"\n", 1)[0]
        if not message.payload:
            payload = b"null"
        elif body is None:
            payload = json.dumps(message.payload.decode("utf-8", "replace")).encode()
        head = dumps({"topic": message.topic, "at_us": message.at_us, "retain": message.retained})
        self._log.write(head[:-1].encode() + b',"payload":' + payload + b"}\n")
        self._log.flush()

    def _print(self, line: str, flush: bool = True) -> None:
        shown = line.translate(JSON_ESCAPES) if self._settings.as_json else visible(line)
        print(shown, file=self._out, flush=flush)

    def _tell(self, line: str) -> None:
        """Progress: on `out`, unless that is for readings."""
        print(visible(line), file=self._err if self._settings.readings else self._out, flush=True)

    def _warn(self, sentence: str, again: bool = False) -> None:
        """Say something on `err`, each sentence once."""
        if again or (sentence not in self._said and len(self._said) < SAID_MAX):
            self._said.add(sentence)
            print(f"tidegate tail: {visible(sentence)}", file=self._err, flush=True)


def _opened(path: Path | None) -> BinaryIO | None:
    try:
        return path.open("ab") if path is not None else None
    except OSError as error:
        raise TidegateError(f"messages can't be logged in {path}: {error.strerror}") from error


def _parsed(payload: bytes) -> Any:
    """The JSON of a payload up to the first line feed; None where it is none."""
    try:
        return json.loads(payload.split(b"\n", 1)[0])
    except (ValueError, RecursionError):
        return None


def _load(settings: TailSettings) -> Proof:
    """The proof of the state file, or a new one. Raises TidegateError for a file that is none, or another target's."""
    path = settings.state
    if path is None or not path.exists():
        return Proof()
    try:
        proof = Proof.load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TidegateError(f"{path} holds no state of a proof ({error}): name another file") from error
    for mine, asked in ((proof.gateway, settings.gateway), (proof.target, settings.target)):
        if mine and asked and mine != asked:
            raise TidegateError(f"{path} is the proof of {proof.gateway}/{proof.target}: name another file")
    return proof
