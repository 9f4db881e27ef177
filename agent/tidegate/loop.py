"""The event loop that the gateway runs on: uvloop where there is a wheel for it, else asyncio's own."""

import asyncio
import math
import os
import time
from collections.abc import Callable
from contextvars import Context
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVarTuple

Arguments = TypeVarTuple("Arguments")

# As with the twins: it chooses what is pure.
USED = find_spec("uvloop") is not None and os.environ.get("TIDEGATE_PURE") != "1"

if TYPE_CHECKING or USED:
    import uvloop

    class Loop(uvloop.Loop):
        """uvloop with the time as it is, and timers that never fire early.

        Its own time is that of when it last woke up, in whole ms, and its timers round to the nearest: a pause of
        1.75 ms between two frames of a serial line could be one of 1 ms.
        """

        def time(self) -> float:
            """Seconds of the monotonic clock."""
            return time.monotonic()

        def call_later(
            self,
            delay: float,
            callback: Callable[[*Arguments], object],
            *args: *Arguments,
            context: Context | None = None,
        ) -> asyncio.TimerHandle:
            """Call back after `delay` seconds, at most 1 ms late."""
            if delay <= 0:
                return super().call_later(0, callback, *args, context=context)
            return self.call_at(time.monotonic() + delay, callback, *args, context=context)

        def call_at(
            self,
            when: float,
            callback: Callable[[*Arguments], object],
            *args: *Arguments,
            context: Context | None = None,
        ) -> asyncio.TimerHandle:
            """Call back at `when`, a time of `time`, at most 1 ms late."""
            # It counts from the whole ms that has begun. A handle without delay would have no time.
            delay_ms = max(1, math.ceil(when * 1000) - math.floor(time.monotonic() * 1000))
            return super().call_later(delay_ms / 1000, callback, *args, context=context)


def name() -> str:
    """Which one it is: `uvloop` or `asyncio`."""
    return "uvloop" if USED else "asyncio"


def new() -> asyncio.AbstractEventLoop:
    """A new one."""
    return Loop() if USED else asyncio.new_event_loop()
