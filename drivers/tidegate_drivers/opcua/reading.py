"""Reading: values of items by the Read service, for servers that can't subscribe, and for one look.

The requests are made once a connection; only their headers differ from one cycle to the next.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from tidegate.model.frame import Frame
from tidegate.model.status import is_bad
from tidegate_drivers.opcua import fallback
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.framer import Framer
from tidegate_drivers.opcua.items import Item
from tidegate_drivers.opcua.limits import batches
from tidegate_drivers.opcua.requests import READ, reading
from tidegate_drivers.opcua.words import service_error


class Reading:
    """The cyclic read of some items of a group over one connection. `nodes` are NodeIds, or StatusCodes why not.

    `unread` are tags that have nothing to read.
    """

    def __init__(
        self, connection: Connection, framer: Framer, items: Sequence[Item], nodes: Sequence[Any],
        which: Sequence[int], fast: bool, unread: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self._connection = connection
        self._framer = framer
        self._fast = fast
        self._unread = unread
        self._missing = [(i, nodes[i]) for i in which if isinstance(nodes[i], int)]
        there = [i for i in which if not isinstance(nodes[i], int)]
        self._requests = [
            (some, bytes(items[i].kind for i in some),
             reading([nodes[i] for i in some], [items[i].place.index_range for i in some]))
            for some in batches(there, connection.limits.read)
        ]  # fmt: skip

    async def read(self) -> list[Frame]:
        """A frame a request, and one of what has no node. Raises asyncua's errors, ValueError and OSError."""
        frames: list[Frame | None] = [self._framer.bad(self._missing, self._unread)]
        for some, kinds, parameters in self._requests:
            timeout_s = self._connection.settings.timeout_s
            async with asyncio.timeout(timeout_s):
                buffer = await self._connection.ask(READ, parameters, timeout_s)
            answer = fallback.read(buffer, kinds, self._fast)
            if is_bad(answer.result):
                raise service_error(answer.result)
            if answer.count != len(some):
                raise ValueError(f"{answer.count} values for {len(some)} nodes")
            frames.append(self._framer.read(some, answer.columns, buffer._data))
        return [frame for frame in frames if frame is not None]
