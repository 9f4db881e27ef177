"""The driver contract, version 1. A driver reads frames off one bus; all that is not reading is the poller's.

    class MyDriver:                                life of a bus, led by the poller
        contract = DRIVER_CONTRACT
        name = "my"                                 __init__ ──▶ open ──▶ read … read ──▶ close
        check(devices) -> problems                               ▲            │ NotConnected
        bus(device) -> key                                       └─ back-off ─┘
        describe(device) -> a line a tag
        __init__(devices, clock)

Constructing checks and never connects. `open`, `read` and `close` raise the errors of tidegate.errors, never retry,
never log and go on, never catch cancellation.
"""

from asyncio import Future
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Protocol, runtime_checkable

from tidegate.clock import Clock
from tidegate.errors import Problem
from tidegate.model.busplan import BusPlan
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap
from tidegate.model.refused import RefusedTag
from tidegate.model.tag import TagTable
from tidegate.model.written import Written

DRIVER_CONTRACT = 1
ENTRY_POINTS = "tidegate.drivers"
# Below the folder of the buffer, one for each driver that keeps something.
DRIVERS_FOLDER = "drivers"


class Sink(Protocol):
    """Where frames go."""

    async def put(self, frame: Frame) -> "Future[int]":
        """Wait for room, hand the frame over, and return a future of its sequence number, done when committed.

        The future raises Shed when the frame was dropped instead. Whoever needs no commit may forget the future.
        """
        ...

    def adopt(self, device: str, table: TagTable) -> None:
        """Frames of a device come under this table from now on: what its machine said of its tags was filled in.

        Its first tags are those of the configured table, in their order; others may follow.
        """
        ...

    def committed(self, device: str, epoch: str, number: int) -> AsyncIterator[Frame]:
        """The data frames of a device that were committed after this number of an epoch, in their order."""
        ...

    @property
    def place(self) -> tuple[str, int]:
        """Epoch and number of what was committed last."""
        ...


class Feed(Sink, Protocol):
    """Where a driver delivers to, whose machines speak up by themselves."""

    def tell(self, gap: Gap) -> None:
        """Readings are missing that the machine had, or may have had."""
        ...

    def heard(self, device: str) -> None:
        """A device is well, though there is nothing to tell of it."""
        ...


@runtime_checkable
class Driver(Protocol):
    """One bus: a TCP address, a serial line, a server; with the devices that share it."""

    contract: ClassVar[int]
    name: ClassVar[str]

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        """For the devices of one bus. Raises ConfigError; opens nothing."""

    @classmethod
    def check(cls, devices: Sequence[Device]) -> list[Problem]:
        """Everything that is wrong with these devices' addresses, units, options and tags, each with its remedy.

        `Problem.file` is left "" where the caller knows it; `row` and `column` are the tag table's, or the device
        list's (`Problem.key` then starts with the device's name).
        """
        ...

    @classmethod
    def bus(cls, device: Device) -> str:
        """Which bus a device is on: devices of equal keys share one driver object and its schedule."""
        ...

    @classmethod
    def describe(cls, device: Device) -> list[str]:
        """For each tag in the table's order what goes over the wire, for people: `holding 0x0000, 2 registers`."""
        ...

    @property
    def connections(self) -> int:
        """How many reads of this bus may run at the same time; at least 1."""
        ...

    async def open(self) -> None:
        """Connect. Raises NotConnected."""

    async def read(self, group: Group) -> Frame:
        """One frame with one reading of every tag of the group, in ascending order of tags, raw and unscaled.

        Values are slots of the tag's `raw` type. A tag that could not be read has a Bad status and a zero slot, so
        that one bad register does not silence the rest. `gateway_us`, `mono_us`, `boot` and `clock` are those of the
        moment when the last byte was in. Raises NoAnswer, InvalidReply, Refused for the device as a whole, and
        NotConnected for the bus.
        """
        ...

    async def subscribe(self, groups: Sequence[Group], sink: Feed) -> None:
        """Deliver frames to the sink until cancelled; only drivers whose machines speak up by themselves (SpeaksUp).

        Raises NotConnected when the bus is gone, and NotImplementedError where the driver only polls.
        """

    async def write(self, device: str, tag: int, value: object, within_s: float) -> Written:
        """Write one tag of a device, once, and say what became of it; nothing of that is an error.

        The value is as `explain_write` takes it. It counts as a read of the bus, and is done `within_s`. Only a tag
        whose access is write is written. Raises NotConnected while nothing was sent, and NotImplementedError where the
        driver can't write.
        """
        ...

    async def close(self) -> None:
        """Let go of the bus; safe to call in any state, more than once."""


