"""The poller and the Modbus driver against machines behind real sockets, with hostile ones beside and without, in turn.

Honest machines have to keep their pace: those with a connection of their own, and those that share one with a unit
that is silent, late or refuses.
"""

import asyncio
import gc
import logging
import os
import shutil
import statistics
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from struct import Struct

from demo.child import Child, python, wait_for
from tests.campaigns.checker import Finding
from tests.campaigns.modbus_checker import SLOT_BYTES, SLOTS
from tests.campaigns.modbus_machines import BAD_UNIT, Told, read_log
from tests.campaigns.modbus_replies import TIMEOUT_S
from tests.campaigns.modbus_virtual import machine
from tidegate.acquire.poller import Poller
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.frame import Frame
from tidegate.model.gap import Gap
from tidegate_drivers.modbus.driver import ModbusDriver

OWN, SHARED, HOSTILE = 40, 10, 150
REPLIES = 20_000
HONEST_INTERVAL_S, HOSTILE_INTERVAL_S = 1.0, 0.4
# Who shares a line with a silent unit waits for its timeout now and then: there is one question at a time.
SHARED_TIMEOUT_S = 0.08
DEADLINE_S = 0.9
ALONE_S, BESIDE_S = 7.0, 11.0
# Connections, first reads and what backs off are left out of the figures on pace.
SETTLE_S = 2.5
WINDOWS_MAX = 6
READY_DEADLINE_S = 10.0
STOP_DEADLINE_S = 10.0
PACE_CHANGE_MAX = 0.10
# The machines' log and the poller read one clock; a busy machine hands a reply over so late.
HANDED_OVER_S = 1.0
GROWTH_BYTES_MAX = 3_000_000
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
EARLY_S = 0.001
LEAVE_S = 0.05
SENTENCES_MAX = 5
LATE_KINDS = frozenset({"late", "late, twice or of another length", "dripping too slowly"})
HONEST_SORTS = ("own", "shared")
I64, U32 = Struct("<q"), Struct("<I")


@dataclass(slots=True)
class Window:
    """What one window showed. It is a sink while it lasts."""

    hostile: bool
    frames: list[Frame] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    missed: int = 0
    descriptors: int = 0
    tasks: int = 0
    rss_bytes: int = 0
    own_p99_s: float = 0.0
    shared_p99_s: float = 0.0

    def __str__(self) -> str:
        beside = "with hostility" if self.hostile else "without"
        return f"{beside}: p99 {self.own_p99_s * 1000:.1f} and {self.shared_p99_s * 1000:.1f} ms, {self.missed} missed"

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        """Keep a frame."""
        self.frames.append(frame)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(len(self.frames))
        return done

    def measure(self) -> None:
        """How the honest devices kept their pace."""
        self.own_p99_s = self._p99_s("own")
        self.shared_p99_s = self._p99_s("shared")

    def _p99_s(self, sort: str) -> float:
        """The 99th percentile of how far periods were off their interval, and the interval."""
        times: dict[str, list[int]] = {}
        for frame in self.frames:
            if frame.device.startswith(sort):
                times.setdefault(frame.device, []).append(frame.mono_us)
        periods = [
            abs(after - before - HONEST_INTERVAL_S * 1e6)
            for seen in times.values()
            for before, after in pairwise(at for at in seen if at - seen[0] > SETTLE_S * 1e6)
        ]
        return HONEST_INTERVAL_S + statistics.quantiles(periods, n=100)[98] / 1e6


