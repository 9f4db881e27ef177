"""Whatever a device refuses: the search for it ends, blames nothing that is given, and costs nothing afterwards."""

import asyncio
from collections.abc import Sequence
from functools import partial
from struct import unpack

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.virtual_time import run_virtually
from tidegate.clock import Clock
from tidegate.errors import Refused
from tidegate.model.device import Group
from tidegate.model.frame import Frame
from tidegate.model.tag import Type
from tidegate_drivers.modbus.depth import Depth
from tidegate_drivers.modbus.link import Question, Reply
from tidegate_drivers.modbus.pace import Pace
from tidegate_drivers.modbus.plan import QUESTION, Limits, plan
from tidegate_drivers.modbus.point import Function, Point
from tidegate_drivers.modbus.poll import SPLITS_MAX, Machine, Poll
from tidegate_drivers.modbus.quirks import Quirks
from tidegate_drivers.modbus.refusals import REST_S, Refusals

READS_MAX = 300


class Device:
    """A link to a device in memory: register n holds n, some are missing, and it gives `most` at a time."""

    def __init__(self, missing: set[int], most: int) -> None:
        self.missing, self.most = missing, most
        self.mono_us = 0
        self.asked: list[tuple[int, int]] = []
        self.refused = 0
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self._loop.time()

    def _answer(self, pdu: bytes) -> Reply:
        _, address, count = QUESTION.unpack(pdu)
        self.asked.append((address, count))
        self.mono_us += 1
        if count > self.most or self.missing & set(range(address, address + count)):
            self.refused += 1
            return Refused("m1", "exception 2", 2)
        return self.mono_us, b"".join((address + i).to_bytes(2, "big") for i in range(count))

    def ask(self, device: str, unit: int, pdu: bytes, reply_bytes: int, deadline: float) -> "asyncio.Future[bytes]":
        return self.ask_all(device, unit, [Question(pdu, reply_bytes)], 1.0, deadline)[1]

    def ask_all(
        self, device: str, unit: int, questions: Sequence[Question], timeout_s: float, until: float, at_once: int = 1
    ) -> "tuple[list[Reply], asyncio.Future[bytes]]":
        replies: list[Reply] = [None] * len(questions)
        done: asyncio.Future[bytes] = self._loop.create_future()
        for index, question in enumerate(questions):
            reply = replies[index] = self._answer(question.pdu)
            if isinstance(reply, Refused):
                done.set_exception(reply)
                return replies, done
            assert isinstance(reply, tuple)
            block = reply[1]
        done.set_result(block)
        return replies, done


def poll_of(points: list[Point], limits: Limits, clock: Clock) -> Poll:
    group = Group("m1", "default", 1.0, 10.0, tuple(range(len(points))))
    names = tuple(f"t{n}" for n in range(len(points)))
    machine = Machine(bytes(16), names, 1, 1.0, Depth(1), Pace(0.0), Refusals())
    return Poll(group, machine, partial(plan, points, limits), clock)


def bad(frame: Frame) -> set[int]:
    statuses = unpack(f"<{len(frame.status) // 4}I", frame.status)
    column = statuses * frame.count if len(statuses) == 1 else statuses
    return {slot for slot, status in enumerate(column) if status}


POINTS = st.lists(
    st.builds(lambda address, size: Point(Function.HOLDING, address, size, {1: Type.UINT16, 2: Type.UINT32}[size]),
              st.integers(0, 150), st.integers(1, 2)),
    min_size=2, max_size=60,
)  # fmt: skip
QUIRKS = st.builds(Quirks, even_only=st.booleans())


@settings(deadline=None)
@given(POINTS, st.sets(st.integers(0, 160), max_size=80), st.integers(4, 125), QUIRKS)
def test_a_search_ends_blames_what_is_missing_alone_and_costs_nothing_afterwards(
    points: list[Point], missing: set[int], most: int, quirks: Quirks
) -> None:
    def lacks(point: Point) -> bool:
        return bool(
            missing & set(range(quirks.first(point.function, point.address), quirks.end(point.function, point.end)))
        )

    lacking = {slot for slot, point in enumerate(points) if lacks(point)}
    # A device that gives nothing at all is refused as a whole.
    if len(lacking) == len(points):
        return

    async def main(clock: Clock) -> None:
        device = Device(missing, most)
        poll = poll_of(points, Limits(quirks=quirks), clock)
        frame: Frame | None = None
        for _ in range(READS_MAX):
            device.asked.clear()
            before = device.refused
            try:
                frame = await poll.read(device)  # type: ignore[arg-type]  # It is all of a link that a poll uses.
            except Refused:
                continue
            assert len(device.asked) <= len(points) + 2 * SPLITS_MAX
            if device.refused == before:
                break
        assert frame is not None
        assert device.refused == before, "the search does not end"
        assert bad(frame) == lacking
        for slot in set(range(len(points))) - bad(frame):
            raw = frame.values[8 * slot : 8 * slot + 8]
            high, low = points[slot].address, points[slot].address + 1
            assert int.from_bytes(raw, "little") == (high if points[slot].size == 1 else high << 16 | low)
        quiet = device.refused
        for _ in range(3):
            await poll.read(device)  # type: ignore[arg-type]  # As above.
        assert device.refused == quiet
        await asyncio.sleep(REST_S + 1)
        await poll.read(device)  # type: ignore[arg-type]  # As above.
        assert device.refused <= quiet + 1

    run_virtually(main)
