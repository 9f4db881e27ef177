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
FAULT = ua.FourByteNodeId(ua.ObjectIds.ServiceFault_Encoding_DefaultBinary)


class NoSubscription(Exception):
    """The server has no subscription of this session any more."""


class Publisher:
    """That of one connection. `take` gets the body of each response, in their order, and may wait."""

    def __init__(self, connection: Connection, in_flight: int, take: Callable[[Any], Awaitable[None]]) -> None:
        self._connection = connection
        self._in_flight = min(max(in_flight, IN_FLIGHT_MIN), IN_FLIGHT_MAX)
        self._take = take
        self._asked: deque[asyncio.Future[Any]] = deque()
        self._acknowledged: deque[tuple[int, int]] = deque()

    def acknowledge(self, subscription: int, sequence: int) -> None:
        """Tell the server, with the next request, that it need keep this no longer."""
        self._acknowledged.append((subscription, sequence))

    async def run(self) -> None:
        """Until cancelled. Raises NotConnected when the connection is lost, NoSubscription, and what `take` raises."""
        lost = self._connection.lost
        try:
            while True:
                while len(self._asked) < self._in_flight:
                    self._asked.append(self._send())
                first = self._asked[0]
                await asyncio.wait([first, lost], return_when=asyncio.FIRST_COMPLETED)
                if not first.done():
                    raise NotConnected("", lost.result())
                self._asked.popleft()
                await self._answered(first)
        finally:
            for future in self._asked:
                future.cancel()
            self._asked.clear()

    async def _answered(self, future: "asyncio.Future[Any]") -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None or future.cancelled():
            raise NotConnected("", words(error) if error else "its request was cancelled")
        body = future.result()
        code = fault(body)
        if not code:
            await self._take(body)
        elif code == ua.StatusCodes.BadTooManyPublishRequests and self._in_flight > 1:
            self._in_flight -= 1
        elif code == ua.StatusCodes.BadNoSubscription:
            raise NoSubscription
        elif code != ua.StatusCodes.BadTimeout:
            what = f"it refuses to publish: {words(ua.UaStatusCodeError(code))}"
            raise NotConnected("", what if code not in LOST_CODES else words(ua.UaStatusCodeError(code)))

    def _send(self) -> "asyncio.Future[Any]":
        if not self._connection.open:
            raise NotConnected("", "it is closed")
        some = min(len(self._acknowledged), ACKNOWLEDGED_AT_ONCE_MAX)
        pairs = [self._acknowledged.popleft() for _ in range(some)]
        # A request waits at the server for as long as there is nothing to tell.
        return self._connection.ask(PUBLISH, acknowledging(pairs))


def fault(body: Any) -> int:
    """The StatusCode of a response that is a ServiceFault; 0 of any other."""
    data = body.copy()
    if nodeid_from_binary(data) != FAULT:
        return 0
    code: int = struct_from_binary(ua.ResponseHeader, data).ServiceResult.value
    return code or ua.StatusCodes.BadUnexpectedError
