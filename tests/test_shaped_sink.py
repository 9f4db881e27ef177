"""Between driver and buffer: what was dropped on the way is reported again, though it did not change."""

import asyncio
from dataclasses import replace
from struct import Struct
from typing import cast

import pytest

from tidegate.buffer.buffer import Buffer, Committed
from tidegate.errors import Shed
from tidegate.model.device import Device, Group
from tidegate.model.frame import I64, U32, Frame, Kind
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.shaped_sink import ShapedSink

LEVEL = Tag("level", Type.INT64, Type.INT64, deadband=0.0)
TABLE = TagTable("m", (LEVEL,))
DEVICE = Device("m", "fake", "a", None, TABLE, (Group("m", "default", 1.0, 1.0, (0,)),), {})


class Narrow:
    """A buffer that has no room for its first frame."""

    def __init__(self) -> None:
        self.put_frames: list[Frame] = []
        self.known: list[bytes] = []

    def know(self, table: TagTable) -> None:
        self.known.append(table.hash)

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        self.put_frames.append(frame)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if len(self.put_frames) == 1:
            future.set_exception(Shed("no room"))
        else:
            future.set_result(len(self.put_frames))
        return future


def frame(value: int, table: TagTable = TABLE) -> Frame:
    return Frame("m", table.hash, 1, 1, 1, 1, Struct("<I").pack(0), I64.pack(1), U32.pack(0), I64.pack(value))


def test_a_value_that_was_shed_is_reported_again() -> None:
    buffer = Narrow()

    async def main() -> list[bool]:
        sink = ShapedSink(cast("Buffer", buffer))
        sink.know([DEVICE])
        ends = [await sink.put(frame(5)) for _ in range(3)]
        return [end.exception() is None for end in ends]

    assert [False, True, True] == asyncio.run(main())
    assert len(buffer.put_frames) == 2


@pytest.mark.parametrize("device", ["m", None], ids=["its own", "of all devices"])
def test_after_a_gap_the_value_is_reported_again(device: str | None) -> None:
    buffer, gap = Narrow(), Gap(Why.EVICTED, 0, 1, device=device)
    buffer.put_frames.append(frame(0))
    told = Frame(
        gap.device or "", bytes(8), 0, 1, 1, 1, b"", b"", b"", b"", gap.encode(), kind=Kind.GAP
    )  # fmt: skip

    async def main() -> None:
        sink = ShapedSink(cast("Buffer", buffer))
        sink.know([DEVICE])
        await sink.put(frame(5))
        await sink.put(frame(5))
        sink.follow(Committed("e" * 16, 1, 2, (told, frame(5))))
        await sink.put(frame(5))

    asyncio.run(main())

    assert len(buffer.put_frames) == 3


def test_frames_come_under_the_table_that_a_driver_filled_in_until_the_device_is_another() -> None:
    buffer = Narrow()
    buffer.put_frames.append(frame(0))
    filled = TagTable("m", (replace(LEVEL, unit="mm"), Tag("more", Type.INT64, Type.INT64)))

    async def main() -> None:
        sink = ShapedSink(cast("Buffer", buffer))
        sink.know([DEVICE])
        sink.adopt("m", filled)
        await sink.put(frame(5, filled))
        sink.know([replace(DEVICE, row=7)])
        await sink.put(frame(6, filled))
        sink.know([replace(DEVICE, address="b")])
        with pytest.raises(KeyError):
            await sink.put(frame(7, filled))

    asyncio.run(main())

    assert filled.hash in buffer.known
    assert len(buffer.put_frames) == 3
