"""Counters of asyncua's server: Int32 variables s=c00000, ... that go up by one, with a log of every change.

A line "c00000 17 1790000000123000" (name, value, source time in µs) is written before a client can see the change.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta

from asyncua import Server, ua

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Behind by more than this is not caught up: the load is what it is.
BEHIND_S_MAX = 1.0


class Counters:
    """The variables of one namespace, below one folder."""

    def __init__(self, server: Server, index: int, log: str) -> None:
        self._server, self._index = server, index
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644) if log else None
        self._ids: dict[str, ua.NodeId] = {}
        self._values: dict[str, int] = {}
        self._last_us = 0
        self._task: asyncio.Task[None] | None = None
        self.skew_ms = 0
        self.changes = 0

    async def make(self, names: list[str], history: int = 0) -> None:
        """Add them, with history for the first `history`. One that was deleted goes on where it was."""
        objects = self._server.nodes.objects
        folder_id = ua.NodeId("counters", self._index)
        folder = self._server.get_node(folder_id)
        if not self._values:
            folder = await objects.add_folder(folder_id, ua.QualifiedName("Counters", self._index))
        for at, name in enumerate(names):
            if name in self._ids:
                raise ValueError(f"{name} is there already")
            node_id, browse_name = ua.NodeId(name, self._index), ua.QualifiedName(name, self._index)
            value = self._values.setdefault(name, 0)
            node = await folder.add_variable(node_id, browse_name, value, ua.VariantType.Int32)
            self._ids[name] = node_id
            if at < history:
                await self._server.historize_node_data_change(node, period=None, count=100_000)
        await self._set(names)

    async def delete(self, names: list[str]) -> None:
        """Take them out of the address space."""
        for name in names:
            await self._server.delete_nodes([self._server.get_node(self._ids.pop(name))])

    async def step(self) -> None:
        """One more for each."""
        for name in self._ids:
            self._values[name] += 1
        await self._set(list(self._ids))

    async def _set(self, names: list[str]) -> None:
        now = time.time_ns() // 1000 + self.skew_ms * 1000
        # Two changes of a node never have the same time, but where the clock was shifted back.
        now = now if self.skew_ms else max(now, self._last_us + 1)
        self._last_us = 0 if self.skew_ms else now
        if self._log is not None:
            os.write(self._log, "".join(f"{name} {self._values[name]} {now}\n" for name in names).encode())
        at = EPOCH + timedelta(microseconds=now)
        for name in names:
            value = ua.Variant(self._values[name], ua.VariantType.Int32)
            found = ua.DataValue(value, ua.StatusCode(0), SourceTimestamp=at, ServerTimestamp=at)
            await self._server.iserver.write_attribute_value(self._ids[name], found)
        self.changes += len(names)

    def start(self, hz: float) -> None:
        """From now on `hz` steps a second."""
        self.stop()
        self._task = asyncio.create_task(self._run(1 / hz))

    def stop(self) -> None:
        """No more steps by itself."""
        if self._task is not None:
            self._task.cancel()
        self._task = None

    async def _run(self, period_s: float) -> None:
        due = time.monotonic()
        while True:
            due += period_s
            now = time.monotonic()
            due = now if now - due > BEHIND_S_MAX else due
            await asyncio.sleep(max(0.0, due - now))
            await self.step()


def names_of(counters: int) -> list[str]:
    """c00000, c00001, ..."""
    return [f"c{i:05}" for i in range(counters)]
