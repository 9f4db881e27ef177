"""Replay: the lane of what is sent once more, because a subscriber asked for it or somebody at this box ordered it.

request ─▶ sort: gone, still on its way, kept ─▶ Paged ─▶ messages ─▶ answer
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine

from tidegate.buffer.buffer import Buffer
from tidegate.proof import Ranges
from tidegate.publish.feed import Batch
from tidegate.publish.formats.tidegate_json import REQUEST_RANGES_MAX, Answer, Request
from tidegate.publish.lanes import Paged
from tidegate.publish.orders import REPLAY_FRAMES_MAX, Orders
from tidegate.publish.sorting import sort

REQUESTS_MAX = 8


class Replay:
    """The replay lane: requests of subscribers, one after the other, each with its answer after its last message;
    then orders, whose answers stay here.
    """

    def __init__(self, paged: Paged, buffer: Buffer, target: str, wake: Callable[[], None], orders: Orders) -> None:
        self.paged = paged
        self._buffer = buffer
        self._target = target
        self._wake = wake
        self._orders = orders
        self._requests: deque[Request] = deque()
        self._answer: Answer | None = None
        self._wanted = Ranges()
        self._task: asyncio.Task[Answer | None] | None = None
        orders.begin_again()

    @property
    def idle(self) -> bool:
        """Whether no request is waiting or being served."""
        return not self._requests and self._answer is None and self._task is None

    def ask(self, request: Request) -> Answer | None:
        """Queue a request; its answer at once when too many wait already."""
        if len(self._requests) >= REQUESTS_MAX:
            return Answer(request, refused="rate")
        self._requests.append(request)
        return None

    def take(self, bytes_max: int) -> Batch | Answer | None:
        """The next message or answer; None when there is none now. Raises as Paged.take does."""
        if self._task is not None:
            if not self._task.done():
                return None
            task, self._task = self._task, None
            answer = task.result()
            if answer is not None and not self._orders.answered(answer):
                return answer
        if self._answer is None:
            request = self._requests.popleft() if self._requests else self._orders.next()
            if request is not None:
                self._start(self._begin(request))
            return None
        batch = self.paged.take(bytes_max)
        if batch is not None:
            self._answer.sent.add(batch.first, batch.last)
            self._orders.handed_over(batch.first, batch.last)
        elif self.paged.idle:
            answer, self._answer = self._answer, None
            self._start(self._finish(answer))
        return batch

    def _start(self, step: Coroutine[None, None, Answer | None]) -> None:
        self._task = asyncio.create_task(step)
        self._task.add_done_callback(lambda _: self._wake())

    async def _begin(self, request: Request) -> None:
        """Sort what is wanted: gone, still on its way for the first time, or to be sent again."""
        found = await sort(self._buffer, self._target, request.epoch, request.want)
        self._wanted = found.kept.head(REPLAY_FRAMES_MAX, REQUEST_RANGES_MAX)
        for first, last in self._wanted:
            self.paged.owe(request.epoch, first, last)
        self._answer = Answer(request, gone=found.gone, pending=found.pending)

    async def _finish(self, answer: Answer) -> Answer:
        """What was to be sent and could not be read has gone in the meantime, or just now turned out to be."""
        missing, self._wanted = self._wanted.without(answer.sent), Ranges()
        if missing:
            gone = await self._buffer.gone(self._target, answer.request.epoch, missing)
            answer.gone += [(ranges, why.value) for ranges, why in gone]
        return answer

    def close(self) -> None:
        """Stop whatever is under way."""
        self.paged.close()
        if self._task is not None:
            self._task.cancel()
