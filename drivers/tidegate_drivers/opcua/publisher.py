"""Publisher: keeps some PublishRequests with the server and hands on what it answers, one after the other.

It acknowledges what it is told to, and knows neither subscriptions nor values (OPC 10000-4 §5.14.5).

    request ──▶ server … response ──▶ take(body)      as many are with the server as it takes
       ▲                                  │
       └── acknowledgements ◀── committed ┘
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from tidegate.errors import NotConnected
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.requests import PUBLISH, acknowledging
from tidegate_drivers.opcua.words import LOST_CODES, words

IN_FLIGHT_MIN, IN_FLIGHT_MAX = 2, 16
ACKNOWLEDGED_AT_ONCE_MAX = 1000
AGAIN_S = 0.5
FAULT = ua.FourByteNodeId(ua.ObjectIds.ServiceFault_Encoding_DefaultBinary)


class NoSubscription(Exception):
    """The server has no subscription of this session any more."""


class Publisher:
    """That of one connection. `take` gets the body of each response, in the order in which they came, and may wait.

    `owed` are acknowledgements (subscription, number) for the next requests; those that nobody answered are put back.
    """

    def __init__(
        self,
        connection: Connection,
        in_flight: int,
        take: Callable[[Any], Awaitable[None]],
        owed: deque[tuple[int, int]],
    ) -> None:
        self._connection = connection
        self._in_flight = min(max(in_flight, IN_FLIGHT_MIN), IN_FLIGHT_MAX)
        self._take = take
        self._owed = owed
        # What each request that is with the server acknowledges; and those that are answered, but not taken yet.
        self._asked: dict[asyncio.Future[Any], list[tuple[int, int]]] = {}
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._news = asyncio.Event()
        self._taking = False

    @property
    def busy(self) -> bool:
        """Whether answers wait until somebody has taken the one before."""
        return bool(self._answers) or self._taking

    def acknowledge(self, subscription: int, sequence: int) -> None:
        """Tell the server, with the next request, that it need keep this no longer."""
        self._owed.append((subscription, sequence))

    async def run(self) -> None:
        """Until cancelled. Raises NotConnected when the connection is lost, NoSubscription, and what `take` raises."""
        lost = self._connection.lost
        lost.add_done_callback(self._wake)
        try:
            while True:
                while len(self._asked) < self._in_flight and self._connection.open:
                    self._send()
                while not self._answers:
                    if lost.done():
                        raise NotConnected("", lost.result())
                    self._news.clear()
                    await self._news.wait()
                first = self._answers.popleft()
                acknowledged, done = self._asked.pop(first), False
                try:
                    done = await self._answered(first)
                finally:
                    self._owed.extend(() if done else acknowledged)
        finally:
            lost.remove_done_callback(self._wake)
            for future, acknowledged in self._asked.items():
                self._owed.extend(acknowledged)
                if not future.cancel() and not future.cancelled():
                    # What failed is known from the first that did: that nobody asked the others is no error.
                    future.exception()
            self._asked.clear()
            self._answers.clear()

    async def _answered(self, future: "asyncio.Future[Any]") -> bool:
        """Hand an answer on; whether the server took the request for one, with its acknowledgements."""
        error = None if future.cancelled() else future.exception()
        if error is not None or future.cancelled():
            raise NotConnected("", words(error) if error else "its request was cancelled")
        body = future.result()
        code = fault(body)
        if not code:
            self._taking = True
            try:
                await self._take(body)
            finally:
                self._taking = False
            return True
        if code == ua.StatusCodes.BadTooManyPublishRequests and self._in_flight > 1:
            self._in_flight -= 1
        elif code == ua.StatusCodes.BadNoSubscription:
            raise NoSubscription
        elif code == ua.StatusCodes.BadTimeout:
            # It waited long enough, it says. One that says so at once must not keep everybody busy.
            await asyncio.sleep(AGAIN_S)
        else:
            what = f"it refuses to publish: {words(ua.UaStatusCodeError(code))}"
            raise NotConnected("", what if code not in LOST_CODES else words(ua.UaStatusCodeError(code)))
        return False

    def _send(self) -> None:
        some = min(len(self._owed), ACKNOWLEDGED_AT_ONCE_MAX)
        pairs = [self._owed.popleft() for _ in range(some)]
        # A request waits at the server for as long as there is nothing to tell.
        future = self._connection.ask(PUBLISH, acknowledging(pairs))
        self._asked[future] = pairs
        future.add_done_callback(self._arrived)

    def _arrived(self, future: "asyncio.Future[Any]") -> None:
        if future in self._asked:
            self._answers.append(future)
            self._news.set()

    def _wake(self, _: object) -> None:
        self._news.set()


def fault(body: Any) -> int:
    """The StatusCode of a response that is a ServiceFault; 0 of any other."""
    data = body.copy()
    if nodeid_from_binary(data) != FAULT:
        return 0
    code: int = struct_from_binary(ua.ResponseHeader, data).ServiceResult.value
    return code or ua.StatusCodes.BadUnexpectedError
