"""Between driver and buffer: what was dropped on the way is reported again, though it did not change."""

import asyncio
from struct import Struct
from typing import cast

import pytest

from tidegate.buffer.buffer import Buffer, Committed
from tidegate.errors import Shed
from tidegate.model.frame import I64, U32, Frame, Kind
from tidegate.model.gap import Gap, Why
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.shape.shaper import Shaper
from tidegate.stages import ShapedSink

TABLE = TagTable("m", (Tag("level", Type.INT64, Type.INT64, deadband=0.0),))


class Narrow:
    """A buffer that has no room for its first frame."""

    def __init__(self) -> None:
        self.put_frames: list[Frame] = []

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        self.put_frames.append(frame)
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        if len(self.put_frames) == 1:
            future.set_exception(Shed("no room"))
        else:
            future.set_result(len(self.put_frames))
        return future


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


@pytest.mark.parametrize("device", ["m", None], ids=["its own", "of all devices"])
def test_after_a_gap_the_value_is_reported_again(device: str | None) -> None:
    buffer, gap = Narrow(), Gap(Why.EVICTED, 0, 1, device=device)
    buffer.put_frames.append(frame(0))
    told = Frame(
        gap.device or "", bytes(8), 0, 1, 1, 1, b"", b"", b"", b"", gap.encode(), kind=Kind.GAP
    )  # fmt: skip

    async def main() -> None:
        sink = ShapedSink(Shaper([TABLE]), cast("Buffer", buffer))
        await sink.put(frame(5))
        await sink.put(frame(5))
        sink.follow(Committed("e" * 16, 1, 2, (told, frame(5))))
        await sink.put(frame(5))

    asyncio.run(main())

    assert len(buffer.put_frames) == 3
