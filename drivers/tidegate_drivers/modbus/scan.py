"""Scans: which addresses accept, which units answer, and what they say of themselves. Gently, and only by questions.

Any valid reply or exception is proof of a unit, but for a gateway's word that it finds none.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.acquire.survey import Found, Note, Progress, Scan, Tell
from tidegate.errors import NotConnected
from tidegate_drivers.modbus.dial import why_not
from tidegate_drivers.modbus.framing import ASCII, RTU
from tidegate_drivers.modbus.hosts import Hosts, parse_hosts, place_of
from tidegate_drivers.modbus.line import Line
from tidegate_drivers.modbus.link import EXCEPTION_FLAG
from tidegate_drivers.modbus.port import open_port
from tidegate_drivers.modbus.probe import QUESTIONS, LineProbe, TcpProbe, identity, proves
from tidegate_drivers.modbus.wishes import Wishes

TIMEOUT_S, TIMEOUT_S_MIN, TIMEOUT_S_MAX = 0.3, 0.02, 10.0
RATE, RATE_MIN, RATE_MAX = 20.0, 0.1, 1000.0
HOSTS_AT_ONCE = 8
# A unit id that no device may have: what answers to it looks at no unit id.
NO_UNIT = 250
# Of many addresses, only the units that a TCP device itself has; of one, all that may be behind a gateway.
UNITS, UNITS_OF_MANY = "1-247", "1,255"
# A unit whose reply came too late is asked again with so much more time.
LATE_FACTOR = 5
# Unit, function and data of a question and of its reply together.
FRAME_BYTES = 11


@dataclass(frozen=True, slots=True)
class Way:
    """How a scan asks: units, questions of probe.QUESTIONS, how long it waits, questions a second at most.

    `every` goes on where the first answer would do; `named` asks who it is.
    """

    units: tuple[int, ...]
    questions: tuple[str, ...]
    timeout_s: float
    rate: float
    every: bool
    named: bool

    @property
    def most(self) -> int:
        """How many questions a line gets at most, but for those about who it is."""
        return len(self.units) * len(self.questions)


class _Pace:
    """Slots for questions: so many a second, for all that ask at the same time."""

    def __init__(self, rate: float, tell: Tell, most: int) -> None:
        self._interval_s, self._tell, self._most = 1 / rate, tell, most
        self._next_s = 0.0
        self._done = 0

    async def slot(self, where: str) -> None:
        """Wait for the next one."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        begins_s = max(now_s, self._next_s)
        self._next_s = begins_s + self._interval_s
        self._done += 1
        self._tell(Progress(self._done, max(self._most, self._done), where))
        await asyncio.sleep(begins_s - now_s)


async def _proof(
    probe: TcpProbe | LineProbe, unit: int, way: Way, pace: _Pace, where: str, nobody: bytes | None = None
) -> str:
    """The question that a unit answers to, `function 3`; empty when it answers to none, or as `nobody` does."""
    for word in way.questions:
        await pace.slot(f"{where} unit {unit}")
        reply = await probe.ask(unit, QUESTIONS[word])
        if proves(reply) and reply != nobody:
            assert reply is not None
            refused = f", exception {reply[1]}" if reply[0] & EXCEPTION_FLAG else ""
            return f"function {word}{refused}"
    return ""


async def _said(probe: TcpProbe | LineProbe, unit: int, way: Way, pace: _Pace, where: str) -> tuple[str, ...]:
    """What a unit says of itself: by function 43/14, else by 17."""
    if not way.named:
        return ()
    for word in ("43", "17"):
        await pace.slot(f"{where} unit {unit}")
        said = identity(await probe.ask(unit, QUESTIONS[word]))
        if said:
            return said
    return ()


