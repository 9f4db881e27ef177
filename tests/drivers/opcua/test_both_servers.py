"""What both servers give in the same way: counters told and read in cycles, on IPv4 and IPv6, and what they refuse."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.drivers.opcua.peers import COUNTERS, THINGS, Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, device, until
from tidegate.clock import Clock
from tidegate.model.frame import readings
from tidegate.model.tag import Tag, Type
from tidegate_drivers.opcua.driver import OpcuaDriver

Serve = Callable[..., AbstractContextManager[Peer]]
SERVERS: dict[str, Serve] = {"node-opcua": node_opcua, "asyncua": asyncua_server}
NODES = 12
BAD_USER_ACCESS_DENIED, BAD_NODE_ID_UNKNOWN = 0x801F0000, 0x80340000


@pytest.fixture(params=SERVERS.values(), ids=SERVERS.keys())
def serve(request: pytest.FixtureRequest) -> Serve:
    """`with serve(folder) as peer`: one of the servers."""
    served: Serve = request.param
    return served


def tags(names: list[str], namespace: str = COUNTERS) -> list[Tag]:
    """Nodes that are told on every change."""
    return [
        Tag(name, Type.INT32, Type.INT32, f"nsu={namespace};s={name}", (("sampling", "0s"),), row=2) for name in names
    ]


def counters() -> list[Tag]:
    return tags([f"c{i:05}" for i in range(NODES)])


def test_each_change_is_told_with_its_value_and_source_time(serve: Serve, tmp_path: Path) -> None:
    feed = Feed()

    async def story(peer: Peer) -> None:
        made = device(peer.url, counters())
        async with delivering(made, feed):
            await until(lambda: len(feed.readings(made)) == NODES)
            for _ in range(5):
                await asyncio.to_thread(peer.ask, "step")
            await until(lambda: len(feed.readings(made)) >= 6 * NODES)

        told = [(reading.tag, reading.value, reading.source_us) for reading in feed.readings(made)]
        assert sorted(peer.changes()) == sorted(told)

    with serve(tmp_path, counters=NODES) as peer:
        asyncio.run(story(peer))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("register", ["no", "yes"])
def test_all_are_read_in_cycles_as_they_are(serve: Serve, tmp_path: Path, host: str, register: str) -> None:
    async def story(peer: Peer) -> None:
        made = device(peer.url, counters(), delivery="read", register=register)
        driver = OpcuaDriver([made], Clock())
        try:
            await driver.open()
            for _ in range(3):
                await asyncio.to_thread(peer.ask, "step")
                frame = await driver.read(made.groups[0])

                latest = {(name, value, at) for name, value, at in peer.changes()[-NODES:]}
                assert latest == {(one.tag, one.value, one.source_us) for one in readings(frame, made.table)}
        finally:
            await driver.close()

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no IPv6 loopback")
    with serve(tmp_path, counters=NODES, host=host) as peer:
        asyncio.run(story(peer))


def test_what_is_denied_or_unknown_is_bad_with_the_servers_own_word_and_the_rest_is_good(
    serve: Serve, tmp_path: Path
) -> None:
    feed = Feed()

    async def story(peer: Peer) -> None:
        made = device(peer.url, [*counters(), *tags(["denied", "missing", "writable"], THINGS)])
        async with delivering(made, feed):
            await until(lambda: len({reading.tag for reading in feed.readings(made)}) == NODES + 3)

        last = {reading.tag: reading for reading in feed.readings(made)}
        bad = {name: reading.status for name, reading in last.items() if reading.status}
        assert {"denied": BAD_USER_ACCESS_DENIED, "missing": BAD_NODE_ID_UNKNOWN} == bad
        assert 7 == last["writable"].value

    with serve(tmp_path, counters=NODES) as peer:
        asyncio.run(story(peer))


def test_more_items_than_the_server_takes_are_read_in_cycles(serve: Serve, tmp_path: Path) -> None:
    feed = Feed()

    async def story(peer: Peer) -> None:
        made = device(peer.url, counters())
        async with delivering(made, feed):
            await until(lambda: len({reading.tag for reading in feed.readings(made)}) == NODES)
            await asyncio.to_thread(peer.ask, "step")
            latest = {(name, value) for name, value, _ in peer.changes()[-NODES:]}
            await until(lambda: latest <= {(one.tag, one.value) for one in feed.readings(made)})
            census = await asyncio.to_thread(peer.ask, "census")

            assert 5 == census["items"]

    with serve(tmp_path, counters=NODES, items_max=5, operation_limits={"maxMonitoredItemsPerCall": 4}) as peer:
        asyncio.run(story(peer))
