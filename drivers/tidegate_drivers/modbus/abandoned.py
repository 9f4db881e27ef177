"""Questions on lines that were given up: frames have no number, so a late reply looks like that of the next question.

After such a question a unit is first asked another one, whose reply has another length. Units answer in the order of
what they were asked: with that reply, or a refusal of it, nothing older can come any more.
"""

from struct import Struct

from tidegate_drivers.modbus.link import OPEN, Question
from tidegate_drivers.modbus.open_reply import WRITES

QUESTION = Struct(">BHH")
# After so long no reply comes any more. A unit that never answers the other question is silent that long, not for ever.
KEPT_S = 60.0
BITS_A_BYTE, REGISTER_BYTES = 8, 2
REPLY_BYTES_MAX = 250
ADDRESSES = 0x10000
OF_BITS = (1, 2)


class Abandoned:
    """By unit: function and byte count of replies that may still come, and when they were asked for (loop's seconds).

    It outlives connections: a serial server hands a late reply to whoever is connected by then.
    """

    def __init__(self) -> None:
        self._asked: dict[int, dict[tuple[int, int], float]] = {}

    def add(self, unit: int, question: Question, now: float) -> None:
        """The reply to a question of this unit may come at any time from now on."""
        kept = {kind: at for kind, at in self._asked.get(unit, {}).items() if now - at < KEPT_S}
        kept[question.pdu[0], question.reply_bytes] = now
        self._asked[unit] = kept

    def forget(self, unit: int) -> None:
        """The unit has answered what it was asked last."""
        self._asked.pop(unit, None)

    def first(self, unit: int, question: Question, now: float) -> Question | None:
        """What the unit must be asked before this question, or None: no late reply can be taken for its own."""
        function, address = question.pdu[0], int.from_bytes(question.pdu[1:3], "big")
        if question.reply_bytes == OPEN and function not in WRITES:
            # Who a unit is does not change with the question; no reply to another function has its form.
            return None
        kept = self._asked.get(unit, {})
        at = kept.get((function, question.reply_bytes))
        if at is None or now - at >= KEPT_S:
            return None
        function = WRITES.get(function, function)
        step = 1 if function in OF_BITS else REGISTER_BYTES
        # The shortest, which nearly always asks for a part of what is to be read; else what was asked longest ago.
        counts = [count for count in range(step, REPLY_BYTES_MAX + 1, step) if count != question.reply_bytes]
        reply_bytes = min(counts, key=lambda count: kept.get((function, count), -1.0))
        count = BITS_A_BYTE * (reply_bytes - 1) + 1 if function in OF_BITS else reply_bytes // REGISTER_BYTES
        return Question(QUESTION.pack(function, min(address, ADDRESSES - count), count), reply_bytes)
