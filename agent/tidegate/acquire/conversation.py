"""Conversation: questions to one device through its driver, for whoever wants to know what it is. It knows no protocol.

A device that nobody knows yet may hang up at a question: the next one goes over a new connection.
"""

from types import TracebackType

from tidegate.acquire.driver import Asking, Driver
from tidegate.acquire.once import close_within, open_within
from tidegate.errors import DriverError, InvalidReply, NoAnswer, NotConnected, Refused

# So many lost connections in a row mean that nobody is there who would talk to us.
LOST_MAX = 3


class Conversation:
    """One device of a driver that is nobody else's, as a context manager, which opens and closes it."""

    def __init__(self, driver: Driver, device: str) -> None:
        self._driver = driver
        self._device = device
        self._open = False
        self._lost = 0

    async def __aenter__(self) -> "Conversation":
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await close_within(self._driver)

    async def ask(self, request: bytes) -> bytes:
        """The reply to one request. A lost connection is NoAnswer, and the last of LOST_MAX in a row NotConnected.

        Raises what Asking.ask does.
        """
        if not isinstance(self._driver, Asking):
            raise DriverError(self._device, "its driver can't ask who a device is")
        if not self._open:
            await self._connect()
        try:
            reply = await self._driver.ask(self._device, request)
        except NotConnected as error:
            self._open = False
            self._lost += 1
            if self._lost >= LOST_MAX:
                raise NotConnected(self._device, f"it hangs up at every question: {error.what}") from None
            raise NoAnswer(self._device, error.what) from None
        except InvalidReply:
            # Whether the driver kept the connection is its own affair: a new one is open in any case.
            self._open, self._lost = False, 0
            raise
        except (NoAnswer, Refused):
            self._lost = 0
            raise
        self._lost = 0
        return reply

    async def _connect(self) -> None:
        await close_within(self._driver)
        await open_within(self._driver)
        self._open = True
