"""Orders: writes of one bus that wait for their turn, which is before all reads. It knows no driver and no bus.

waiting ──taken──▶ under way ──▶ told, whatever became of it
   └── its deadline, or the bus is gone ──▶ told: expired, or not sent; and never sent after that
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.model.written import Result, Written

# Who has more to write than this is told so: an order that waits long is one that nobody wants any more.
ORDERS_MAX = 64
LATE = "it waited for its turn until its deadline was over"


@dataclass(eq=False, slots=True)
class Order:
    """One write: the device's name, the index of the tag, the value, and until when it may be sent (monotonic µs).

    `barred` says why its device may not be written to; while it waited its device may have become another.
    """

    device: str
    tag: int
    value: object
    until_us: int
    told: "asyncio.Future[Written]"
    barred: Callable[[], str]
    taken: bool = False

    def tell(self, written: Written) -> None:
        """It has come to an end; only the first one counts."""
        if not self.told.done():
            self.told.set_result(written)


class Orders:
    """In the order in which they came, at most ORDERS_MAX."""

    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def give(
        self, device: str, tag: int, value: object, within_s: float, now: Callable[[], int], wake: Callable[[], None],
        barred: Callable[[], str] = str,
    ) -> Written:  # fmt: skip
        """Wait for what becomes of a write. `now` gives monotonic µs, `wake` is called when it waits
        for its turn, which one too many never does.
        """
        if len(self._waiting) >= ORDERS_MAX:
            return Written(Result.NOT_SENT, f"{ORDERS_MAX} writes wait for this bus already")
        told: asyncio.Future[Written] = asyncio.get_running_loop().create_future()
        order = Order(device, tag, value, now() + round(within_s * 1e6), told, barred)
        self._waiting.append(order)
        wake()
        try:
            async with asyncio.timeout(within_s):
                return await asyncio.shield(told)
        except TimeoutError:
            if not order.taken:
                order.tell(Written(Result.EXPIRED, LATE))
            # Else it is under way, and its end is near: the driver keeps the deadline, and the reader sees to it.
            return await asyncio.shield(told)
        except asyncio.CancelledError:
            # Nobody waits for it any more. What is under way can't be called back.
            if not order.taken:
                told.cancel()
            raise

    def take(self, now_us: int) -> Order | None:
        """The next one that may still be sent; None when there is none. Those that are too late are told."""
        while self._waiting:
            order = self._waiting.popleft()
            if order.told.done():
                continue
            if now_us >= order.until_us:
                order.tell(Written(Result.EXPIRED, LATE))
                continue
            if why := order.barred():
                order.tell(Written(Result.FORBIDDEN, why))
                continue
            order.taken = True
            return order
        return None

    def end(self, why: str) -> None:
        """The bus is gone: none of them is sent."""
        waiting, self._waiting = self._waiting, deque()
        for order in waiting:
            order.tell(Written(Result.NOT_SENT, why))
