"""What came, held against what the server did: nothing is missing without a gap, invented or double, nothing leaks."""

import asyncio
import gc
import os
from collections.abc import Coroutine
from typing import Any

from tests.drivers.opcua.peers import COUNTERS, Peer
from tests.drivers.opcua.stand import Feed, device
from tidegate.model.device import Device
from tidegate.model.gap import Why
from tidegate.model.tag import Tag, Type

# Of a gap that says that a machine's readings are missing.
MISSING = {Why.SOURCE_GAP, Why.SOURCE_OVERFLOW, Why.DEVICE_DOWN, Why.SHED}


def counter(name: str) -> Tag:
    """A node that is told on every change."""
    return Tag(name, Type.INT32, Type.INT32, f"nsu={COUNTERS};s={name}", (("sampling", "0s"),), row=2)


def counters(url: str, nodes: int, interval_s: float = 0.1, **options: str) -> Device:
    """A device of all counters of a server, one that notices soon when something is wrong."""
    soon = {"keepalive": "0.5s", "timeout": "1s", **options}
    return device(url, [counter(f"c{i:05d}") for i in range(nodes)], interval_s, **soon)


def good(feed: Feed, made: Device) -> list[tuple[str, int, int]]:
    """Tag, value and source time of all good readings."""
    return [(one.tag, int(one.value or 0), one.source_us) for one in feed.readings(made) if one.status == 0]


def missing(peer: Peer, feed: Feed, made: Device) -> set[tuple[str, int, int]]:
    """What changed between our first and last reading of a node and never came."""
    came = good(feed, made)
    values: dict[str, list[int]] = {}
    for name, value, _ in came:
        values.setdefault(name, []).append(value)
    span = {name: (min(those), max(those)) for name, those in values.items()}
    have = {(name, value) for name, value, _ in came}
    return {
        (name, value, at)
        for name, value, at in peer.changes()
        if name in span and span[name][0] <= value <= span[name][1] and (name, value) not in have
    }


def unnamed(peer: Peer, feed: Feed, made: Device) -> set[tuple[str, int, int]]:
    """What is missing and lies in no gap of its tag."""
    gaps = [gap for gap in feed.gaps if gap.why in MISSING]
    return {
        (name, value, at)
        for name, value, at in missing(peer, feed, made)
        if not any(gap.t0 <= at <= gap.t1 and (gap.tags is None or name in gap.tags) for gap in gaps)
    }


def invented(peer: Peer, feed: Feed, made: Device) -> list[tuple[str, int, int]]:
    """Good readings that the server never had."""
    had = {(name, value, at // 1000) for name, value, at in peer.changes()}
    return [(name, value, at) for name, value, at in good(feed, made) if (name, value, at // 1000) not in had]


def doubles(feed: Feed, made: Device) -> int:
    """How many good readings came more than once; the last of a tag may be said again behind a gap."""
    latest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    again: list[tuple[str, int]] = []
    said_again = 0
    for name, _, at in good(feed, made):
        if (name, at) in seen and latest[name] == at and said_again < len(feed.gaps) * len(made.table.tags):
            said_again += 1
        elif (name, at) in seen:
            again.append((name, at))
        seen.add((name, at))
        latest[name] = at
    return len(again)


def honest(peer: Peer, feed: Feed, made: Device) -> None:
    """Nothing is missing without a gap that names it, nothing is invented, nothing is double."""
    assert set() == unnamed(peer, feed, made)
    assert [] == invented(peer, feed, made)
    assert 0 == doubles(feed, made)


def last(feed: Feed, made: Device) -> int:
    """The highest value of which all nodes have that or a later one; -1 before each has one."""
    highest: dict[str, int] = {}
    for name, value, _ in good(feed, made):
        highest[name] = max(value, highest.get(name, -1))
    return min(highest.values(), default=-1) if len(highest) == len(made.table.tags) else -1


def run(story: Coroutine[Any, Any, None]) -> None:
    """Let a story happen on a loop of its own; at its end no task is left, and no error was seen by nobody."""
    troubles: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: troubles.append(f"{told['message']}: {told.get('exception')!r}"))
        await story
        for _ in range(3):
            await asyncio.sleep(0.01)
        gc.collect()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]  # there is one
        assert set() == left

    asyncio.run(main())
    gc.collect()
    assert [] == troubles


def descriptors() -> int:
    """How many files and sockets this process has open."""
    return len(os.listdir("/proc/self/fd"))
