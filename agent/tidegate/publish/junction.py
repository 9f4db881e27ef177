"""Junction: where the three lanes of one connection meet. Which data message goes next, and what is owed to which lane.

commit ──▶ live ────────┐
buffer ──▶ backlog ─────┼──▶ the next message: live first, then replay and backlog in turn, as far as their pace goes
request ─▶ replay ──────┘

It hands nothing over and sees no answer.
"""

import asyncio
import logging
from collections.abc import Callable

from tidegate.buffer.buffer import Committed
from tidegate.publish.context import Context
from tidegate.publish.feed import Batch, Feed
from tidegate.publish.formats.tidegate_json import Answer, Lane, Request
from tidegate.publish.lanes import Live, Paged, Span
from tidegate.publish.replay import Replay
from tidegate.publish.window import Pace, Window

log = logging.getLogger(__name__)

# Places in the window that backlog and replay leave free for live data, where the window is not too small for that.
LIVE_PLACES = 2
SMALL_WINDOW = 4
# Run numbers must not meet those of an earlier start of the gateway, and stay readable: start 3, its 7th run.
RUNS_IN_BOOT = 10_000_000


class Junction:
    """The lanes of one connection, from the moment at which it may carry data.

    What is committed from now on is live, all before it that is owed is backlog. `window` and `pace` are the
    connection's, `piece_bytes_max` is what fits one of its messages; `wake` is called when there may be something new.
    """

    def __init__(
        self, context: Context, window: Window, pace: Pace, piece_bytes_max: int, wake: Callable[[], None]
    ) -> None:
        buffer, tables, name = context.buffer, context.tables, context.settings.name
        self._context = context
        self._buffer = buffer
        self._window = window
        self._pace = pace
        self._piece_bytes_max = piece_bytes_max
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._replay_first = False
        self._backlog = Paged(self._feed(Lane.BACKLOG), buffer, tables, wake)
        replay = Paged(self._feed(Lane.REPLAY), buffer, tables, wake)
        self._replay = Replay(replay, buffer, name, wake, context.orders)
        self._live = Live(self._feed(Lane.LIVE), tables, buffer.epoch, buffer.last)
        self._unlisten = buffer.listen(self._committed)
        for extent in buffer.extents():
            last = buffer.last if extent.epoch == buffer.epoch else extent.last
            first = max(extent.first, buffer.since(name, extent.epoch))
            condemned = context.suspects.condemned(extent.epoch)
            for a, b in buffer.cursor(name, extent.epoch).holes(first, last).without(condemned):
                self._backlog.owe(extent.epoch, a, b)

    @property
    def drained(self) -> bool:
        """Whether everything that is owed is handed over."""
        return self._backlog.idle and not len(self._live.feed)

    @property
    def oldest_live_s(self) -> float | None:
        """When the oldest frame of the live run was committed that is not yet acknowledged; None when there is none."""
        feed = self._live.feed
        since_s = [sent.since_s for sent in self._window if sent.lane == Lane.LIVE and sent.run == feed.run]
        if feed.oldest_s is not None:
            since_s.append(feed.oldest_s)
        return min(since_s, default=None)

    def owe(self, spans: list[Span]) -> None:
        """These numbers have to be sent, again or after all."""
        for span in spans:
            self._backlog.owe(*span)

    def end_live(self) -> None:
        """The live run ends: what it has not sent is the backlog's now."""
        self.owe(self._live.end())

    def ask(self, request: Request) -> Answer | None:
        """A subscriber asks for numbers again; the answer at once when too many ask."""
        return self._replay.ask(request)

    async def next(self) -> Batch | Answer | None:
        """The next data message, or the answer that follows the last one of a request; None when there is none now."""
        live, backlog = self._live, self._backlog
        # Another commit may bring more of them while some are fetched.
        while live.unknown:
            unknown, live.unknown = live.unknown, set()
            await self._context.tables.learn(unknown)
        # What is learned about sizes counts at once.
        most = min(
            self._piece_bytes_max, self._context.suspects.message_bytes_max - self._context.format.envelope_bytes
        )
        batch = live.take(most)
        if batch is not None:
            return batch
        reserve = LIVE_PLACES if self._window.limit >= SMALL_WINDOW else 0
        if self._window.free <= reserve or self._window.paged_bytes >= self._pace.limit:
            return None
        bytes_max = min(most, self._pace.message_bytes)
        self._replay_first = not self._replay_first
        if self._replay_first:
            return self._replay.take(bytes_max) or backlog.take(bytes_max)
        return backlog.take(bytes_max) or self._replay.take(bytes_max)

    def close(self) -> None:
        """Listen and read no more."""
        self._unlisten()
        self._backlog.close()
        self._replay.close()

    def _feed(self, lane: Lane) -> Feed:
        context = self._context
        return Feed(
            lane, context.format, context.tables.known, self._new_run, self._spoiled, self._piece_bytes_max,
            context.buffer.time_known, context.suspects.bound,
        )  # fmt: skip

    def _new_run(self) -> int:
        self._context.counts.runs += 1
        return self._context.clock.boot * RUNS_IN_BOOT + self._context.counts.runs

    def _spoiled(self, epoch: str, number: int, why: str) -> None:
        name = self._context.settings.name
        self._context.counts.spoiled += 1
        log.error("target %s: number %d of epoch %s is not sent: %s", name, number, epoch, why)

    def _committed(self, committed: Committed) -> None:
        self.owe(self._live.committed(committed, self._loop.time()))
        self._wake()
