"""ShapedSink: what drivers deliver to. It shapes what they bring and hands it to the buffer.

It also knows under which tag table the frames of each device come: the configured one, or that which a driver filled
in with what its machine says of its tags.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from tidegate.buffer.buffer import Buffer, Committed
from tidegate.model.device import Device
from tidegate.model.frame import Frame, Kind
from tidegate.model.tag import TagTable
from tidegate.shape.recipe import recipe
from tidegate.shape.shaper import Shaper

# How much of the buffer is read at a time for a driver that asks what was committed.
PAGE_BYTES = 1 << 20


class ShapedSink:
    """The sink of all drivers of a gateway. What is lost on the way makes the shaper forget."""

    def __init__(self, buffer: Buffer) -> None:
        self._shaper = Shaper([])
        self._buffer = buffer
        self._devices: dict[str, Device] = {}
        # Of devices whose machines filled their tables in: the configured device, and as it is now.
        self._adopted: dict[str, tuple[Device, Device]] = {}

    def know(self, devices: Sequence[Device]) -> None:
        """Frames come from these devices from now on. What was adopted for one that stays as it was still counts."""
        self._devices = {device.name: device for device in devices}
        self._adopted = {n: pair for n, pair in self._adopted.items() if _alike(pair[0], self._devices.get(n))}
        used = [*devices, *(now for _, now in self._adopted.values())]
        for device in used:
            self._buffer.know(device.published)
        self._shaper.change([device.table for device in used], [r for d in used if (r := recipe(d)) is not None])

    def adopt(self, device: str, table: TagTable) -> None:
        """See acquire.driver.Sink."""
        configured = self._devices[device]
        computed = configured.computed
        if computed is not None:
            formulas = computed.tags[len(configured.table.tags) :]
            computed = replace(computed, tags=(*table.tags, *formulas))
        now = replace(configured, table=table, computed=computed)
        self._adopted[device] = configured, now
        self.know(list(self._devices.values()))

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """See acquire.driver.Sink. A frame in which nothing is worth reporting is done at once, with number 0."""
        shaped = self._shaper.shape(frame)
        if shaped is None:
            nothing: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            nothing.set_result(0)
            return nothing
        committed = await self._buffer.put(shaped)
        if committed.done() and committed.exception() is not None:
            # It was shed: nobody was told of these values, so that the next ones count as changed.
            self._shaper.forget(frame.device)
        return committed

    @property
    def place(self) -> tuple[str, int]:
        """See acquire.driver.Sink."""
        return self._buffer.epoch, self._buffer.last

    async def committed(self, device: str, epoch: str, number: int) -> AsyncIterator[Frame]:
        """See acquire.driver.Sink. Raises BufferFault when the disk refuses just now."""
        last = next((extent.last for extent in self._buffer.extents() if extent.epoch == epoch), 0)
        while number < last:
            page = await self._buffer.read(epoch, number + 1, last, PAGE_BYTES)
            for _, frame in page.frames:
                if frame.device == device and frame.kind == Kind.DATA:
                    yield frame
            number = max(page.upto, number + 1)

    def follow(self, committed: Committed) -> None:
        """After a gap, whoever told it, the next values are reported whatever they are. Gap frames lead a commit."""
        for frame in committed.frames:
            if frame.kind != Kind.GAP:
                return
            self._shaper.forget(frame.device or None)


def _alike(one: Device, other: Device | None) -> bool:
    """Whether a device stays as it was; in which row of the list it stands does not matter."""
    return other is not None and replace(one, row=None) == replace(other, row=None)
