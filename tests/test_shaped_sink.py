"""Between driver and buffer: what was dropped on the way is reported again, though it did not change."""

import asyncio
from struct import Struct
from typing import cast

from tidegate.buffer.buffer import Buffer
from tidegate.errors import Shed
from tidegate.gateway import ShapedSink
from tidegate.model.frame import I64, U32, Frame
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.shape.shaper import Shaper

TABLE = TagTable("m", (Tag("level", Type.INT64, Type.INT64, deadband=0.0),))


class Narrow:
    """A buffer that has no room for its first frame."""

    def __init__(self) -> None:
        self.put_frames: list[Frame] = []
        self.told: list[Gap] = []

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        self.put_frames.append(frame)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if len(self.put_frames) == 1:
            future.set_exception(Shed("no room"))
        else:
            future.set_result(len(self.put_frames))
        return future

    def tell(self, gap: Gap) -> None:
        self.told.append(gap)


def frame(value: int) -> Frame:
    return Frame("m", TABLE.hash, 1, 1, 1, 1, Struct("<I").pack(0), I64.pack(1), U32.pack(0), I64.pack(value))


def test_a_value_that_was_shed_is_reported_again() -> None:
    buffer = Narrow()

    async def main() -> list[bool]:
        sink = ShapedSink(Shaper([TABLE]), cast("Buffer", buffer))
        ends = [await sink.put(frame(5)) for _ in range(3)]
        return [end.exception() is None for end in ends]

    assert [False, True, True] == asyncio.run(main())
    assert len(buffer.put_frames) == 2


def test_after_a_gap_the_value_is_reported_again_and_the_gap_is_told() -> None:
    buffer, gap = Narrow(), Gap(Why.DEVICE_DOWN, 0, 1, device="m")
    buffer.put_frames.append(frame(0))

    async def main() -> None:
        sink = ShapedSink(Shaper([TABLE]), cast("Buffer", buffer))
        await sink.put(frame(5))
        await sink.put(frame(5))
        sink.tell(gap)
        await sink.put(frame(5))

    asyncio.run(main())

    assert len(buffer.put_frames) == 3
    assert buffer.told == [gap]