class TcpScan:
    """Units behind TCP addresses, several addresses at a time, the units of one one by one."""

    def __init__(self, hosts: Hosts, way: Way) -> None:
        self._hosts, self._way = hosts, way
        each = 2 + way.most
        self._most = len(hosts.hosts) * each
        turns = -(-len(hosts.hosts) // HOSTS_AT_ONCE)
        seconds = max(self._most / way.rate, turns * each * way.timeout_s)
        asked = " and ".join(way.questions)
        self.notice: tuple[str, ...] = (
            f"This asks {hosts}, {_listed(way.units)}, by function {asked}, which only reads.",
            f"At most {self._most} connections and questions, {way.rate:g} a second: at most {_span(seconds)}.",
            "A machine that takes one connection only may refuse this one, or another, while it lasts.",
        )

    async def run(self, tell: Tell) -> None:
        """See Scan.run."""
        pace, left = _Pace(self._way.rate, tell, self._most), iter(self._hosts.hosts)

        async def look() -> None:
            for host in left:
                await self._host(host, pace, tell)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(HOSTS_AT_ONCE, len(self._hosts.hosts))):
                group.create_task(look())

    async def _host(self, host: str, pace: _Pace, tell: Tell) -> None:
        where = place_of(host, self._hosts.port)
        probe = TcpProbe(host, self._hosts.port, self._way.timeout_s)
        await pace.slot(where)
        try:
            await probe.open()
        except NotConnected as error:
            # In a network most addresses are empty; whoever names one wants to know why it is not there.
            if len(self._hosts.hosts) == 1:
                tell(Note(f"{error}. Check address and port, and that the machine is on"))
            return
        try:
            nobody = await self._nobody(probe, where, pace)
            found = 0
            alike = _gave_data(nobody)
            if not alike or self._way.every:
                found = await self._units(probe, where, pace, tell, None if alike else nobody)
            if not found and proves(nobody):
                said = await _said(probe, 1, self._way, pace, where)
                assert nobody is not None
                refused = f", exception {nobody[1]}" if nobody[0] & EXCEPTION_FLAG else ""
                proof = f"function {self._way.questions[0]}{refused}; it answers to every unit id alike"
                tell(_found(f"tcp://{where}", 1, {}, proof, said))
            elif not found:
                tell(Note(f"{where} accepts connections, and none of {_listed(self._way.units)} answers"))
        except NotConnected:
            tell(Note(f"{where} hangs up, and takes no more connections; what was found there may not be all"))
        finally:
            probe.close()

    async def _units(self, probe: TcpProbe, where: str, pace: _Pace, tell: Tell, nobody: bytes | None) -> int:
        """How many units answer, and otherwise than nobody does."""
        found = 0
        for unit in self._way.units:
            proof = await _proof(probe, unit, self._way, pace, where, nobody)
            if proof:
                found += 1
                said = await _said(probe, unit, self._way, pace, where)
                tell(_found(f"tcp://{where}", unit, {}, proof, said))
        return found

    async def _nobody(self, probe: TcpProbe, where: str, pace: _Pace) -> bytes | None:
        """What is answered for a unit that is not there: by a device that looks at no unit id, or by a gateway."""
        await pace.slot(where)
        return await probe.ask(NO_UNIT, QUESTIONS[self._way.questions[0]])


