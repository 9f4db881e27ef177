"""Servers and lines fail in every way: delivery comes back by itself, and what is missing is named by a gap."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.drivers.opcua.cable import Cable
from tests.drivers.opcua.judge import counters, good, honest, last, missing, run
from tests.drivers.opcua.peers import REINDEXED, Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, until

Server = Callable[..., AbstractContextManager[Peer]]
SERVERS = pytest.mark.parametrize("server", [node_opcua, asyncua_server], ids=["node-opcua", "asyncua"])
NODES, HZ = 5, 20.0


def more(feed: Feed, made: object, steps: int = 10) -> Callable[[], bool]:
    """Whether so many steps have come since now, of all nodes."""
    begun = last(feed, made)  # type: ignore[arg-type]
    return lambda: last(feed, made) >= begun + steps  # type: ignore[arg-type]


@SERVERS
def test_a_server_that_was_killed_is_read_again_and_its_absence_is_a_gap(server: Server, tmp_path: Path) -> None:
    feed = Feed()
    with server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.again(hz=HZ)
                await until(lambda: len(feed.gaps) == 1 and len([1 for one in good(feed, made) if one[1] < 30]) > 0)
                begun = len(feed.frames)
                await until(lambda: len(feed.frames) > begun + 10)
                assert 1 == peer.ask("census")["sessions"]

        run(story())

        assert 1 == peer.ask("census")["sessions_ever"]


def test_after_a_restart_with_other_indexes_no_reading_is_of_a_wrong_node(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES, shadows=True) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.again(hz=HZ, order=REINDEXED)
                begun = len(feed.frames)
                await until(lambda: len(feed.frames) > begun + 10)

        run(story())

        assert [] == [one for one in good(feed, made) if one[1] < 0]
        assert [] == [one.status for one in feed.readings(made) if one.status]


@SERVERS
def test_what_a_cut_line_did_not_carry_is_told_afterwards(server: Server, tmp_path: Path) -> None:
    feed = Feed()
    with server(tmp_path, counters=NODES) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                for _ in range(3):
                    await until(more(feed, made))
                    cable.tear()
                await until(more(feed, made))

        run(story())

        honest(peer, feed, made)
        assert set() == missing(peer, feed, made)
        assert [] == feed.gaps
        assert 1 == peer.ask("census")["sessions_ever"]
        assert 1 == peer.ask("census")["subscriptions_ever"]


@SERVERS
def test_a_line_that_is_dead_without_a_word_is_noticed_and_nothing_is_missing_without_a_gap(
    server: Server, tmp_path: Path
) -> None:
    feed = Feed()
    with server(tmp_path, counters=NODES) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, NODES)

        async def story() -> None:
            async with delivering(made, feed) as driver:
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                session = driver._session
                assert session is not None
                cable.cut()
                await until(lambda: not session.open_now)
                cable.mend()
                await until(more(feed, made))

        run(story())

        honest(peer, feed, made)


def test_a_subscription_that_the_server_ended_is_made_anew_in_the_same_session(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("end")
                await until(more(feed, made, 20))

        run(story())

        honest(peer, feed, made)
        assert 1 == len(feed.gaps)
        assert 1 == peer.ask("census")["sessions_ever"]
        assert 2 == peer.ask("census")["subscriptions_ever"]


@pytest.mark.parametrize("how", ["delete_subscriptions", "mute"])
def test_a_subscription_that_says_nothing_any_more_is_made_anew(how: str, tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask(how)
                await until(more(feed, made, 20))
                assert 1 == peer.ask("census")["subscriptions"]

        run(story())

        honest(peer, feed, made)
        assert 1 == peer.ask("census")["sessions_ever"]


def test_no_subscription_is_made_good(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("delete_subscriptions")
                peer.ask("refuse", service="Publish", code="BadNoSubscription", times=1)
                peer.ask("strange")
                await until(more(feed, made, 20))

        run(story())

        honest(peer, feed, made)
        assert 1 == peer.ask("census")["sessions_ever"]


@pytest.mark.parametrize("code", ["BadTooManyPublishRequests", "BadTimeout"])
def test_a_publish_request_that_is_refused_costs_nothing(code: str, tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("refuse", service="Publish", code=code, times=1)
                await until(more(feed, made, 20))

        run(story())

        honest(peer, feed, made)
        assert [] == feed.gaps
        assert 1 == peer.ask("census")["subscriptions_ever"]


def test_a_session_that_the_server_forgot_is_opened_again(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("refuse", service="ActivateSession", code="BadSessionIdInvalid", times=1)
                peer.ask("refuse", service="Publish", code="BadSessionIdInvalid", times=1)
                await until(more(feed, made, 20))

        run(story())

        honest(peer, feed, made)
        assert 2 == peer.ask("census")["sessions_ever"]


def test_a_server_that_cannot_subscribe_is_read_in_cycles(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        peer.ask("refuse", service="CreateSubscription", code="BadServiceUnsupported")
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))

        run(story())

        assert [] == feed.gaps
        assert "Publish" not in peer.ask("came")["came"]


def test_messages_that_the_server_does_not_keep_are_a_gap_once_and_it_is_not_asked_for_ever(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("number", at=5000)
                await until(more(feed, made, 20))

        run(story())

        assert 1 == len(feed.gaps)
        assert 0 < peer.ask("came")["came"]["Republish"] <= 5000


def test_numbers_begin_again_behind_the_last_one(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed) as driver:
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("stop")
                session = driver._session
                assert session is not None
                assert session._delivery is not None
                await until(lambda: True)
                # Both ends are set to just before the last number.
                peer.ask("number", at=0xFFFFFFFD)
                session._delivery.subscriptions[0].sequence = 0xFFFFFFFC
                peer.ask("start", hz=HZ)
                await until(lambda: session._delivery.subscriptions[0].sequence == 0xFFFFFFFF)  # type: ignore[union-attr]
                peer.ask("stop")
                peer.ask("number", at=1)
                peer.ask("start", hz=HZ)
                await until(more(feed, made))

        run(story())

        honest(peer, feed, made)


def test_a_server_that_counts_anew_is_believed_and_what_it_did_not_count_is_a_gap(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made, 100))
                peer.ask("number", at=1)
                await until(more(feed, made, 20))

        run(story())

        honest(peer, feed, made)
        assert set() == missing(peer, feed, made)
        assert 1 == len(feed.gaps)


def test_a_message_of_an_unknown_subscription_changes_nothing(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                for _ in range(5):
                    peer.ask("strange")
                await until(more(feed, made))

        run(story())

        honest(peer, feed, made)
        assert [] == feed.gaps
