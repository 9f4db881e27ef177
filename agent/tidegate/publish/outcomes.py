"""Outcomes: what the broker's answer to a message means, for the cursor, the window, and the messages to come.

success ─▶ cursor, pace, suspects          refused ─▶ again later (quota), in pieces (poison), or a fault
"""

import asyncio
import logging
from collections.abc import Callable

from tidegate.errors import BufferFault, PublishError, TargetRefused
from tidegate.publish.context import Context
from tidegate.publish.faults import FAILURE, FAULTS, UNHEARD, Fault, refusal
from tidegate.publish.formats.tidegate_json import Lane
from tidegate.publish.lanes import Span
from tidegate.publish.notices import STATUS
from tidegate.publish.remedies import puback
from tidegate.publish.window import Pace, Sent, Window

log = logging.getLogger(__name__)


class Outcomes:
    """The answers of one connection. `again(spans, live)` is told what must be sent once more; `live`: its run ends.

    `fault` is why the connection must end, `culprit` the message that the broker named for it, `introduced` whether
    it took our first one, `denied` its last refusal of a message that is not data, and `denied_s` when that was.
    `window` and `pace` are the connection's; at most `window_max` messages are in flight.
    """

    def __init__(self, context: Context, again: Callable[[list[Span], bool], None]) -> None:
        self._context = context
        self._again = again
        self._name = context.settings.name
        self._loop = asyncio.get_running_loop()
        self._burying: set[asyncio.Task[None]] = set()
        self.window = Window(1)
        self.window_max = 1
        self.pace = Pace(0)
        self.fault: PublishError | None = None
        self.culprit: Sent | None = None
        self.introduced = False
        self.denied: PublishError | None = None
        self.denied_s = 0.0

    def acknowledged(self, mid: int, code: int) -> None:
        """The broker answered to the message with this identifier."""
        sent = self.window.acknowledged(mid)
        if sent is None:
            return
        if sent.what == STATUS:
            self.introduced = True
        if code >= FAILURE:
            self._refused(sent, code)
            return
        verdict = self._context.suspects.accepted(sent, self._loop.time())
        for poison in verdict.poison:
            self._burying.add(task := asyncio.create_task(self._bury(*poison)))
            task.add_done_callback(self._burying.discard)
        if sent.lane is None:
            return
        if verdict.again:
            self._again(verdict.again, False)
        self._context.counts.unheard += code == UNHEARD
        self._context.rate.accepted(self._loop.time())
        if not self._context.suspects.careful:
            self.window.limit = self.window_max
        if sent.lane != Lane.LIVE:
            self.pace.acknowledged(sent, self._loop.time())
        if self.window.complete(sent):
            frames = sent.last - sent.first + 1
            self._context.counts.acknowledged += frames
            if sent.lane is Lane.REPLAY:
                self._context.counts.replayed += frames
                self._context.orders.acknowledged(sent.epoch, sent.first, sent.last)
            self._context.buffer.acknowledge(self._name, sent.epoch, (sent.first, sent.last), self.window_max)

    def _refused(self, sent: Sent, code: int) -> None:
        self._context.counts.refused += 1
        fault = refusal(f"the broker refused {sent.what}", code, puback(code))
        if sent.lane is None:
            # Data can be delivered and proven without it: every message tells the last number.
            log.warning("target %s: %s", self._name, fault)
            self.denied, self.denied_s = fault, self._loop.time()
        elif FAULTS.get(code) in (Fault.POISON, Fault.QUOTA):
            self._send_again(sent, code, fault)
        elif self.fault is None:
            self.fault = fault
            self.culprit = sent if not isinstance(fault, TargetRefused) else None

    def _send_again(self, sent: Sent, code: int, fault: PublishError) -> None:
        """What was refused goes another time: in pieces, to find what the broker can't take, or later."""
        now_s, orders = self._loop.time(), self._context.orders
        if FAULTS[code] is Fault.QUOTA:
            pause_s = self._context.rate.exceeded(now_s)
            log.warning("target %s: %s; nothing is sent for %.0f s", self._name, fault, pause_s)
            again = [] if sent.lane is Lane.REPLAY else [(sent.epoch, sent.first, sent.last)]
            if sent.lane is Lane.REPLAY:
                orders.put_off(sent.epoch, sent.first, sent.last)
        else:
            if sent.lane is Lane.REPLAY:
                orders.refused(sent.epoch, sent.first, sent.last)
            again = self._context.suspects.refused(sent, now_s)
            if self._context.suspects.systemic:
                self.fault = TargetRefused(f"the broker refuses whatever it is sent: {fault}", code)
        self._again(again, sent.lane is Lane.LIVE)

    async def _bury(self, epoch: str, number: int) -> None:
        """A frame that this broker never takes: the ledger says so, and the cursor goes on."""
        name = self._name
        try:
            await self._context.buffer.letters.bury(name, epoch, number)
        except BufferFault as error:
            # It is still owed, so that the next connection finds it again.
            log.error("target %s: number %d of epoch %s stays owed: %s", name, number, epoch, error)
            return
        self._context.counts.dead_letters += 1
        log.error(
            "target %s: the broker never takes number %d of epoch %s: it is a dead letter now, kept in the buffer; "
            "`tidegate buffer letters` shows it", name, number, epoch,
        )  # fmt: skip