class Judge:
    """Holds the values of frames against the machines' log."""

    def __init__(self) -> None:
        self.values = 0
        self.wrong: list[str] = []

    def judge(self, frames: Sequence[Frame], told: Sequence[Told]) -> None:
        """All frames of a window, with all questions that were asked in it."""
        answered: dict[tuple[int, int, int], list[Told]] = {}
        asked: dict[int, list[float]] = {}
        for one in told:
            asked.setdefault(one.port, []).append(one.at_s)
            # One that was late by less than this loop's own delay may have been seen in time.
            if one.right_s is not None or one.kind in LATE_KINDS:
                answered.setdefault((one.port, one.unit, one.function), []).append(one)
        for frame in frames:
            _, port, unit = frame.device.split("-")
            times = asked.get(int(port), [])
            for (function, at_us), slots in self._replies(frame).items():
                at_s = (at_us - frame.gateway_us + frame.mono_us) / 1e6
                due = [
                    one
                    for one in answered.get((int(port), int(unit), function), ())
                    if -EARLY_S < at_s - (one.right_s or one.at_s + TIMEOUT_S) < HANDED_OVER_S
                    # No other question was asked on the line before it was taken.
                    and bisect_right(times, one.at_s) == bisect_left(times, at_s)
                ]
                if not any(all(SLOTS[tag].expected(int(unit), one.n) == value for tag, value in slots) for one in due):
                    self.wrong.append(
                        f"{frame.device}, function {function}: {slots[0][1].hex()} is in none of {len(due)} replies "
                        "that were right and due"
                    )

    def _replies(self, frame: Frame) -> dict[tuple[int, int], list[tuple[int, bytes]]]:
        """The good tags and slots of a frame, by function and source time: what came in one reply."""
        tags = [tag for (tag,) in U32.iter_unpack(frame.tags)]
        statuses = [status for (status,) in U32.iter_unpack(frame.status)]
        times = [at for (at,) in I64.iter_unpack(frame.source_us)]
        values = frame.values if len(frame.values) > SLOT_BYTES else frame.values * len(tags)
        found: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        for i, tag in enumerate(tags):
            value = values[SLOT_BYTES * i : SLOT_BYTES * (i + 1)]
            if not statuses[i if len(statuses) > 1 else 0]:
                self.values += 1
                found.setdefault((SLOTS[tag].function, times[i if len(times) > 1 else 0]), []).append((tag, value))
            elif value != bytes(SLOT_BYTES):
                self.wrong.append(f"{frame.device}, tag {tag} is bad and has a value")
        return found


def machines(ports: Sequence[Sequence[int]]) -> tuple[list[Device], list[Device]]:
    """The honest devices, and those that are read beside them in every other window. Names hold port and unit."""
    own, shared, hostile = ports

    def made(sort: str, port: int, unit: int, interval_s: float, timeout_s: float, by_block: bool = False) -> Device:
        name, address = f"{sort}-{port}-{unit}", f"tcp://127.0.0.1:{port}"
        return machine(name, address, unit, interval_s, DEADLINE_S, timeout_s, by_block)

    honest = [made("own", port, 1, HONEST_INTERVAL_S, TIMEOUT_S) for port in own]
    honest += [made("shared", port, unit, HONEST_INTERVAL_S, SHARED_TIMEOUT_S) for port in shared for unit in (1, 2)]
    beside = [made("bad", port, BAD_UNIT, HONEST_INTERVAL_S, SHARED_TIMEOUT_S) for port in shared]
    beside += [made("hostile", port, 1, HOSTILE_INTERVAL_S, TIMEOUT_S, True) for port in hostile]
    return honest, beside


