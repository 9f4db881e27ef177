"""Notices: what is said beside the data. Status, head, tag tables and answers wait here for a place in the window."""

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.publish.context import Context
from tidegate.publish.formats.tidegate_json import Answer, Head

log = logging.getLogger(__name__)

STATUS, HEAD, TABLE, ANSWER = "status", "head", "a tag table", "an answer"
STATUS_INTERVAL_S = 30.0
# Answers beyond it are left out: whoever asks so often asks again.
NOTICES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that is not data."""

    what: str
    topic: str
    payload: bytes
    retain: bool


class Notices:
    """The notices of one connection. A newer head or status replaces one that still waits."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: deque[Notice] = deque()
        self._tables: set[bytes] = set()
        self._head: Head | None = None
        self._head_at_s = self._status_at_s = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def tick(self, now_s: float) -> None:
        """Head and status, when they are due."""
        if now_s - self._head_at_s >= self._context.settings.head_interval_s:
            self.say_head(now_s)
        if now_s - self._status_at_s >= STATUS_INTERVAL_S:
            self.say_status(True, now_s)

    def say_status(self, online: bool, now_s: float) -> None:
        """Whether we are there, and how we are."""
        self._status_at_s = now_s
        self._say(STATUS, self._context.format.topic("status"), self._context.status(online), True)

    def say_head(self, now_s: float) -> None:
        """What exists and what is owed, if anything of it is new."""
        buffer, clock = self._context.buffer, self._context.clock
        *older, _ = buffer.extents()
        head = Head(
            buffer.epoch,
            buffer.first,
            buffer.last,
            buffer.since(self._context.settings.name, buffer.epoch),
            buffer.gaps,
            tuple((extent.epoch, extent.first, extent.last) for extent in older if extent.last >= extent.first),
        )
        if head == self._head:
            return
        self._head, self._head_at_s = head, now_s
        payload = self._context.format.head(head, clock.now_us(), clock.boot, clock.trust)
        self._say(HEAD, self._context.format.topic("head"), payload, True)

    def say_tables(self, hashes: Iterable[bytes]) -> bool:
        """Those of these tables that the connection has not had yet; whether there were any."""
        missing = [hash for hash in hashes if hash not in self._tables]
        for hash in missing:
            table = self._context.tables.known[hash]
            self._tables.add(hash)
            self._say(TABLE, self._context.format.table_topic(table), self._context.format.table(table), True)
        return bool(missing)

    def say_answer(self, answer: Answer) -> None:
        """What became of a subscriber's request."""
        self._say(ANSWER, self._context.format.topic("answer"), self._context.format.answer(answer), False)

    def take(self, packet_bytes_max: int) -> Notice | None:
        """The next notice to be handed over; one that the broker would not take is left out, and logged."""
        while self._waiting:
            notice = self._waiting.popleft()
            if len(notice.payload) + len(notice.topic.encode()) <= packet_bytes_max:
                return notice
            name = self._context.settings.name
            log.error("target %s: %s is larger than the broker takes, and is left out", name, notice.topic)
        return None

    def _say(self, what: str, topic: str, payload: bytes, retain: bool) -> None:
        if what in (STATUS, HEAD):
            self._waiting = deque(notice for notice in self._waiting if notice.what != what)
        if len(self._waiting) < NOTICES_MAX:
            self._waiting.append(Notice(what, topic, payload, retain))
