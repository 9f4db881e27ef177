"""Toll: what units that fail may cost the others of their bus. It reads nothing and waits for nothing.

    a failed read ──▶ its turn's account: past its allowance it rests, though some of its reads come through
      └─ of what rests ──▶ the bus's account: nothing that rests is tried before it is paid off, at a share of the time

As long as nobody else loses a cycle, the bus has slack, and failing costs nobody: then only trying is limited.
"""

from typing import Generic

from tidegate.acquire.turn import Owner, Turn

# On a bus with slack, trying what is down takes at most this share of its time, however many there are.
PROBE_SHARE = 0.1
# On a bus whose other units lose cycles all that rests takes no more than this together, flapping units too.
PRESSED_SHARE = 0.02
# So long after the last cycle that another unit lost a bus counts as pressed.
PRESSED_US = 600_000_000
# What many owe at once, as at a start, is forgotten beyond this or the price of one read: what is well is found soon.
OWED_US_MAX = 120_000_000
# A turn may lose so much time before it rests, or two reads, and regains this share of the time.
ALLOWANCE_US = 5_000_000
REGAINED_SHARE = 0.002
# Whoever is not first in line looks again after so long at the earliest.
LINE_US = 500_000


class Toll(Generic[Owner]):
    """The accounts of one bus that is read by so many `readers`. `alone`: a bus of one unit, which has no others."""

    def __init__(self, readers: int, alone: bool) -> None:
        self._readers = max(1, readers)
        self._alone = alone
        self._pressed_until_us = 0
        # Until when the account is in debt; until when somebody tries, of whom it is not known how long that takes.
        self._owed_until_us = 0
        self._held_until_us = 0
        # Those that want to be tried, the first first.
        self._line: dict[Turn[Owner], None] = {}

    def reopened(self) -> None:
        """The bus is open again: what was owed on the old connection is forgotten, and so is who waited."""
        self._owed_until_us = self._held_until_us = 0
        self._line.clear()

    def press(self, now_us: int) -> None:
        """A unit that is well lost a cycle because the bus was busy."""
        if not self._alone:
            self._pressed_until_us = now_us + PRESSED_US

    def pressed(self, now_us: int) -> bool:
        """Whether others lose cycles."""
        return now_us < self._pressed_until_us

    def wait_until_us(self, turn: Turn[Owner], probes: bool, now_us: int) -> int:
        """0 when a turn that rested may be tried now; else when it may ask again. Who asked first is tried first.

        A turn that is no probe asks only while others lose cycles.
        """
        if not probes and not self.pressed(now_us):
            # It may stand in line from when they did: who asks no more must not keep others from being tried.
            self.leave(turn)
            return 0
        self._line.setdefault(turn)
        ready_us = max(self._owed_until_us, self._held_until_us)
        if now_us < ready_us:
            return ready_us
        if next(iter(self._line)) is not turn:
            return now_us + LINE_US
        del self._line[turn]
        # Until it is known how long this one takes, it is taken to need its whole deadline.
        self._held_until_us = now_us + self._paying_us(turn.deadline_us, now_us)
        return 0

    def leave(self, turn: Turn[Owner]) -> None:
        """A turn does not wait to be tried any more."""
        self._line.pop(turn, None)

    def tried(self, now_us: int, took_us: int) -> None:
        """A turn that had rested was tried, and it took so long."""
        self._owe(now_us, took_us)
        self._held_until_us = 0

    def failed(self, turn: Turn[Owner], rested: bool, now_us: int, took_us: int) -> bool:
        """A read failed, of a turn that had rested or at its pace; whether the turn lost more than it may."""
        if rested:
            self.tried(now_us, took_us)
            return False
        if not self.pressed(now_us):
            return False
        regained_us = round((now_us - turn.lost_at_us) * REGAINED_SHARE)
        turn.lost_us = max(0, turn.lost_us - regained_us) + took_us
        turn.lost_at_us = now_us
        costly = turn.lost_us > max(ALLOWANCE_US, 2 * took_us)
        if costly:
            # What is well and fails at times pays nothing: noise on the line must not keep others from being tried.
            self._owe(now_us, took_us)
        return costly

    def _owe(self, now_us: int, took_us: int) -> None:
        begin_us = max(now_us, self._owed_until_us) if self.pressed(now_us) else now_us
        paying_us = self._paying_us(took_us, now_us)
        self._owed_until_us = min(begin_us + paying_us, now_us + max(OWED_US_MAX, paying_us))

    def _paying_us(self, took_us: int, now_us: int) -> int:
        share = PRESSED_SHARE if self.pressed(now_us) else PROBE_SHARE
        return round(took_us * (1 / share - 1) / self._readers)
