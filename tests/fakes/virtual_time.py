"""An asyncio loop on virtual time: hours pass in seconds, and the same seed gives the same trace. No real sockets."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tidegate.clock import BUILT_US, Clock

Result = TypeVar("Result")


class _JumpingSelector(selectors.SelectSelector):
    """Where a real selector would wait for the next timer, this one lets the loop's time jump there."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout:
            self.loop.now_s += timeout
            self.loop.jumps += 1
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time moves only when nothing is left to do; `jumps` counts how often a real one would have slept."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.jumps = 0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s


def run_virtually(main: Callable[[Clock], Coroutine[Any, Any, Result]]) -> Result:
    """Run `main(clock)` on virtual time; the clock's wall and monotonic time follow the loop."""
    loop = VirtualLoop()
    clock = Clock(lambda: BUILT_US + round(loop.now_s * 1e6), lambda: round(loop.now_s * 1e6))
    clock.boot = 1
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main(clock))
