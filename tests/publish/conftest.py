"""A target in the test's own loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from tests.fakes.buffer import MemoryBuffer
from tidegate.clock import Clock
from tidegate.publish.settings import TargetSettings
from tidegate.publish.target import Target

Serving = Callable[..., contextlib.AbstractAsyncContextManager[Target]]


@contextlib.asynccontextmanager
async def _serving(url: str, buffer: MemoryBuffer, **settings: Any) -> AsyncIterator[Target]:
    """A running target called "cloud" of gateway "g1"; pauses are short unless the test says otherwise."""
    quick: dict[str, Any] = {"back_off_s_min": 0.1, "back_off_s_max": 0.3, "head_interval_s": 0.5}
    made = TargetSettings("cloud", url, **{**quick, **settings})
    clock = Clock()
    clock.boot = 3
    target = Target(made, "g1", buffer, clock, lambda: (1, 0), "0.1", "c0ffee", Random(1))  # type: ignore[arg-type]
    task = asyncio.create_task(target.run())
    try:
        yield target
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def serving() -> Serving:
    """Makes a running target: `async with serving(url, buffer, window=4) as target`."""
    return _serving
