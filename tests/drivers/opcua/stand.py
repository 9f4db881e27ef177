"""A driver, the server that it reads, and a feed that keeps what it is given and commits when it is told to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from tidegate.clock import Clock
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame, Reading, readings
from tidegate.model.gap import Gap
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.opcua.driver import OpcuaDriver

WAIT_S = 30.0
EPOCH = "e" * 16


class Feed:
    """Keeps frames, gaps and tables. Unless it `commits`, frames wait until `commit` is called."""

    def __init__(self, commits: bool = True) -> None:
        self.frames: list[Frame] = []
        self.gaps: list[Gap] = []
        self.tables: dict[bytes, TagTable] = {}
        self.heard_of: dict[str, int] = {}
        self.commits = commits
        self._waiting: list[asyncio.Future[int]] = []
        self._done = 0

    @property
    def place(self) -> tuple[str, int]:
        return EPOCH, self._done

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        self.frames.append(frame)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        if self.commits:
            self.commit()
        return future

    def commit(self) -> None:
        """Everything that was put stands now."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            self._done += 1
            if not future.done():
                future.set_result(self._done)

    def drop(self) -> None:
        """What does not stand yet is gone, as it is when the gateway is killed."""
        self.frames, self._waiting = self.frames[: self._done], []

    def tell(self, gap: Gap) -> None:
        self.gaps.append(gap)

    def heard(self, device: str) -> None:
        self.heard_of[device] = self.heard_of.get(device, 0) + 1

    def adopt(self, device: str, table: TagTable) -> None:
        self.tables[table.hash] = table

    async def committed(self, device: str, epoch: str, number: int) -> AsyncIterator[Frame]:
        for frame in self.frames[number : self._done]:
            if frame.device == device:
                yield frame

    def readings(self, device: Device) -> list[Reading]:
        """All readings of a device, in the order in which they came."""
        tables = {device.table.hash: device.table, **self.tables}
        return [reading for frame in self.frames for reading in readings(frame, tables[frame.table])]


def device(
    url: str, tags: Sequence[tuple[str, str, Type] | Tag], interval_s: float = 0.1, name: str = "plc", **options: str
) -> Device:
    """A device whose tags (name, address, type) are all in one group."""
    made = tuple(tag if isinstance(tag, Tag) else Tag(tag[0], tag[2], tag[2], tag[1], row=2) for tag in tags)
    group = Group(name, "default", interval_s, 10.0, tuple(range(len(made))))
    return Device(name, "opcua", url, None, TagTable(name, made), (group,), options)


@contextlib.asynccontextmanager
async def delivering(made: Device, feed: Feed, folder: Path | None = None) -> AsyncIterator[OpcuaDriver]:
    """A driver that delivers, opened anew whenever its connection is lost, as the bus does it."""
    driver = OpcuaDriver([made], Clock())
    if folder is not None:
        driver.keep(folder)
    groups = [group for group in made.groups if group.name in driver.told(made)]

    async def run() -> None:
        while True:
            with contextlib.suppress(Exception):
                await driver.open()
                await driver.subscribe(groups, feed)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    try:
        yield driver
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await driver.close()


async def until(what: Callable[[], object], deadline_s: float = WAIT_S) -> None:
    """Wait until it is so; fails past the deadline."""
    begun_s = time.monotonic()
    while not what():
        assert time.monotonic() - begun_s < deadline_s, "it did not come to pass"
        await asyncio.sleep(0.02)
