"""The hostile Modbus peer: draws what becomes of a question, sends it when it is due. Imports nothing of Tidegate."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random

from tests.campaigns.modbus_replies import LATE, QUESTION, TRANSACTIONS, Kind, Line, Move, Question


class Peer:
    """Draws a kind for each question and makes its moves; numbers questions over all its lines."""

    def __init__(self, chance: Random, kinds: dict[str, Kind], apart: int = 1) -> None:
        self.chance = chance
        self._apart = apart
        self.n = 0
        # Replies that were late by a turn of all numbers, and came.
        self.turned = 0
        self.asked: list[Question] = []
        self.behave(kinds)

    def behave(self, kinds: dict[str, Kind]) -> None:
        """From now on draw from these."""
        self.kinds = kinds
        self._names = list(kinds)
        self._weights = [sum(kind.weight for kind in list(kinds.values())[: i + 1]) for i in range(len(kinds))]

    def line(self) -> Line:
        """A connection was accepted."""
        return Line(self.chance, self._apart)

    def answer(self, line: Line, data: bytes, at_s: float, begun_s: float) -> list[Move]:
        """What is done about one question of one line, from `begun_s` on. It is in `asked` from now on."""
        transaction, _, _, unit, function, address, count = QUESTION.unpack(data)
        self.n += 1
        asked = Question(self.n, transaction, unit, function, address, count, at_s, begun_s, tainted=line.tainted)
        self.asked.append(asked)
        if line.mute:
            asked.kind = "none"
            return []
        asked.kind = self.chance.choices(self._names, cum_weights=self._weights)[0]
        if asked.kind in LATE and line.was_late:
            # Three silent questions in a row end a line: that is for the kind "none" to do.
            asked.kind = "right"
        line.was_late = asked.kind in LATE
        # A number that was given up is passed over: its reply comes when it, or the next one, would be due again.
        for due in (transaction - 1, transaction):
            if due in line.kept and self.n - line.kept[due][0].n > TRANSACTIONS // 2:
                line.held.append(line.kept.pop(due))
                self.turned += 1
        moves = self.kinds[asked.kind].make(line, asked)
        if line.held and moves and moves[0].data and self.chance.random() < 0.7:
            moves = self._let_go(line, asked, moves)
        line.last = asked
        return moves

    def _let_go(self, line: Line, asked: Question, moves: list[Move]) -> list[Move]:
        """What was held back comes before the reply, in one segment with it, or behind it."""
        held, how = b"".join([data for _, data in line.held]), self.chance.random()
        first, rest = moves[0], moves[1:]
        early = how < 0.4
        if self._apart > 1:
            # With several under way it may be in time all the same.
            for late, _ in line.held:
                late.right_s = asked.begun_s + first.delay_s / (2 if early else 1)
        line.held.clear()
        if early:
            return [Move(first.delay_s / 2, held), *moves]
        if how < 0.7 or asked.kind != "right":
            return [Move(first.delay_s, held + first.data, first.ends, first.reset), *rest]
        return [Move(first.delay_s, first.data + held)]


class Sender:
    """Makes a line's moves when they are due, one after the other: `send(bytes)`, `end(reset)`."""

    def __init__(self, peer: Peer, loop: asyncio.AbstractEventLoop, send: Callable[[bytes], None],
                 end: Callable[[bool], None]) -> None:  # fmt: skip
        self._peer, self._loop, self._send, self._end = peer, loop, send, end
        self._line = peer.line()
        self._coming: deque[tuple[float, Move]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, questions: bytes) -> None:
        """One or more questions came in."""
        now_s = self._loop.time()
        for at in range(0, len(questions), QUESTION.size):
            # Whole messages are never mixed: what was to be sent before is sent before.
            begun_s = max(now_s, self._coming[-1][0]) if self._coming else now_s
            for move in self._peer.answer(self._line, questions[at : at + QUESTION.size], now_s, begun_s):
                self._coming.append((begun_s + move.delay_s, move))
        self._wait()

    def stop(self) -> None:
        """Make no more moves: the line has ended."""
        self._coming.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        if self._coming and self._timer is None:
            self._timer = self._loop.call_at(self._coming[0][0], self._make)

    def _make(self) -> None:
        self._timer = None
        _, move = self._coming.popleft()
        self._wait()
        if move.ends:
            self._end(move.reset)
        else:
            self._send(move.data)
