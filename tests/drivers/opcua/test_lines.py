"""Lines are cut, channels renewed and services never answered: delivery goes on, over and over, and leaves nothing."""

from pathlib import Path

import pytest

from tests.drivers.opcua.cable import Cable
from tests.drivers.opcua.judge import counters, descriptors, honest, last, run
from tests.drivers.opcua.peers import asyncua_server, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, until
from tests.drivers.opcua.test_faults import HZ, NODES, more


def test_two_hundred_lost_connections_leave_nothing_behind(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                before = descriptors()
                for _ in range(200):
                    begun = len(feed.frames)
                    cable.tear()
                    await until(lambda: len(feed.frames) > begun)  # noqa: B023
                assert descriptors() <= before + 2
                seen = peer.ask("census")
                assert (1, 1, NODES) == (seen["sessions"], seen["subscriptions"], seen["items"])

        run(story())

        honest(peer, feed, made)
        assert [] == feed.gaps
        assert 0 == peer.wait_for("it is closed", lambda seen: seen["sessions"] == 0, 10.0)["items"]


def test_a_channel_is_renewed_in_the_middle_of_traffic(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=NODES, channel_ms=2000) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                # Longer than three tokens live.
                await until(more(feed, made, 140))

        run(story())

        honest(peer, feed, made)
        assert [] == feed.gaps
        assert 1 == cable.connections


def test_a_subscription_that_was_handed_over_and_stays_silent_is_made_anew(tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                # The session can't go on, so that the subscription is transferred, which this server does by halves.
                peer.ask("refuse", service="ActivateSession", code="BadSessionIdInvalid", times=1)
                cable.tear()
                await until(more(feed, made, 80))

        run(story())

        honest(peer, feed, made)
        assert 2 == peer.ask("census")["sessions_ever"]


@pytest.mark.parametrize("service", ["TransferSubscriptions", "Republish"])
def test_a_service_that_is_never_answered_does_not_stop_delivery_for_ever(service: str, tmp_path: Path) -> None:
    feed = Feed()
    with asyncua_server(tmp_path, counters=NODES) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, NODES)

        async def story() -> None:
            async with delivering(made, feed):
                peer.ask("start", hz=HZ)
                await until(more(feed, made))
                peer.ask("silence", service=service)
                peer.ask("refuse", service="ActivateSession", code="BadSessionIdInvalid", times=1)
                cable.tear()
                await until(more(feed, made, 100))

        run(story())

        honest(peer, feed, made)


def test_a_line_that_is_cut_in_the_middle_of_a_long_message_costs_nothing(tmp_path: Path) -> None:
    feed, nodes = Feed(), 4000
    with node_opcua(tmp_path, counters=nodes) as peer, Cable("127.0.0.1", peer.port) as cable:
        made = counters(cable.url, nodes, timeout="4s")

        async def story() -> None:
            async with delivering(made, feed):
                await until(lambda: last(feed, made) >= 0)
                for step in range(1, 4):
                    carried = cable.carried
                    peer.ask("step")
                    # Some of its chunks are through.
                    await until(lambda: cable.carried > carried + 40_000)  # noqa: B023
                    cable.tear()
                    await until(lambda: last(feed, made) >= step)  # noqa: B023

        run(story())

        honest(peer, feed, made)
        assert [] == feed.gaps
