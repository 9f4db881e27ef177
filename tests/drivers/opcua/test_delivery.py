"""What a server tells arrives whole: over lost connections, over our own end, and with what it can't give named."""

import asyncio
from pathlib import Path

from tests.drivers.opcua.peers import COUNTERS, Peer, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, device, until
from tidegate.model.device import Device
from tidegate.model.tag import Tag, Type

NODES = 20


def counter(name: str) -> Tag:
    """A node that is told on every change."""
    return Tag(name, Type.INT32, Type.INT32, f"nsu={COUNTERS};s={name}", (("sampling", "0s"),), row=2)


def counters(peer: Peer, nodes: int = NODES) -> Device:
    names = [f"c{i:05d}" for i in range(nodes)]
    return device(peer.url, [counter(name) for name in names])


def missing(peer: Peer, feed: Feed, made: Device) -> set[tuple[str, int]]:
    """What the server changed between our first and last reading of each node, and we never got."""
    came: dict[str, list[int]] = {}
    for reading in feed.readings(made):
        if reading.status == 0:
            came.setdefault(reading.tag, []).append(int(reading.value or 0))
    changed = [(name, value) for name, value, _ in peer.changes() if name in came]
    return {
        (name, value)
        for name, value in changed
        if min(came[name]) <= value <= max(came[name]) and value not in came[name]
    }


def doubles(feed: Feed, made: Device) -> int:
    """How many readings came more than once."""
    came = [(reading.tag, reading.source_us) for reading in feed.readings(made) if reading.status == 0]
    return len(came) - len(set(came))


def test_every_change_comes_once(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES, hz=20.0) as peer:
        made = counters(peer)

        async def main() -> None:
            async with delivering(made, feed):
                peer.ask("start")
                await until(lambda: len(feed.readings(made)) > 30 * NODES)

        asyncio.run(main())

        assert set() == missing(peer, feed, made)
        assert 0 == doubles(feed, made)
        assert feed.gaps == []


def test_a_next_process_takes_the_subscription_over_and_nothing_is_missing_nor_doubled(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES, hz=20.0) as peer:
        made = counters(peer)

        async def main() -> None:
            for _ in range(3):
                seen = len(feed.readings(made))
                async with delivering(made, feed, tmp_path / "keep"):
                    peer.ask("start")
                    await until(lambda: len(feed.readings(made)) > seen + 15 * NODES)  # noqa: B023

        asyncio.run(main())

        assert set() == missing(peer, feed, made)
        assert 0 == doubles(feed, made)
        assert feed.gaps == []
        assert 1 == peer.ask("census")["subscriptions_ever"]
