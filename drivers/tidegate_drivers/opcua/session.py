"""Session: the devices of one server over the connections that they live to see. Here the heavy libraries begin."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from asyncua import Client

from tidegate.acquire.driver import Feed
from tidegate.clock import Clock
from tidegate.errors import DriverError, NoAnswer, NotConnected
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.refused import RefusedTag
from tidegate.model.status import BAD_NOT_READABLE
from tidegate_drivers.opcua.connection import Connection, connect
from tidegate_drivers.opcua.delivery import Delivery
from tidegate_drivers.opcua.fallback import DISTRUST
from tidegate_drivers.opcua.framer import Framer
from tidegate_drivers.opcua.joined import joined
from tidegate_drivers.opcua.learning import learn
from tidegate_drivers.opcua.machine import QUESTION, nameplate
from tidegate_drivers.opcua.marks import Marks
from tidegate_drivers.opcua.reading import Reading
from tidegate_drivers.opcua.roster import Roster
from tidegate_drivers.opcua.settings import Settings, parse_device
from tidegate_drivers.opcua.words import driver_error


class Session:
    """That of the devices of one driver object. `folder` is where it keeps things, None where it keeps nothing."""

    def __init__(self, devices: Sequence[Device], clock: Clock, folder: Path | None) -> None:
        self._clock = clock
        self._folder = folder
        parsed = {device.name: parse_device(device)[0] for device in devices}
        settings = {name: one for name, one in parsed.items() if one is not None}
        self._first: Settings = next(iter(settings.values()))
        self._roster = Roster(devices, settings)
        self._client: Client | None = None
        self._connection: Connection | None = None
        self._readings: dict[tuple[str, str, tuple[int, ...]], Reading] = {}
        self._delivery: Delivery | None = None

    @property
    def open_now(self) -> bool:
        """Whether it has a connection over which requests may be sent."""
        return self._connection is not None and self._connection.open

    async def open(self) -> None:
        """Connect, with the session from before where the server still has it. Raises NotConnected."""
        await self._hang_up(delete=False)
        again = self._client is not None
        if self._client is None:
            self._client = Client(self._first.url, timeout=self._first.timeout_s)
        self._connection = await connect(self._first, self._client, self._clock, again)
        self._readings = {}
        try:
            await self._roster.meet(self._connection)
        except Exception as error:
            await self._hang_up(delete=False)
            raise NotConnected("", driver_error("", error).what) from None

    async def read(self, group: Group) -> Frame:
        """All tags of a group, once."""
        connection = self._now(group.device)
        table = self._roster.devices[group.device].table
        try:
            async with asyncio.timeout(group.deadline_s):
                frames = await (await self._reading(connection, group)).read()
        except TimeoutError:
            raise NoAnswer(group.device, f"the server was not done within {group.deadline_s:g} s") from None
        except Exception as error:
            raise driver_error(group.device, error) from None
        return joined(frames, table.types)

    async def deliver(self, groups: Sequence[Group], feed: Feed) -> None:
        """Have these groups told, until cancelled. Raises NotConnected."""
        connection = self._now("")
        try:
            if self._delivery is None:
                for name in self._roster.wildcards:
                    await self._roster.select(connection, name)
                grown = [self._roster.group(group) for group in groups]
                self._delivery = Delivery(self._roster, grown, Marks(self._folder, self._first.bus), self._clock)
            for one in self._delivery.subscriptions:
                await self._delivery.meet(one, connection)
            for name in self._roster.changed:
                self._delivery.adopt(name, feed)
        except Exception as error:
            raise NotConnected("", driver_error("", error).what) from None
        try:
            await self._delivery.run(connection, feed)
        except DriverError as error:
            connection.lose(error.what)
            raise

    async def ask(self, device: str, request: bytes) -> bytes:
        """The nameplate of a device's object; of a device that needs none, what the server says of itself."""
        if request != QUESTION:
            raise ValueError(f"an OPC UA server is only asked {QUESTION.decode()}")
        connection = self._now(device)
        if device in self._roster.rootless:
            raise NoAnswer(device, self._roster.rootless[device])
        try:
            async with asyncio.timeout(self._first.timeout_s):
                return (await nameplate(connection, self._roster.root(device))).document
        except Exception as error:
            raise driver_error(device, error) from None

    def refused(self) -> Mapping[str, tuple[RefusedTag, ...]]:
        """By device the tags whose nodes the server won't give."""
        return self._delivery.refused() if self._delivery is not None else {}

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """By device what its delivery met."""
        return self._delivery.counted if self._delivery is not None else {}

    async def close(self) -> None:
        """End the session; its subscriptions stay for a next process where that will find them."""
        lasting = self._delivery is not None and self._delivery.marks.lasting
        await self._hang_up(delete=not lasting)

    async def _hang_up(self, delete: bool) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close(delete)

    def _now(self, device: str) -> Connection:
        if self._connection is None or not self._connection.open:
            raise NotConnected(device, f"{self._first.bus} is not open")
        return self._connection

    async def _reading(self, connection: Connection, group: Group) -> Reading:
        """The read of a whole group over this connection, made once."""
        key = group.device, group.name, group.tags
        reading = self._readings.get(key)
        if reading is None:
            items = self._roster.items(group)
            device, settings = self._roster.devices[group.device], self._roster.settings[group.device]
            framer = Framer(device, settings, items, 0, self._clock)
            nodes = await self._roster.nodes(connection, group)
            await learn(connection, framer, items, nodes)
            read = [BAD_NOT_READABLE if one.wish.events else node for one, node in zip(items, nodes, strict=True)]
            unread = sorted(set(group.tags) - {tag for item in items for tag in item.tags})
            reading = Reading(connection, framer, items, read, range(len(items)), not DISTRUST, unread)
            self._readings[key] = reading
        return reading
