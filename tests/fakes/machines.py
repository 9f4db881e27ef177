"""A driver whose machines do what the test says, and a sink that keeps what it is given."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from tidegate.clock import Clock
from tidegate.errors import NoAnswer, Problem
from tidegate.model.device import Device, Group
from tidegate.model.frame import I64, U32, Frame
from tidegate.model.gap import Gap
from tidegate.model.tag import Tag, TagTable, Type
from tidegate.model.written import Written

TAGS = 4


class Sink:
    """Keeps frames and gaps."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.gaps: list[Gap] = []

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        self.frames.append(frame)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(self.frames))
        return done

    def of(self, device: str, *, good: bool = True) -> list[Frame]:
        """Frames of one device that are Good, or those that are not."""
        return [f for f in self.frames if f.device == device and (f.status == bytes(4)) == good]


class Scene:
    """What the machines do: `answer(group, loop time)` raises or returns seconds to wait; `opens(time)` raises or not.

    A `deaf` driver does not keep the deadline that it was given. `before` may give what is awaited before an answer,
    `closes` may raise, and opening takes `opening_s`.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Group, float], float] = lambda group, now_s: 0.0
        self.opens: Callable[[float], None] = lambda now_s: None
        self.before: Callable[[Group, float], Awaitable[None] | None] = lambda group, now_s: None
        self.closes: Callable[[], None] = lambda: None
        self.opening_s = 0.0
        self.connections = 1
        self.deaf = False
        self.reads: list[tuple[str, str, float]] = []
        self.opened: list[float] = []
        self.closed = 0


class Scripted:
    """A driver whose every bus plays one scene; `driver_for` says which. The bus of a device is its address."""

    contract: ClassVar[int] = 1
    name: ClassVar[str] = "scripted"
    scene: ClassVar[Scene]
    waits: ClassVar[bool] = True

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        self._tables = {device.name: device.table for device in devices}
        self._clock = clock

    @classmethod
    def check(cls, devices: Sequence[Device]) -> list[Problem]:
        return []

    @classmethod
    def bus(cls, device: Device) -> str:
        return device.address

    @classmethod
    def describe(cls, device: Device) -> list[str]:
        return [tag.name for tag in device.table.tags]

    @property
    def connections(self) -> int:
        return self.scene.connections

    async def open(self) -> None:
        self.scene.opened.append(asyncio.get_running_loop().time())
        if self.scene.opening_s:
            await asyncio.sleep(self.scene.opening_s)
        self.scene.opens(asyncio.get_running_loop().time())

    async def read(self, group: Group) -> Frame:
        now_s = asyncio.get_running_loop().time()
        self.scene.reads.append((group.device, group.name, now_s))
        if (before := self.scene.before(group, now_s)) is not None:
            await before
        wait_s = self.scene.answer(group, now_s)
        if wait_s > group.deadline_s and not self.scene.deaf:
            await asyncio.sleep(group.deadline_s)
            raise NoAnswer(group.device, "silent")
        if self.waits:
            await asyncio.sleep(wait_s)
        now_us = self._clock.now_us()
        tags = b"".join(U32.pack(tag) for tag in group.tags)
        values = b"".join(I64.pack(tag) for tag in group.tags)
        return Frame(
            group.device, self._tables[group.device].hash, len(group.tags), 1, self._clock.mono_us(), now_us, tags,
            I64.pack(now_us), U32.pack(0), values,
        )  # fmt: skip

    async def subscribe(self, groups: Sequence[Group], sink: object) -> None:
        raise NotImplementedError

    async def write(self, device: str, tag: int, value: object, within_s: float) -> Written:
        raise NotImplementedError

    async def close(self) -> None:
        self.scene.closed += 1
        self.scene.closes()


def driver_for(scene: Scene, *, waits: bool = True) -> type[Scripted]:
    """A driver class that plays this scene. Unless it `waits`, its reads block the loop instead."""
    return type("Scripted", (Scripted,), {"scene": scene, "waits": waits})


def machine(name: str, bus: str = "bus", interval_s: float = 1.0, deadline_s: float = 0.5, groups: int = 1) -> Device:
    """A device of four integers, all in each of its groups."""
    table = TagTable(name, tuple(Tag(f"t{i}", Type.INT64, Type.INT64) for i in range(TAGS)))
    polled = tuple(Group(name, f"g{i}", interval_s, deadline_s, tuple(range(TAGS))) for i in range(groups))
    return Device(name, "scripted", bus, None, table, polled, {})