class LineScan:
    """Units of a serial port, under one setting after the other until somebody answers; or behind a serial server."""

    def __init__(self, hosts: Hosts, lines: Sequence[Line], way: Way) -> None:
        self._hosts, self._lines, self._way = hosts, lines, way
        self._most = len(lines) * way.most
        seconds = sum(way.most * max(_timeout_s(line, way), 1 / way.rate) for line in lines)
        asked = " and ".join(way.questions)
        questions = f"{self._most} question{'' if self._most == 1 else 's'}"
        settings = f" at {', '.join(str(line) for line in lines)}" if hosts.path else ""
        self.notice: tuple[str, ...] = (
            f"This asks {hosts}{settings}: {_listed(way.units)}, by function {asked}, which only reads.",
            f"At most {questions}, {way.rate:g} a second at most: at most {_span(seconds)}"
            + (", less when somebody answers." if len(lines) > 1 and not way.every else "."),
            "It must be alone on the line: stop a PLC or another master that asks there."
            + (" A gateway that runs on this port keeps it locked, and the scan is refused." if hosts.path else ""),
        )

    async def run(self, tell: Tell) -> None:
        """See Scan.run. Raises NotConnected."""
        pace = _Pace(self._way.rate, tell, self._most)
        for line in self._lines:
            if await self._line(line, pace, tell) and not self._way.every:
                return

    async def _line(self, line: Line, pace: _Pace, tell: Tell) -> int:
        """How many units answer under one setting."""
        where = str(line) if self._hosts.path else str(self._hosts)
        probe = await self._open(line)
        answered: set[int] = set()
        try:
            for unit in self._way.units:
                await self._unit(probe, unit, line, where, pace, tell, answered)
            probe.timeout_s *= LATE_FACTOR
            for unit in sorted(probe.late & set(self._way.units) - answered):
                slow = f"; slowly, it needs a timeout of up to {probe.timeout_s:.1f} s"
                await self._unit(probe, unit, line, where, pace, tell, answered, slow)
        finally:
            probe.close()
        if probe.strange and not answered:
            tell(Note(f"{where}: {probe.strange} bytes came, and no reply: noise, or units of other settings"))
        return len(answered)

    async def _unit(
        self,
        probe: LineProbe,
        unit: int,
        line: Line,
        where: str,
        pace: _Pace,
        tell: Tell,
        answered: set[int],
        slow: str = "",
    ) -> None:
        """Ask one unit, and note its answer."""
        proof = await _proof(probe, unit, self._way, pace, where)
        if not proof:
            return
        answered.add(unit)
        said = await _said(probe, unit, self._way, pace, where)
        scheme = line.framing.name.lower()
        if not self._hosts.path:
            tell(_found(f"{scheme}+tcp://{self._hosts}", unit, {}, proof + slow, said))
            return
        options = {"baud": str(line.baud), "parity": line.parity.lower()}
        options |= {"stop": "2"} if line.stop == 2 else {}
        options |= {"bits": str(line.bits)} if line.bits != line.framing.bits[0] else {}
        tell(_found(f"{scheme}://{self._hosts.path}", unit, options, proof + slow, said))

    async def _open(self, line: Line) -> LineProbe:
        """Raises NotConnected."""
        probe = LineProbe(_timeout_s(line, self._way), line.pause_s, line.framing)
        if self._hosts.path:
            open_port(self._hosts.path, line, probe)
            return probe
        host, port = self._hosts.hosts[0], self._hosts.port
        try:
            async with asyncio.timeout(max(1.0, self._way.timeout_s)):
                await asyncio.get_running_loop().create_connection(lambda: probe, host, port)
        except (TimeoutError, OSError) as error:
            raise NotConnected("", f"no connection to {place_of(host, port)}: {why_not(error)}") from None
        return probe


def _timeout_s(line: Line, way: Way) -> float:
    """How long a unit may take, with the time that question and reply are on their way."""
    return way.timeout_s + line.framing.wire_bytes(FRAME_BYTES) * line.byte_s


def _gave_data(nobody: bytes | None) -> bool:
    """Whether data came for a unit that can't be there: the device looks at no unit id. No gateway does so."""
    return nobody is not None and not nobody[0] & EXCEPTION_FLAG


def _found(address: str, unit: int, options: dict[str, str], proof: str, said: tuple[str, ...]) -> Found:
    more = "".join(f" --set {name}={text}" for name, text in options.items())
    return Found(address, unit, options, proof, said, f"tidegate profile identify {address} --unit {unit}{more}")


def _listed(units: Sequence[int]) -> str:
    if len(units) == 1:
        return f"unit {units[0]}"
    if units == tuple(range(units[0], units[-1] + 1)):
        return f"units {units[0]} to {units[-1]}"
    return f"{len(units)} units" if len(units) > 8 else f"units {', '.join(str(unit) for unit in units)}"


def _span(seconds: float) -> str:
    return (
        f"{math.ceil(seconds)} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )


def scan(address: str, texts: Mapping[str, str]) -> Scan:
    """A scan of an address. Raises ValueError."""
    wishes = Wishes(texts)
    hosts = parse_hosts(address, wishes.flag("large"))
    on_line = bool(hosts.path) or hosts.framed
    units = wishes.units(UNITS if on_line or len(hosts.hosts) == 1 else UNITS_OF_MANY)
    if on_line and 0 in units:
        raise ValueError("--units 0: that calls all units of a line, and none answers")
    questions = tuple(dict.fromkeys(word.strip() for word in wishes.text("ask", "3").split(",")))
    if not set(questions) <= set(QUESTIONS):
        raise ValueError(f"--ask: choose of {', '.join(QUESTIONS)}; none of them writes")
    way = Way(
        units,
        questions,
        wishes.seconds("timeout", TIMEOUT_S, TIMEOUT_S_MIN, TIMEOUT_S_MAX),
        wishes.number("rate", RATE, RATE_MIN, RATE_MAX),
        wishes.flag("all"),
        not wishes.flag("nameless"),
    )
    framing = ASCII if hosts.ascii else RTU
    lines = wishes.lines(True, framing) if hosts.path else (Line(0, "N", 1, 0.0, False, framing),)
    wishes.refuse_unknown()
    return LineScan(hosts, lines, way) if on_line else TcpScan(hosts, way)