async def read_for_a_while(devices: Sequence[Device], seconds: float, window: Window, seed: int) -> None:
    """Poll for so long, and look at what is left then."""
    clock = Clock(monotonic=lambda: time.monotonic_ns() // 1000)
    poller = Poller(devices, {"modbus": ModbusDriver}, window, window.gaps.append, clock, Random(seed))
    running = asyncio.create_task(poller.run())
    await asyncio.wait([running], timeout=SETTLE_S)
    before = missed(poller)
    await asyncio.wait([running], timeout=seconds - SETTLE_S)
    window.missed = missed(poller) - before
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    # Aborted transports are closed a turn of the loop later.
    await asyncio.sleep(LEAVE_S)
    window.tasks = len(asyncio.all_tasks()) - 1


def missed(poller: Poller) -> int:
    """Cycles of honest devices that did not come, so far."""
    return sum(one.missed for one in poller.status() if one.name.startswith(HONEST_SORTS))


def look_around(window: Window) -> None:
    """What this process holds when a window is over."""
    window.frames.clear()
    window.gaps.clear()
    gc.collect()
    window.descriptors = len(os.listdir("/proc/self/fd"))
    window.rss_bytes = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def campaign(seed: int, replies: int = REPLIES) -> list[Finding]:
    """Windows with and without hostility in turn until so many hostile replies were made; what they showed."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-modbus-"))
    port_file, log = folder / "ports", folder / "questions.log"
    counts = ("--own", str(OWN), "--shared", str(SHARED), "--hostile", str(HOSTILE))
    files = ("--log", str(log), "--port-file", str(port_file))
    child = Child("machines", python("tests.campaigns.modbus_machines", "--seed", str(seed), *files, *counts), folder)
    windows: list[Window] = []
    judge, kinds, offset, begin = Judge(), Counter[str](), 0, time.monotonic()
    # What backs off and is up again is said by the log of the gateway, which is none of this campaign.
    logging.getLogger("tidegate").setLevel(logging.CRITICAL)
    try:
        wait_for("the machines listen", port_file.exists, READY_DEADLINE_S, child)
        ports = [[int(port) for port in line.split()] for line in port_file.read_text().splitlines()]
        honest, beside = machines(ports)
        # As `tidegate run` does with what it has loaded.
        gc.collect()
        gc.freeze()
        bad = {(port, BAD_UNIT) for port in ports[1]} | {(port, 1) for port in ports[2]}
        while len(windows) < 2 * WINDOWS_MAX and (len(windows) % 2 or kinds.total() < replies):
            window = Window(hostile=len(windows) % 2 == 1)
            devices, seconds = ([*honest, *beside], BESIDE_S) if window.hostile else (honest, ALONE_S)
            asyncio.run(read_for_a_while(devices, seconds, window, seed))
            window.measure()
            told, offset = read_log(log, offset)
            judge.judge(window.frames, told)
            kinds.update(one.kind for one in told if (one.port, one.unit) in bad)
            look_around(window)
            windows.append(window)
            print(f"  {window}, {kinds.total():,} hostile replies", flush=True)
        child.stop(STOP_DEADLINE_S)
        return findings(windows, kinds, judge, time.monotonic() - begin, replies)
    finally:
        gc.unfreeze()
        child.kill()
        shutil.rmtree(folder, ignore_errors=True)


def findings(
    windows: Sequence[Window], kinds: Counter[str], judge: Judge, took_s: float, replies: int
) -> list[Finding]:
    """What the windows showed, with hostility and without."""
    alone = [window for window in windows if not window.hostile]
    beside = [window for window in windows if window.hostile]
    found = [
        Finding(
            kinds.total() >= replies and not judge.wrong,
            f"{kinds.total():,} hostile replies of {len(kinds)} kinds through sockets in {took_s:.0f} s "
            f"(at least {replies:,}): {len(judge.wrong)} wrong values accepted of {judge.values:,}"
            + "".join(f"\n        {sentence}" for sentence in judge.wrong[:SENTENCES_MAX]),
        )
    ]
    for what, took in (("a connection of their own", "own_p99_s"), ("a line shared with a bad unit", "shared_p99_s")):
        before_s, after_s = (statistics.median(getattr(window, took) for window in some) for some in (alone, beside))
        change = after_s / before_s - 1
        found.append(
            Finding(
                change < PACE_CHANGE_MAX,
                f"honest machines with {what}: period p99 {before_s * 1000:.1f} ms, with hostility beside them "
                f"{after_s * 1000:.1f} ms: {change:+.1%} (limit {PACE_CHANGE_MAX:.0%})",
            )
        )
    lost = [sum(window.missed for window in some) for some in (alone, beside)]
    growth = beside[-1].rss_bytes - beside[0].rss_bytes
    more = max(window.descriptors for window in windows) - windows[0].descriptors
    tasks = max(window.tasks for window in windows)
    return [
        *found,
        Finding(not lost[1], f"they missed {lost[1]} cycles with hostility beside them, {lost[0]} without"),
        Finding(
            not more and not tasks and growth < GROWTH_BYTES_MAX,
            f"afterwards {tasks} tasks and {more} descriptors more, memory {growth / 1e6:+.1f} MB from the first "
            f"hostile window to the last (limit {GROWTH_BYTES_MAX / 1e6:g} MB)",
        ),
    ]
