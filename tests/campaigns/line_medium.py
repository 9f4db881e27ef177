"""A line of RTU units as a wire is: one byte after the other, and where two talk at once, neither is understood.

It knows no Tidegate. Each healthy unit numbers its replies; its registers follow from unit, number and address, so that
a value of another reply, or of another unit, shows.
"""

import asyncio
from collections.abc import Callable
from random import Random

from tests.fakes.serial_line import framed

BAUD = 19200
BYTE_S = 11 / BAUD
QUESTION_BYTES = 8
REGISTERS = 20
# How long a healthy unit thinks, at least and at most.
DELAY_S = (0.003, 0.008)
# Bytes come out of an adapter in pieces of this size at most.
PIECE_BYTES = 16
BABBLE_BYTES = (3, 60)


def register(unit: int, number: int, address: int) -> int:
    """What a register holds in a unit's reply of this number; the first one holds the number."""
    return number & 0xFFFF if address == 0 else (unit * 40503 + number * 2897 + address * 9973) & 0xFFFF


class Medium:
    """The wire, its units, and one that babbles each `babble_s` on average (0: never). `give` takes what is heard.

    A unit that is neither is dead. The babbling one answers nothing that it is asked, and talks noise, or replies of
    its own that nobody asked for: every other time at any moment, else at the very moment when another unit answers.
    """

    def __init__(
        self, healthy: set[int], babbling: int, babble_s: float, chance: Random, give: Callable[[bytes], None]
    ) -> None:
        self.give = give
        self.numbers = dict.fromkeys(healthy, 0)
        self.babbles = 0
        self._babbling, self._babble_s = babbling, babble_s
        self._chance = chance
        self._loop = asyncio.get_running_loop()
        # By time in bytes: what is on the wire.
        self._wire: dict[int, int] = {}
        self._talks_along = False
        self._question = (0.0, 0.0)
        self._timers: set[asyncio.TimerHandle] = set()
        if babble_s:
            self._later(chance.expovariate(1 / babble_s), self._babble)

    def ask(self, question: bytes) -> None:
        """The master speaks. Meanwhile it hears nothing."""
        now = self._loop.time()
        self._question = now, now + len(question) * BYTE_S
        # What is on the wire at the same time spoils the question.
        clear = not any(now <= slot * BYTE_S < self._question[1] for slot in self._wire)
        self._later(len(question) * BYTE_S, self._asked, question, clear)

    def stop(self) -> None:
        """Nothing more comes."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    def _asked(self, question: bytes, clear: bool) -> None:
        begin, end = self._question
        if not clear or any(begin <= slot * BYTE_S < end for slot in self._wire):
            return
        unit = question[0]
        if unit in self.numbers:
            self._later(self._chance.uniform(*DELAY_S), self._reply, question)
        if self._talks_along and unit != self._babbling:
            self._talks_along = False
            self._later(self._chance.uniform(*DELAY_S), self._say, self._nonsense())

    def _reply(self, question: bytes) -> None:
        unit, address, count = question[0], int.from_bytes(question[2:4], "big"), int.from_bytes(question[4:6], "big")
        self.numbers[unit] += 1
        data = b"".join(
            register(unit, self.numbers[unit], at).to_bytes(2, "big") for at in range(address, address + count)
        )
        self._say(framed(question[:2] + bytes([len(data)]) + data))

    def _babble(self) -> None:
        self.babbles += 1
        if self.babbles % 2:
            self._talks_along = True
        else:
            self._say(self._nonsense())
        self._later(self._chance.expovariate(1 / self._babble_s), self._babble)

    def _nonsense(self) -> bytes:
        if self._chance.random() < 0.5:
            return self._chance.randbytes(self._chance.randint(*BABBLE_BYTES))
        return framed(bytes([self._babbling, 3, 2 * REGISTERS]) + self._chance.randbytes(2 * REGISTERS))

    def _say(self, data: bytes) -> None:
        """Bytes on the wire from now on; where another byte is, what is heard has the low bits of both."""
        first = round(self._loop.time() / BYTE_S)
        for slot, byte in enumerate(data, first):
            self._wire[slot] = self._wire.get(slot, 0xFF) & byte
        for end in (*range(PIECE_BYTES, len(data), PIECE_BYTES), len(data)):
            self._later(end * BYTE_S, self._hear)

    def _hear(self) -> None:
        now = self._loop.time()
        due = sorted(slot for slot in self._wire if (slot + 0.5) * BYTE_S <= now)
        begin, end = self._question
        heard = bytes(self._wire[slot] for slot in due if not begin <= slot * BYTE_S < end)
        for slot in due:
            del self._wire[slot]
        if heard:
            self.give(heard)

    def _later(self, delay_s: float, do: Callable[..., None], *given: object) -> None:
        def run() -> None:
            self._timers.discard(timer)
            do(*given)

        timer = self._loop.call_later(delay_s, run)
        self._timers.add(timer)
