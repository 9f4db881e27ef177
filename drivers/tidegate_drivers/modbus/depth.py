"""Depth: how many questions of one read a Modbus TCP device can have before it at a time, learnt by trying.

    1 ──trial of 4 passed──▶ 4 ──trial of 16 passed──▶ 16
    ▲                        └── a trial fails: what was learnt stays, and nothing more is tried
    └── a read fails, in whole or in part, that had several under way: begins again, after a while that doubles

A trial's replies are thrown away: its questions differ in the length of their reply, so that a device that confuses
its replies is found by the link. What a device can't do is never learnt from a reading.
"""

from collections.abc import Sequence

from tidegate_drivers.modbus.link import Question
from tidegate_drivers.modbus.plan import QUESTION, Request

LEVELS = (4, 16)
AGAIN_S, AGAIN_S_MAX = 60.0, 86_400.0
BITS_A_BYTE = 8


class Depth:
    """Of one device. `fixed` is what the configuration says; None: it is learnt. Times are the loop's, in seconds."""

    def __init__(self, fixed: int | None) -> None:
        self.now = fixed or 1
        self._learns = fixed is None
        self._ended = False
        self._from_s = 0.0
        self._again_s = AGAIN_S

    def trial(self, requests: Sequence[Request], now: float) -> list[Question]:
        """What to ask all at a time, to learn whether the device can; empty when there is nothing to learn."""
        if not self._learns or self._ended or now < self._from_s or self.now >= len(requests):
            return []
        if requests[0].quirks.one_field:
            # Nothing shorter than a field may be asked for, and what is as long as another can't be told from it.
            return []
        level = next((level for level in LEVELS if level > self.now), 0)
        return [_cut(requests[i % len(requests)], i) for i in range(level)]

    def passed(self, level: int) -> None:
        """So many were answered, each as it should be."""
        self.now = level

    def failed(self) -> None:
        """They were not: nothing more is tried."""
        self._ended = True

    def doubted(self, now: float) -> None:
        """A read failed. With several under way that may be why: one at a time, until it is tried again."""
        if not self._learns or self.now == 1:
            return
        self.now, self._ended, self._from_s = 1, False, now + self._again_s
        self._again_s = min(2 * self._again_s, AGAIN_S_MAX)


def _cut(request: Request, index: int) -> Question:
    """A question for the first part of what a request reads; each index has a reply of its own length, if it can."""
    if request.function.of_bits:
        bits = min(request.count, BITS_A_BYTE * index + 1)
        return Question(QUESTION.pack(request.function, request.address, bits), (bits + 7) // BITS_A_BYTE)
    registers = min(request.count, (index + 1) * (2 if request.quirks.even_only else 1))
    return Question(QUESTION.pack(request.function, request.address, registers), 2 * registers)
