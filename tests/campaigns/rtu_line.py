"""A hostile line: its units answer in the order of what they are asked, one speaks at a time. Imports no Tidegate."""

import asyncio
import heapq
from collections.abc import Callable
from random import Random

from tests.campaigns.rtu_frames import Questions, refused_in, replies_in
from tests.campaigns.rtu_replies import UNITS, Asked, Kind, Reply, Voice

# A unit with more to say than this drops what it is asked.
BUSY_S_MAX = 5.0
# While a unit is busy with an old question, it drops every other new one.
DROPS = 0.5
BEHIND_S = 0.0005
# What the tags of the checker are read with, as (function, count), along with the holes between bits or without: other
# questions only make sure of the line.
READS = frozenset({(3, 12), (4, 12), *((function, count) for function in (1, 2) for count in (58, 10, 2))})


class HostileLine:
    """Draws a kind for each question, and speaks to whoever is connected: `send(bytes)`, `end()`.

    `echo`: it gives back what it is sent, as some adapters do. `now` is the clock of `right_s`.
    """

    def __init__(self, chance: Random, framing: str, kinds: dict[str, Kind], echo: bool = False,
                 now: Callable[[], float] | None = None) -> None:  # fmt: skip
        self._loop = asyncio.get_running_loop()
        self._now = now or self._loop.time
        self._chance, self._framing, self._echo = chance, framing, echo
        self._voice = Voice(chance, framing)
        self._questions = Questions(framing)
        self.n = 0
        self.asked: list[Asked] = []
        # Wrong replies whose checksum was right by chance.
        self.by_chance = 0
        self._searched: set[int] = set()
        self._free_at = dict.fromkeys(UNITS, 0.0)
        self._due: list[tuple[float, int, Asked, Reply]] = []
        self._speaking = False
        self._timer: asyncio.TimerHandle | None = None
        self._send: Callable[[bytes], None] | None = None
        self._end: Callable[[], None] = lambda: None
        self.behave(kinds)

    def behave(self, kinds: dict[str, Kind]) -> None:
        """From now on draw from these."""
        self.kinds, self._names = kinds, list(kinds)
        self._weights = [sum(kind.weight for kind in list(kinds.values())[: i + 1]) for i in range(len(kinds))]

    def connect(self, send: Callable[[bytes], None], end: Callable[[], None]) -> None:
        """Somebody is at the line: what was still to be said is said to him."""
        self._questions.heard = b""
        self._send, self._end = send, end

    def leave(self) -> None:
        """Nobody is: what is said is lost."""
        self._send, self._end = None, lambda: None

    def stop(self) -> None:
        """Say nothing more."""
        self._due.clear()
        self._speaking = False
        self.leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def hear(self, data: bytes) -> None:
        """Questions came in."""
        for body in self._questions.take(data):
            now = self._loop.time()
            self.n += 1
            unit, function = body[0], body[1]
            address, count = int.from_bytes(body[2:4], "big"), int.from_bytes(body[4:6], "big")
            asked = Asked(self.n, unit, function, address, count, now, (function, count) in READS)
            asked.searched = unit in self._searched
            self.asked.append(asked)
            self._voice.question = data
            if self._echo:
                self._loop.call_soon(self._say, data)
            self._answer(asked, now)

    def _answer(self, asked: Asked, now: float) -> None:
        """Draw what becomes of it, behind what its unit has still to say."""
        free_at = self._free_at.get(asked.unit, 0.0)
        busy = free_at > now
        if free_at - now > BUSY_S_MAX or (busy and self._chance.random() < DROPS):
            asked.kind = "none"
            return
        asked.kind = self._chance.choices(self._names, cum_weights=self._weights)[0]
        reply = self.kinds[asked.kind].make(self._voice, asked)
        if not reply.pieces:
            return
        if self._echo and asked.kind == "right, behind its question":
            asked.kind = "right"
        due = max(now + reply.delay_s, free_at + BEHIND_S)
        self._free_at[asked.unit] = due + sum(gap_s for gap_s, _ in reply.pieces)
        heapq.heappush(self._due, (due, asked.n, asked, reply))
        asked.by_chance = self._by_chance(asked, reply)
        said = b"".join(piece for _, piece in reply.pieces)
        asked.refused = "exception" not in asked.kind and refused_in(self._framing, said, asked.unit, asked.function)
        if asked.refused:
            self._searched.add(asked.unit)
        self.by_chance += len(asked.by_chance)
        if reply.right is not None:
            self._voice.last[asked.unit] = self._voice.frame(asked.body())
        self._wait()

    def _by_chance(self, asked: Asked, reply: Reply) -> list[bytes]:
        """The data of frames that are neither the right reply nor the one before, and have its form and checksum."""
        said = b"".join(piece for _, piece in reply.pieces)
        last = self._voice.last.get(asked.unit, b"")
        form = asked.unit, asked.function, asked.data_bytes
        # Of few bits, those of a wrong reply may be the right ones too, or those of the reply before.
        right = [asked.body()[3:], *replies_in(self._framing, last, *form)] if reply.right is not None else []
        return [data for data in replies_in(self._framing, said, *form) if data not in right]

    def _wait(self) -> None:
        if self._speaking:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            self._timer = self._loop.call_at(max(self._due[0][0], self._loop.time()), self._begin)

    def _begin(self) -> None:
        """The line is silent, and the one that is due longest speaks."""
        self._timer = None
        _, _, asked, reply = heapq.heappop(self._due)
        self._speaking = True
        self._piece(asked, reply, 0)

    def _piece(self, asked: Asked, reply: Reply, index: int) -> None:
        """Say one piece; the next follows in its time."""
        self._timer = None
        if index == reply.right and self._send is not None:
            asked.right_s = self._now()
        self._say(reply.pieces[index][1])
        if index + 1 < len(reply.pieces):
            gap_s = reply.pieces[index + 1][0]
            self._timer = self._loop.call_later(gap_s, self._piece, asked, reply, index + 1)
            return
        self._speaking = False
        if reply.ends:
            asked.ended_s = self._now()
            self._end()
        self._wait()

    def _say(self, data: bytes) -> None:
        if self._send is not None:
            self._send(data)
