"""The servers that others' tests stand on do what they say: own port, a log of every change, control, true counts."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from tests.drivers.opcua.peers import COUNTERS, REINDEXED, THINGS, Peer, PeerFailed, asyncua_server, node_opcua

SERVERS: dict[str, Callable[..., AbstractContextManager[Peer]]] = {"node-opcua": node_opcua, "asyncua": asyncua_server}
DEADLINE_S = 30.0
LOOK_S, LOOKS_MAX = 0.05, 600
HISTORY_MS = 1_900_000_000_000


@pytest.fixture(scope="module", params=SERVERS.values(), ids=SERVERS.keys())
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    """One server for all tests here."""
    with request.param(tmp_path_factory.mktemp("peer"), counters=5) as started:
        yield started


def against(peer: Peer, story: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    """The story, told to a connected client of asyncua."""

    async def main() -> None:
        async with Client(peer.url, timeout=DEADLINE_S) as client:
            await story(client)

    asyncio.run(main())


class Heard:
    """What a subscription brought: node, value and source time, until there are enough of them."""

    def __init__(self, wanted: int = 1) -> None:
        self.values: list[tuple[str, int, int]] = []
        self.wanted, self.enough = wanted, asyncio.Event()

    def datachange_notification(self, node: Any, value: int, data: Any) -> None:
        """Called by asyncua, a value at a time."""
        at = data.monitored_item.Value.SourceTimestamp
        self.values.append((node.nodeid.Identifier, value, round(at.timestamp() * 1e6)))
        if len(self.values) >= self.wanted:
            self.enough.set()


def test_its_port_is_its_own(peer: Peer) -> None:
    with socket.create_connection(("127.0.0.1", peer.port)) as there:
        inode = next(
            line.split()[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{peer.port:04X}") and line.split()[3] == "0A"
        )
        held = [link.readlink() for link in Path(f"/proc/{peer.pid}/fd").iterdir() if link.is_symlink()]

        assert there.getpeername()[1] == peer.port
    assert Path(f"socket:[{inode}]") in held


def test_every_change_that_a_client_sees_is_in_its_log(peer: Peer) -> None:
    heard = Heard(5 + 10 * 5)

    async def story(client: Client) -> None:
        index = await client.get_namespace_index(COUNTERS)
        nodes = [client.get_node(ua.NodeId(f"c{i:05}", index)) for i in range(5)]
        subscription = await client.create_subscription(50, heard)
        await subscription.subscribe_data_change(nodes, queuesize=100, sampling_interval=0.0)
        for _ in range(10):
            await asyncio.to_thread(peer.ask, "step")
        await asyncio.wait_for(heard.enough.wait(), DEADLINE_S)

    begun = len(peer.changes())
    against(peer, story)

    assert sorted(peer.changes()[begun - 5 :]) == sorted(heard.values)


def test_it_counts_sessions_subscriptions_and_items(peer: Peer) -> None:
    async def story(client: Client) -> None:
        index = await client.get_namespace_index(COUNTERS)
        nodes = [client.get_node(ua.NodeId(f"c{i:05}", index)) for i in range(3)]
        await (await client.create_subscription(100, Heard())).subscribe_data_change(nodes)

        seen = await asyncio.to_thread(peer.ask, "census")
        assert (1, 1, 3) == (seen["sessions"], seen["subscriptions"], seen["items"])

    peer.wait_for("the clients before are gone", lambda seen: seen["sessions"] == 0, DEADLINE_S)
    against(peer, story)
    after = peer.wait_for("the client is gone", lambda seen: seen["sessions"] == 0, DEADLINE_S)

    assert (0, 0) == (after["subscriptions"], after["items"])


def test_a_deleted_node_is_unknown_and_goes_on_when_it_is_added_again(peer: Peer) -> None:
    async def story(client: Client) -> None:
        node = client.get_node(ua.NodeId("c00004", await client.get_namespace_index(COUNTERS)))
        before = await node.read_value()
        await asyncio.to_thread(peer.ask, "delete", nodes=["c00004"])
        with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
            await node.read_value()
        await asyncio.to_thread(peer.ask, "add", nodes=["c00004"])

        assert before == await node.read_value()

    against(peer, story)


def test_structures_a_union_and_an_enumeration_are_read(peer: Peer) -> None:
    async def story(client: Client) -> None:
        await client.load_data_type_definitions()
        index = await client.get_namespace_index(THINGS)
        found = {}
        for name in ("mode", "point", "stroke", "recipe", "choice", "points"):
            found[name] = await client.get_node(ua.NodeId(name, index)).read_value()

        assert 1 == found["mode"]
        assert (1.5, -2.5) == (found["point"].X, found["point"].Y)
        assert ("s1", 3.0, [0.5, 0.25]) == (found["stroke"].Name, found["stroke"].To.X, found["stroke"].Widths)
        assert ("r1", None, 3) == (found["recipe"].Name, found["recipe"].Speed, found["recipe"].Count)
        assert "chosen" == found["choice"].Text
        assert [1.0, 3.0] == [point.X for point in found["points"]]

    against(peer, story)


def test_a_node_that_is_not_for_everybody_is_denied(peer: Peer) -> None:
    async def story(client: Client) -> None:
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await client.get_node(ua.NodeId("denied", await client.get_namespace_index(THINGS))).read_value()

    against(peer, story)


def test_history_is_kept_with_its_times(peer: Peer) -> None:
    async def story(client: Client) -> None:
        node = client.get_node(ua.NodeId("historic", await client.get_namespace_index(THINGS)))
        for value in (1.0, 2.0, 3.0):
            await asyncio.to_thread(peer.ask, "set", node="historic", value=value, at_ms=HISTORY_MS + int(value))
        begin, end = (datetime.fromtimestamp(HISTORY_MS / 1000 + s, UTC) for s in (0, 1))
        # asyncua's server hears of its own values a moment later.
        for _ in range(LOOKS_MAX):
            kept = await node.read_raw_history(begin, end)
            if len(kept) == 3:
                break
            await asyncio.sleep(LOOK_S)

        expected = [(value, HISTORY_MS + int(value)) for value in (1.0, 2.0, 3.0)]
        assert expected == [(one.Value.Value, round(one.SourceTimestamp.timestamp() * 1000)) for one in kept]

    against(peer, story)


def test_what_it_cannot_do_is_said(peer: Peer) -> None:
    with pytest.raises(PeerFailed, match="can't dance"):
        peer.ask("dance")


def test_after_a_restart_in_another_order_the_namespaces_have_other_indexes(peer: Peer) -> None:
    before, port = peer.ask("namespaces")["namespaces"], peer.port
    peer.again(order=REINDEXED)
    after = peer.ask("namespaces")["namespaces"]

    assert port == peer.port
    assert all(before.index(uri) != after.index(uri) for uri in (COUNTERS, THINGS))
