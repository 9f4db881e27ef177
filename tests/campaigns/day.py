"""A day of the gateway in fast-forward: everything but the broker's side on virtual time, with what a plant does to it.

    python -m tests.campaigns.day [HOURS] [--seed 5]

Poller, Modbus driver, shaper with windows and alarms, and the buffer on a real disk; the plant is a wire in memory.
Devices fall silent for minutes, hang up, are busy, and refuse one register for ever; a target acknowledges, and at
times is gone, so that old segments go. Looked at once an hour. Exits 1 when something grew or does not add up.
"""

import argparse
import asyncio
import gc
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from struct import Struct, pack, unpack
from typing import Any

from tests.bench.wear import Afternoon
from tests.campaigns.checker import Finding
from tests.campaigns.scene import leave, workplace
from tidegate.acquire.registry import drivers
from tidegate.buffer.buffer import Buffer, Committed
from tidegate.clock import BUILT_US, Clock
from tidegate.config.load import load
from tidegate.model.frame import Frame, Kind
from tidegate.stages import Stages

HOURS = 24.0
HOUR_S = 3600.0
FAST, SLOW = 6, 10
REGISTERS = 24
REFUSED_ADDRESS = 500
REQUEST = Struct(">HHHBBHH")
LATENCY_S = 0.008
PUBACK_S = 0.02
WINDOW = 16
TARGET = "cloud"
# A device is off so often, for so long; a target is gone so often, for so long.
OFF_EACH_S, OFF_S = 7200.0, (30.0, 1200.0)
GONE_EACH_S, GONE_S = 14_400.0, 5400.0
BUSY_SHARE, HANG_UP_SHARE = 0.0005, 0.0002
BUSY, ILLEGAL_ADDRESS = 6, 2
# The first hours fill caches, and windows of quarters of an hour.
SETTLED_HOURS = 3
GROWTH_HOUR_MAX = (
    ("private_kb", "kB ", 1024.0),
    ("objects", "", 500.0),
    ("tasks", "", 0.5),
    ("descriptors", "", 0.1),
    ("timers", "", 0.5),
)
CONFIGURATION = """
[gateway]
name = "day"
state = "state"

[clock]
source = "system"

[buffer]
quota = "16MB"
segment = "1MB"

[groups.fast]
interval = "1s"

[groups.slow]
interval = "10s"

[tables.fast]
file = "fast.csv"
base = 0
registers = "holding"

[tables.slow]
file = "slow.csv"
base = 0
registers = "holding"

[devices]
file = "devices.csv"
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What there is at one moment."""

    hour: float
    private_kb: int
    objects: int
    tasks: int
    descriptors: int
    timers: int