@runtime_checkable
class SpeaksUp(Protocol):
    """What a driver may offer besides, whose machines tell by themselves what changed."""

    @classmethod
    def told(cls, device: Device) -> frozenset[str]:
        """The names of the device's groups that `subscribe` delivers; its other groups are read."""
        ...


@runtime_checkable
class Keeps(Protocol):
    """What a driver may offer besides, that has something to keep from one start to the next."""

    def keep(self, folder: Path) -> None:
        """Its folder beside the buffer, shared by its buses; it need not exist yet. Called once, before `open`."""
        ...


def give_folder(driver: Driver, state: Path) -> None:
    """Tell a driver that has something to keep where, below the folder of the buffer."""
    if isinstance(driver, Keeps):
        driver.keep(state / DRIVERS_FOLDER / driver.name)


@runtime_checkable
class Plans(Protocol):
    """What a driver may offer besides, that knows before it connects what its buses will have to do."""

    @classmethod
    def plan(cls, devices: Sequence[Device]) -> list[BusPlan]:
        """A plan for each bus of these devices, with which `check` found nothing fatal. It opens nothing."""
        ...


@runtime_checkable
class Refuses(Protocol):
    """What a driver may offer besides, whose machines refuse single tags while they give others."""

    def refused(self) -> Mapping[str, tuple[RefusedTag, ...]]:
        """By device the tags that it refuses now. Asked twice a second: the same tuple as long as nothing changes."""
        ...


@runtime_checkable
class Counting(Protocol):
    """What a driver may offer besides, that sees faults of the line which are no failed reads of their own."""

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """By device, under words for people (`spoiled replies`), what was counted since the start. Asked seldom."""
        ...


@runtime_checkable
class Asking(Protocol):
    """What a driver may have beside the contract, where its machines can say who they are."""

    async def ask(self, device: str, request: bytes) -> bytes:
        """The reply to one request about a device's identity, both in the protocol's own bytes.

        It counts as a read of the bus, keeps the device's own deadline, and only reads: any other request is a
        ValueError. Raises NoAnswer, InvalidReply, Refused and NotConnected, as `read` does.
        """
        ...


@runtime_checkable
class Listens(Protocol):
    """What a driver may offer besides, whose machines dial in: between two openings they must find somebody there."""

    async def hang_up(self) -> None:
        """Close what connects now, as `close` does, and go on listening; `close` ends that too."""
        ...


@runtime_checkable
class ExplainsWrites(Protocol):
    """What a driver may offer besides, that knows how a value would be put into a device."""

    @classmethod
    def explain_write(cls, device: Device, tag: int, value: object) -> list[str]:
        """What a write of this value would send, and what would be read back, for people; it opens nothing.

        The value is in the tag's unit: bool, text, or a number, best a Decimal. Raises ValueError, which says why the
        device can't be given it; whether it may be is not the driver's affair.
        """
        ...


@runtime_checkable
class NamesFiles(Protocol):
    """What a driver may offer besides, some of whose options name files, such as certificates.

    The driver is given them as paths: like all files of a configuration they are named from the folder that it is in.
    """

    files: ClassVar[frozenset[str]]
