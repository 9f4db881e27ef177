"""Bad nodes, small servers, wrong clocks and slow buffers: each costs what it must, is named, and nothing besides."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.drivers.opcua.cable import Cable
from tests.drivers.opcua.judge import counter, counters, good, honest, last, missing, run
from tests.drivers.opcua.peers import THINGS, Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, until
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.frame import Frame
from tidegate.model.gap import Why
from tidegate.model.tag import Tag, TagTable, Type
from tidegate_drivers.opcua import tending
from tidegate_drivers.opcua.driver import OpcuaDriver

Server = Callable[..., AbstractContextManager[Peer]]
SERVERS = pytest.mark.parametrize("server", [node_opcua, asyncua_server], ids=["node-opcua", "asyncua"])
NODES, HZ = 5, 20.0
BAD_NODE_ID_UNKNOWN, BAD_USER_ACCESS_DENIED = 0x80340000, 0x801F0000


def with_tags(made: Device, *tags: Tag) -> Device:
    """The device with more tags in its group."""
    table = TagTable(made.name, (*made.table.tags, *tags))
    return replace(made, table=table, groups=(replace(made.groups[0], tags=tuple(range(len(table.tags)))),))


class Slow(Feed):
    """A feed without room, until there is some."""

    def __init__(self) -> None:
        super().__init__()
        self.room = asyncio.Event()
        self.waiting = 0

    async def put(self, frame: Frame) -> "asyncio.Future[int]":
        self.waiting += 1
        try:
            await self.room.wait()
        finally:
            self.waiting -= 1
        return await super().put(frame)


def test_a_node_that_is_deleted_is_bad_and_comes_back_with_its_next_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tending, "AGAIN_S", 0.5)
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 10)
                peer.ask("delete", nodes=["c00001"])
                begun = len(feed.frames)
                await until(lambda: len(feed.frames) > begun + 20)
                peer.ask("add", nodes=["c00001"])
                there = last(feed, made)
                await until(lambda: last(feed, made) > there + 20)

        run(story())

        others = {one for one in missing(peer, feed, made) if one[0] != "c00001"}
        assert set() == others
        assert BAD_NODE_ID_UNKNOWN in {one.status & 0xFFFF0000 for one in feed.readings(made) if one.tag == "c00001"}
        assert 1 == peer.ask("census")["subscriptions_ever"]


def test_one_denied_node_is_named_and_the_rest_is_told(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES) as peer:
        denied = Tag("denied", Type.INT32, Type.INT32, f"nsu={THINGS};s=denied", row=2)
        unknown = counter("c99999")
        made = with_tags(counters(peer.url, NODES), denied, unknown)

        async def story() -> None:
            async with delivering(made, feed) as driver:
                peer.ask("start", hz=HZ)
                await until(lambda: len(feed.frames) > 10)
                await until(lambda: "plc" in driver.refused())
                first = driver.refused()["plc"]
                assert first is driver.refused()["plc"]
                assert {"c99999"} <= {one.tag for one in first}
                await until(lambda: any(one.tag == "denied" and one.status for one in feed.readings(made)))

        run(story())

        statuses = {(one.tag, one.status) for one in feed.readings(made) if one.status}
        assert {("denied", BAD_USER_ACCESS_DENIED), ("c99999", BAD_NODE_ID_UNKNOWN)} <= statuses
        assert [] == [one for one in good(feed, made) if one[0] in ("denied", "c99999")]


def test_what_a_server_does_not_watch_is_read_in_cycles(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES, items_max=2) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed) as driver:
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 20)
                assert {} == driver.refused()

        run(story())

        assert set() == {one for one in missing(peer, feed, made) if one[0] in ("c00000", "c00001")}


def test_too_many_sessions_are_waited_for(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)
        peer.ask("refuse", service="CreateSession", code="BadTooManySessions", times=3)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 10)

        run(story())

        assert 4 == peer.ask("came")["came"]["CreateSession"]


@SERVERS
def test_a_buffer_without_room_costs_no_session_and_nothing_is_missing(server: Server, tmp_path: Path) -> None:
    with server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES, session_timeout="10s")

        async def story() -> None:
            feed = Slow()
            feed.room.set()
            async with delivering(made, feed) as driver:
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 10)
                connection = driver._session and driver._session._connection
                feed.room.clear()
                await until(lambda: feed.waiting)
                # Longer than silence is borne, and than the session lives without a request.
                peer.ask("stop")
                begun = asyncio.get_running_loop().time()
                await until(lambda: asyncio.get_running_loop().time() > begun + 12)
                assert 1 == feed.waiting
                peer.ask("start", hz=HZ)
                feed.room.set()
                here = last(feed, made)
                await until(lambda: last(feed, made) > here + 20)
                assert driver._session is not None
                assert connection is driver._session._connection
            honest(peer, feed, made)
            assert set() == missing(peer, feed, made)
            assert [] == feed.gaps

        run(story())

        seen = peer.ask("census")
        assert (1, 1) == (seen["sessions_ever"], seen["subscriptions_ever"])


def test_a_queue_that_ran_over_is_a_gap_of_its_time(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=2) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, 2, queue="10")

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=50.0)
                await until(lambda: last(feed, made) >= 20)
                with cable.apart():
                    begun = peer.ask("census")["changes"]
                    await until(lambda: peer.ask("census")["changes"] > begun + 1000)
                here = last(feed, made)
                await until(lambda: last(feed, made) > here + 30)

        run(story())

        assert Why.SOURCE_OVERFLOW in {gap.why for gap in feed.gaps}
        honest(peer, feed, made)


def test_a_clock_that_is_wrong_is_shifted_and_one_that_is_told_again_is_not_judged(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES, skew_max="5s")

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("skew", ms=3_600_000)
                peer.ask("publish_skew", ms=3_600_000)
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 10)

        run(story())

        now_us = Clock().now_us()
        assert [] == [at for name, value, at in good(feed, made) if value > 2 and abs(at - now_us) > 60e6]


def test_ipv6_and_a_host_name_that_nobody_knows(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES, host="::1", hostname="nowhere.invalid") as peer:
        made = counters(f"opc.tcp://[::1]:{peer.port}", NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 10)

        run(story())

        honest(peer, feed, made)


def test_two_devices_of_one_server_share_a_session(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES) as peer:
        one, two = counters(peer.url, NODES), replace(counters(peer.url, 2, 0.2), name="other")
        two = replace(two, groups=(replace(two.groups[0], device="other", name="slow"),),
                      table=TagTable("other", two.table.tags))  # fmt: skip
        driver = OpcuaDriver([one, two], Clock())

        async def story() -> None:
            await driver.open()
            told = asyncio.create_task(driver.subscribe([*one.groups, *two.groups], feed))
            peer.ask("start", hz=HZ)
            feed.tables = {two.table.hash: two.table}
            await until(lambda: {frame.device for frame in feed.frames} == {"plc", "other"} and len(feed.frames) > 30)
            seen = peer.ask("census")
            assert (1, 2, NODES + 2) == (seen["sessions"], seen["subscriptions"], seen["items"])
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
            await driver.close()

        run(story())

        assert 0 == peer.ask("census")["sessions"]