class Wire(asyncio.Transport):
    """One connection in memory to one machine of the plant."""

    def __init__(self, loop: "Day", machine: "Machine", protocol: asyncio.BufferedProtocol) -> None:
        super().__init__()
        self._loop, self._machine, self._protocol = loop, machine, protocol
        self._ended = False

    def is_closing(self) -> bool:
        return self._ended

    def write(self, data: Any) -> None:
        for at in range(0, len(data), REQUEST.size):
            answer = self._machine.answer(bytes(data[at : at + REQUEST.size]), self._loop.now_s + LATENCY_S)
            if answer is None:
                self._loop.call_later(LATENCY_S, self._end, ConnectionResetError(104, "Connection reset by peer"))
            elif answer:
                self._loop.call_later(LATENCY_S, self._give, answer)

    def abort(self) -> None:
        self._end(None)

    def close(self) -> None:
        self._end(None)

    def _give(self, data: bytes) -> None:
        if not self._ended:
            self._protocol.get_buffer(-1)[: len(data)] = data
            self._protocol.buffer_updated(len(data))

    def _end(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._loop.call_soon(self._protocol.connection_lost, error)


class Machine:
    """A device. Each register is the second at which it answers, and its own address, so that every value is known."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._from_s, self._to_s = chance.uniform(0, OFF_EACH_S), 0.0

    def off(self, now_s: float) -> bool:
        """Whether it is silent, or refuses to be connected to."""
        if now_s < self._from_s:
            return now_s < self._to_s
        self._to_s = now_s + self._chance.uniform(*OFF_S)
        self._from_s = self._to_s + self._chance.expovariate(1 / OFF_EACH_S)
        return True

    def answer(self, request: bytes, now_s: float) -> bytes | None:
        """What it says; b"" when it says nothing, None when it hangs up."""
        transaction, _, _, unit, function, address, count = REQUEST.unpack(request)
        drawn = self._chance.random()
        if self.off(now_s):
            return b""
        if drawn < HANG_UP_SHARE:
            return None
        refused = address <= REFUSED_ADDRESS < address + count
        if refused or drawn < HANG_UP_SHARE + BUSY_SHARE:
            return pack(">HHHBBB", transaction, 0, 3, unit, function | 0x80, ILLEGAL_ADDRESS if refused else BUSY)
        data = b"".join(pack(">H", value(now_s, address + i)) for i in range(count))
        return pack(">HHHBBB", transaction, 0, 3 + len(data), unit, function, len(data)) + data


def value(at_s: float, address: int) -> int:
    """What a register holds at this time."""
    return (int(at_s) + address) & 0xFFFF


class Day(Afternoon):
    """The loop. Its connections lead to machines, by port."""

    def __init__(self, machines: list[Machine]) -> None:
        super().__init__()
        self._machines = machines
        self._ports: dict[int, int] = {}

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        await asyncio.sleep(LATENCY_S)
        if self._machines[address[1] - 1].off(self.now_s):
            raise ConnectionRefusedError(111, "Connection refused")
        self._ports[sock.fileno()] = address[1]

    async def create_connection(self, factory: Callable[[], Any], *, sock: socket.socket, **_: Any) -> Any:
        port = self._ports.pop(sock.fileno())
        sock.close()
        protocol = factory()
        wire = Wire(self, self._machines[port - 1], protocol)
        protocol.connection_made(wire)
        return wire, protocol

    def timers(self) -> int:
        """How many have not fired and were not cancelled."""
        return sum(not timer.cancelled() for timer in self._scheduled)  # type: ignore[attr-defined]


class Watch:
    """Sees each commit: numbers without a hole, right values, what gaps tell; and acknowledges, unless it is gone."""

    def __init__(self, loop: Day, buffer: Buffer, chance: random.Random) -> None:
        self._loop, self._buffer, self._chance = loop, buffer, chance
        self.last = 0
        self.wrong: list[str] = []
        self.values = 0
        self.frames: Counter[str] = Counter()
        self.gaps = 0
        self._gone_from_s, self._gone_to_s = chance.expovariate(1 / GONE_EACH_S), 0.0
        self._owed: list[tuple[str, int, int]] = []

    def committed(self, committed: Committed) -> None:
        """One commit."""
        if committed.first != self.last + 1 or committed.last != self.last + len(committed.frames):
            self._say(f"numbers {committed.first}..{committed.last} came after {self.last}")
        self.last = committed.last
        for frame in committed.frames:
            if frame.kind == Kind.GAP:
                self.gaps += 1
            else:
                self.frames[frame.device] += 1
                self._look(frame)
        self._owed.append((committed.epoch, committed.first, committed.last))
        now_s = self._loop.now_s
        if now_s >= self._gone_from_s:
            self._gone_to_s = now_s + self._chance.uniform(0, GONE_S)
            self._gone_from_s = self._gone_to_s + self._chance.expovariate(1 / GONE_EACH_S)
        if now_s >= self._gone_to_s:
            for epoch, first, last in self._owed:
                self._loop.call_later(PUBACK_S, self._buffer.acknowledge, TARGET, epoch, (first, last), WINDOW)
            self._owed.clear()
        elif len(self._owed) > 1:
            # What was not acknowledged: the numbers run on.
            (epoch, first, _), (_, _, last) = self._owed
            self._owed = [(epoch, first, last)]

    def _look(self, frame: Frame) -> None:
        """Every good word of the frame is what its register held when the reply was sent."""
        tags = unpack(f"<{frame.count}I", frame.tags) if len(frame.tags) > 4 else (unpack("<I", frame.tags)[0],)
        times = unpack(f"<{len(frame.source_us) // 8}q", frame.source_us)
        statuses = unpack(f"<{len(frame.status) // 4}I", frame.status)
        values = unpack(f"<{len(frame.values) // 8}Q", frame.values)
        for i, tag in enumerate(tags):
            if tag >= REGISTERS or statuses[i if len(statuses) > 1 else 0]:
                continue
            at_s = (times[i if len(times) > 1 else 0] - BUILT_US) / 1e6
            self.values += 1
            got = values[i if len(values) > 1 else 0]
            if got not in (value(at_s, tag), value(at_s + 1e-3, tag), value(at_s - 1e-3, tag)):
                self._say(f"{frame.device} tag {tag}: {got} at {at_s:.3f} s, where {value(at_s, tag)} was held")

    def _say(self, what: str) -> None:
        if len(self.wrong) < 5:
            self.wrong.append(what)


def write_configuration(folder: Path) -> Path:
    """Devices of which some are read each second and some each ten, with windows, an alarm and a refused register."""
    rows = ["name,address,type,group,deadband,heartbeat,formula"]
    devices = ["name,driver,table,address,unit,profile"]
    for kind in ("fast", "slow"):
        table = [f"r{i},{i},uint16,{kind},,," for i in range(REGISTERS)]
        table += [
            f"refused,{REFUSED_ADDRESS},uint16,{kind},,,",
            f"still,30,uint16,{kind},100,10min,",
            ",,,,,,".join(["quarter", '"mean(r1, 15min)"']),
            ",,,,,,".join(["came", '"difference(r2, 15min)"']),
            ",,,,,,".join(["high", '"alarm(r3, high=40000, hysteresis=100, on_delay=10s)"']),
        ]
        (folder / f"{kind}.csv").write_text("\n".join([*rows, *table]) + "\n")
    first = 1
    for kind, count in (("fast", FAST), ("slow", SLOW)):
        devices += [f"m{n:02d},modbus,{kind},tcp://127.0.0.1:{n},1," for n in range(first, first + count)]
        first += count
    (folder / "devices.csv").write_text("\n".join(devices) + "\n")
    path = folder / "gateway.toml"
    path.write_text(CONFIGURATION)
    return path


def look(loop: Day) -> Look:
    """One look, after everything that is garbage has gone."""
    gc.collect()
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private_kb = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    tasks = len(asyncio.all_tasks(loop))
    return Look(loop.now_s / HOUR_S, private_kb, len(gc.get_objects()), tasks, descriptors, loop.timers())


async def live(loop: Day, clock: Clock, folder: Path, hours: float, chance: random.Random) -> list[Finding]:
    """The day; its findings."""
    config = load(write_configuration(folder), {})
    buffer = Buffer.open(config.buffer, clock, [TARGET])
    await buffer.start()
    watch = Watch(loop, buffer, chance)
    stages = Stages(config, drivers(), clock, "day", buffer)
    buffer.listen(watch.committed)
    stages.start()
    begun_s, looks = time.monotonic(), []
    for hour in range(1, round(hours) + 1):
        await asyncio.sleep(hour * HOUR_S - loop.now_s)
        looks.append(look(loop))
        now = looks[-1]
        words = f"{now.tasks} tasks, {now.descriptors} descriptors, {now.timers} timers, number {watch.last:,}"
        memory = f"{now.private_kb / 1024:.1f} MB, {now.objects:,} objects"
        print(f"  hour {hour}, {time.monotonic() - begun_s:.0f} s: {memory}, {words}", flush=True)
    status, held = stages.poller.status(), buffer.status()
    await stages.end()
    await buffer.close()
    left = asyncio.all_tasks(loop) - {asyncio.current_task()}
    due = {device.name: hours * HOUR_S / device.groups[0].interval_s for device in config.devices}
    reads = sum(one.reads for one in status)
    apart = max(abs(one.reads + one.missed - due[one.name]) / due[one.name] for one in status)
    unseen = [one.name for one in status if watch.frames[one.name] < one.reads]
    return [
        *grew(looks),
        Finding(not watch.wrong, f"{watch.values:,} values looked at, numbers 1..{watch.last:,} without a hole; wrong: "
                f"{len(watch.wrong)} {'; '.join(watch.wrong)}"),
        Finding(apart < 0.001, f"{reads:,} reads and {sum(one.missed for one in status):,} missed cycles are all that "
                f"were due, within {100 * apart:.3f} % (at most 0.1)"),
        Finding(not unseen, f"each read was committed; fewer frames than reads: {', '.join(unseen) or 'none'}"),
        Finding(watch.gaps > 0 and held.first > 1, f"{watch.gaps} gaps told; below {held.first:,} it went for room"),
        Finding(not left, f"{len(left)} tasks left behind"),
    ]  # fmt: skip


def grew(looks: list[Look]) -> list[Finding]:
    """What is taken in the hours after the first ones, as a line through it: a bus that is gone has fewer tasks."""
    settled = looks[SETTLED_HOURS - 1 :]
    hours = [one.hour for one in settled]
    found = []
    for name, unit, least in GROWTH_HOUR_MAX:
        counts = [float(getattr(one, name)) for one in settled]
        slope = linear_regression(hours, counts).slope
        words = (
            f"{name.partition('_')[0]}: {slope:+.2f} {unit}an hour (less than {least:g}), at most {max(counts):,.0f}"
        )
        found.append(Finding(slope < least, words))
    return found


def main() -> None:
    """The command: see the module's text."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.day")
    parser.add_argument("hours", type=float, nargs="?", default=HOURS, help="at least 8")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it")
    given = parser.parse_args()
    if given.hours < 8:
        parser.error("a day has at least 8 hours here")
    folder = workplace("day", given.keep)
    size = f"{given.hours:g} h, {FAST + SLOW} devices, seed {given.seed}"
    print(f"a day in fast-forward: {size}, in {folder}", flush=True)
    chance = random.Random(given.seed)
    loop = Day([Machine(random.Random(chance.random())) for _ in range(FAST + SLOW)])
    clock = Clock(lambda: BUILT_US + round(loop.now_s * 1e6), lambda: round(loop.now_s * 1e6))
    begun_s = time.monotonic()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        findings = runner.run(live(loop, clock, folder, given.hours, chance))
    print(f"a day in fast-forward, {time.monotonic() - begun_s:.0f} s: {size}")
    print("\n".join(map(str, findings)))
    leave(folder, all(finding.holds for finding in findings), given.keep)


if __name__ == "__main__":
    main()
