"""Modbus: one bus (host and port, or serial port) with its units. It knows polls and links, not their bytes."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from tidegate.acquire.driver import DRIVER_CONTRACT, Feed
from tidegate.clock import Clock
from tidegate.errors import ConfigError, DriverError, NotConnected, Problem
from tidegate.model.busplan import BusPlan
from tidegate.model.device import Device, Group
from tidegate.model.frame import Frame
from tidegate.model.refused import RefusedTag
from tidegate.model.written import Result, Written
from tidegate_drivers.modbus import config
from tidegate_drivers.modbus.abandoned import Abandoned
from tidegate_drivers.modbus.address import parse_place
from tidegate_drivers.modbus.call import Call
from tidegate_drivers.modbus.delays import Delays
from tidegate_drivers.modbus.depth import Depth
from tidegate_drivers.modbus.dial import dial
from tidegate_drivers.modbus.foresight import Foresight
from tidegate_drivers.modbus.identity import identity_question
from tidegate_drivers.modbus.line_link import LineLink
from tidegate_drivers.modbus.link import OPEN, Link
from tidegate_drivers.modbus.pace import Pace
from tidegate_drivers.modbus.plan import plan
from tidegate_drivers.modbus.point import REGISTERS_MAX
from tidegate_drivers.modbus.poll import Machine, Poll
from tidegate_drivers.modbus.port import open_port
from tidegate_drivers.modbus.put import Receiver, put
from tidegate_drivers.modbus.refusals import Refusals
from tidegate_drivers.modbus.settings import parse_device
from tidegate_drivers.modbus.switchboard import Post, join, leave
from tidegate_drivers.modbus.tags import in_zone, parse_points, parse_tag, readback
from tidegate_drivers.modbus.tls import FILES, Tls, TlsLink, handshake_words
from tidegate_drivers.modbus.write import explain, make

# How long one opening waits for a device that dials in, below the deadline of whoever opens.
CALL_DEADLINE_S = 12.0


class ModbusDriver:
    """The devices of one bus, read over `connections` TCP connections or one line, one read at a time on each."""

    contract: ClassVar[int] = DRIVER_CONTRACT
    name: ClassVar[str] = "modbus"
    files: ClassVar[frozenset[str]] = frozenset(FILES)

    def __init__(self, devices: Sequence[Device], clock: Clock) -> None:
        fatal = [problem for problem in config.check(devices) if problem.fatal]
        if fatal:
            raise ConfigError(fatal)
        self._clock = clock
        self._devices = {device.name: device for device in devices}
        parsed = {device.name: parse_device(device)[0] for device in devices}
        self._settings = {name: settings for name, settings in parsed.items() if settings is not None}
        if len({settings.bus for settings in self._settings.values()}) != 1:
            raise ValueError("a driver object has the devices of one bus")
        self._bus = next(iter(self._settings.values()))
        self._points = {
            device.name: parse_points(device, self._settings[device.name].registers_max)[0] for device in devices
        }
        # Behind one address, several units mostly are a line's: it takes one question at a time.
        alone = len(devices) == 1
        self._depths = {
            name: Depth(settings.in_flight if alone or settings.in_flight else 1)
            for name, settings in self._settings.items()
        }
        # Devices whose last read on the open connections was well.
        self._well: set[str] = set()
        self._polls: dict[tuple[str, str], Poll] = {}
        self._machines: dict[str, Machine] = {}
        self._links: list[Link | LineLink] = []
        self._free: list[Link | LineLink] = []
        self._abandoned, self._delays = Abandoned(), Delays()
        # Where a device that dials in is waited for.
        self._post: Post | None = None

    @classmethod
    def check(cls, devices: Sequence[Device]) -> list[Problem]:
        """All problems of these devices; see config.py."""
        return config.check(devices)

    @classmethod
    def bus(cls, device: Device) -> str:
        """Host and port, in one spelling, or the real path of the port. Raises ValueError when the address has none."""
        return parse_place(device.address).bus

    @classmethod
    def describe(cls, device: Device) -> list[str]:
        """`input 0x0000, 2 registers, float32 ABCD` for each tag; what is wrong with it where it can't be read."""
        lines = []
        for tag in device.table.tags:
            point, problems = parse_tag(tag)
            lines.append(str(in_zone(point, device)) if point else "; ".join(problem.what for problem in problems))
        return lines

    @classmethod
    def plan(cls, devices: Sequence[Device]) -> list[BusPlan]:
        """What the buses of these devices will be asked, and how long that takes them; see foresight.py."""
        return Foresight(devices).plans()

    @classmethod
    def explain_write(cls, device: Device, tag: int, value: object) -> list[str]:
        """The request of a write, its right reply, and what would be read back; see write.py."""
        settings, problems = parse_device(device)
        point, found = parse_tag(device.table.tags[tag], settings.registers_max if settings else REGISTERS_MAX)
        if settings is None or point is None:
            raise ValueError("; ".join(problem.what for problem in [*problems, *found]))
        return explain(device.table.tags[tag], point, settings.unit, make(device.table.tags[tag], point, value))

    @property
    def connections(self) -> int:
        """How many reads may run at the same time: each has a connection for itself."""
        return self._bus.connections

    async def open(self) -> None:
        """Connect, and wait as long as the devices want. What was learnt of them stays. Raises NotConnected."""
        await self.hang_up()
        try:
            for _ in range(self.connections):
                self._links.append(await self._connect())
        except NotConnected as error:
            there = len(self._links)
            await self.hang_up()
            if not there:
                raise
            what = f"{error.what}; {there} of connections = {self.connections} stood: it may accept no more"
            raise NotConnected("", what) from error
        except BaseException:
            await self.hang_up()
            raise
        pause_s = max(settings.connect_pause_s for settings in self._settings.values())
        if pause_s:
            await asyncio.sleep(pause_s)
        self._free = list(self._links)

    async def read(self, group: Group) -> Frame:
        """One frame with a reading of every tag of the group; see Driver.read. At most `connections` at a time.

        `source_us` is when the reply was in that a reading came with.
        """
        link = self._take(group.device)
        try:
            return await self._read(self._poll(group), link)
        finally:
            self._give_back(link)

    async def ask(self, device: str, request: bytes) -> bytes:
        """The PDU of a unit's reply to one question about who it is; see Asking.ask. It counts as a read."""
        question, settings = identity_question(request), self._settings[device]
        link = self._take(device)
        try:
            until = link.time() + settings.timeout_s
            data = await link.ask(device, settings.unit, question.pdu, question.reply_bytes, until)
        finally:
            self._give_back(link)
        head = request[:1] if question.reply_bytes == OPEN else bytes((request[0], question.reply_bytes))
        return head + data

    async def _read(self, poll: Poll, link: Link | LineLink) -> Frame:
        """A frame; behind it, while nobody else uses the link, what there is to learn of the device."""
        name, begun = poll.group.device, link.time()
        depth, well = self._depths[name], name in self._well
        self._well.discard(name)
        try:
            frame = await poll.read(link)
        except DriverError:
            depth.doubted(link.time())
            raise
        if poll.fell_silent:
            depth.doubted(link.time())
            return frame
        self._well.add(name)
        if not well:
            # A trial may cost the connection, over which a device that is back is asked next who it is.
            return frame
        questions = depth.trial(poll.answered, link.time())
        until = begun + poll.group.deadline_s
        if questions and link.time() < begun + poll.group.deadline_s / 2:
            settings = self._settings[poll.group.device]
            try:
                _, asked = link.ask_all(
                    poll.group.device, settings.unit, questions, settings.timeout_s, until, len(questions)
                )
                await asked
            except DriverError:
                # A connection that this has closed is found closed by the next read.
                depth.failed()
            else:
                depth.passed(len(questions))
        return frame

    def refused(self) -> Mapping[str, tuple[RefusedTag, ...]]:
        """By device the tags that it refuses; what was not there at one look is new at the next."""
        return {name: machine.refusals.told for name, machine in self._machines.items() if machine.refusals}

    def counted(self) -> Mapping[str, Mapping[str, int]]:
        """By device, how often what came on a line was no reply to it: noise, or others that talked into it."""
        return {name: {"spoiled replies": count} for name, count in self._delays.spoiled.items()}

    async def subscribe(self, groups: Sequence[Group], sink: Feed) -> None:
        """Modbus devices never speak up by themselves."""
        raise NotImplementedError("modbus is polled")

    async def write(self, device: str, tag: int, value: object, within_s: float) -> Written:
        """Write one tag, once, and read it back; see Driver.write and put.py. It counts as a read."""
        settings, machine = self._settings[device], self._machine(device)
        found, point = self._devices[device].table.tags[tag], self._points[device][tag]
        if found.access != "write":
            return Written(Result.FORBIDDEN, f"access of {found.name} is {found.access}")
        try:
            write = make(found, point, value)
        except ValueError as wrong:
            return Written(Result.FORBIDDEN, str(wrong))
        readback_s, quirks = readback(found), settings.quirks
        receiver = Receiver(device, settings.unit, settings.timeout_s, machine.pace, quirks, readback_s)
        link = self._take(device)
        try:
            return await put(link, receiver, point, write, within_s)
        finally:
            self._give_back(link)

    async def close(self) -> None:
        """Close all connections, and listen no more; reads under way get NotConnected."""
        await self.hang_up()
        post, self._post = self._post, None
        if post is not None:
            leave(post)

    async def hang_up(self) -> None:
        """Close all connections, and go on listening for a device that dials in."""
        links, self._links, self._free = self._links, [], []
        self._well.clear()
        for link in links:
            link.close()

    def _take(self, device: str) -> Link | LineLink:
        """A connection that nobody asks over. Raises NotConnected."""
        if not self._links:
            raise NotConnected(device, f"{self._bus.bus} is not open")
        if not self._free:
            raise RuntimeError(f"{self._bus.bus}: more than {self.connections} reads at the same time")
        return self._free.pop()

    def _give_back(self, link: Link | LineLink) -> None:
        # After a close in the meantime the link is none of ours any more.
        if link in self._links:
            self._free.append(link)

    async def _connect(self) -> Link | LineLink:
        """A connection, or the line. Raises NotConnected."""
        place, line, clock, abandoned = self._bus.place, self._bus.line, self._clock, self._abandoned
        if self._bus.call is not None:
            return await self._answer(self._bus.call)
        if self._bus.tls is not None:
            return await self._connect_within(self._bus.tls)
        if line is None:
            return await dial(place.host, place.port, lambda peer: Link(clock, peer))
        if not place.path:
            return await dial(
                place.host,
                place.port,
                lambda peer: LineLink(clock, peer, line, abandoned, gives_up=True, delays=self._delays),
            )
        link = LineLink(clock, place.path, line, abandoned, gives_up=False, delays=self._delays)
        open_port(place.path, line, link)
        return link

    async def _answer(self, call: Call) -> Link | LineLink:
        """The call of a device that dials in: one that waits, or the next. Raises NotConnected."""
        place, line = self._bus.place, self._bus.line
        if self._post is None:
            self._post = await join(place, call)
        caller = await self._post.answer(CALL_DEADLINE_S)
        peer = f"{place.caller} at {caller.peer}"
        link: Link | LineLink = Link(self._clock, peer)
        if line is not None:
            # Its silence is no reason to make it call again: the kernel ends a connection that is dead.
            link = LineLink(self._clock, peer, line, self._abandoned, gives_up=False)
        caller.serve(link)
        return link

    async def _connect_within(self, tls: Tls) -> Link:
        """A connection within TLS, to a device that has proved who it is. Raises NotConnected, with what to do."""
        place, clock = self._bus.place, self._clock
        try:
            # Parsing a file of many authorities takes tens of ms, and a disk may take any time.
            context = await asyncio.to_thread(tls.context)
        except (OSError, ValueError) as error:
            what = f"the files of tls_ca, tls_cert and tls_key can't be used: {error}; `tidegate check` says which"
            raise NotConnected("", what) from None
        try:
            return await dial(place.host, place.port, lambda peer: TlsLink(clock, peer), context, tls.name)
        except (ssl.SSLError, ConnectionError) as error:
            raise NotConnected("", f"no connection to {place.bus}: {handshake_words(error, tls, clock)}") from None

    def _poll(self, group: Group) -> Poll:
        """What reads this group, made at its first read: planning takes far longer than connecting again."""
        key = (group.device, group.name)
        poll = self._polls.get(key)
        if poll is None or poll.group is not group:
            points = [self._points[group.device][tag] for tag in group.tags]
            make = partial(plan, points, self._settings[group.device].limits)
            poll = self._polls[key] = Poll(group, self._machine(group.device), make, self._clock)
        return poll

    def _machine(self, name: str) -> Machine:
        """What the polls of one device share, made with the first of them."""
        machine = self._machines.get(name)
        if machine is None:
            table, settings = self._devices[name].table, self._settings[name]
            machine = self._machines[name] = Machine(
                table.hash, tuple(tag.name for tag in table.tags), settings.unit, settings.timeout_s,
                self._depths[name], Pace(settings.pause_s), Refusals(),
            )  # fmt: skip
        return machine
