"""The hostile Modbus peer: draws what becomes of a question, sends it when it is due. Imports nothing of Tidegate."""

import asyncio
from collections import deque
from collections.abc import Callable
from random import Random

from tests.campaigns.modbus_replies import LATE, QUESTION, TRANSACTIONS, Kind, Line, Move, Question


class Peer:
    """Draws a kind for each question and makes its moves; numbers questions over all its lines."""

    def __init__(self, chance: Random, kinds: dict[str, Kind]) -> None:
        self.chance = chance
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
        return Line(self.chance)

    def answer(self, line: Line, data: bytes, at_s: float, overtaken: bytes = b"") -> list[Move]:
        """What is done about one question of one line. It is in `asked` from now on.

        `overtaken` is what was to be sent and was not yet: whole messages are never mixed, so it goes first.
        """
        transaction, _, _, unit, function, address, count = QUESTION.unpack(data)
        self.n += 1
        asked = Question(self.n, transaction, unit, function, address, count, at_s, tainted=line.tainted)
        self.asked.append(asked)
        asked.kind = self.chance.choices(self._names, cum_weights=self._weights)[0]
        if asked.kind in LATE and line.was_late:
            # Three silent questions in a row end a line: that is for the kind "none" to do.
            asked.kind = "right"
        line.was_late = asked.kind in LATE
        # A number that was given up is passed over: its reply comes when it, or the next one, would be due again.
        for due in (transaction - 1, transaction):
            if due in line.kept and self.n - line.kept[due][0] > TRANSACTIONS // 2:
                line.held.append(line.kept.pop(due)[1])
                self.turned += 1
        moves = self.kinds[asked.kind].make(line, asked)
        if line.held and moves and moves[0].data and self.chance.random() < 0.7:
            moves = self._let_go(line, asked, moves)
        if overtaken:
            moves = [Move(moves[0].delay_s / 2 if moves else line.prompt_s(), overtaken), *moves]
        line.last = asked
        return moves

    def _let_go(self, line: Line, asked: Question, moves: list[Move]) -> list[Move]:
        """What was held back comes before the reply, in one segment with it, or behind it."""
        held, how = b"".join(line.held), self.chance.random()
        line.held.clear()
        first, rest = moves[0], moves[1:]
        if how < 0.4:
            return [Move(first.delay_s / 2, held), *moves]
        if how < 0.7 or asked.kind != "right":
            return [Move(first.delay_s, held + first.data, first.ends, first.reset), *rest]
        return [Move(first.delay_s, first.data + held)]


class Sender:
    """Makes a line's moves when they are due, on the clock of a loop: `send(bytes)`, `end(reset)`."""

    def __init__(self, peer: Peer, loop: asyncio.AbstractEventLoop, send: Callable[[bytes], None],
                 end: Callable[[bool], None]) -> None:  # fmt: skip
        self._peer, self._loop, self._send, self._end = peer, loop, send, end
        self._line = peer.line()
        self._asked_s = 0.0
        self._moves: deque[Move] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, question: bytes) -> None:
        """One question came in."""
        self.stop()
        overtaken = b"".join([move.data for move in self._moves]) if self._moves else b""
        self._asked_s = self._loop.time()
        self._moves = deque(self._peer.answer(self._line, question, self._asked_s, overtaken))
        self._wait()

    def stop(self) -> None:
        """Make no more moves: the line has ended."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self) -> None:
        """One timer at a time, so that what is sent stays in order."""
        if self._moves:
            self._timer = self._loop.call_at(self._asked_s + self._moves[0].delay_s, self._make)

    def _make(self) -> None:
        self._timer = None
        move = self._moves.popleft()
        self._wait()
        if move.ends:
            self._end(move.reset)
        else:
            self._send(move.data)
