"""Delivery goes on in a next process, however the one before ended; what it can't take over is a named gap."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.drivers.opcua.judge import counter, counters, good, honest, last, run, unnamed
from tests.drivers.opcua.peers import Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, until
from tidegate.model.device import Device
from tidegate.model.tag import TagTable

NODES, HZ = 5, 20.0


async def some(made: Device, feed: Feed, folder: Path, steps: int = 10) -> None:
    """A process that delivers so many steps, and ends in good order."""
    async with delivering(made, feed, folder):
        begun = last(feed, made)
        await until(lambda: last(feed, made) >= begun + steps)


def the_file(folder: Path) -> Path:
    """Where the marks are."""
    [found] = folder.glob("subscriptions-*.json")
    return found


def test_a_kill_between_commit_and_mark_doubles_nothing(tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with node_opcua(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            peer.ask("start", hz=HZ)
            async with delivering(made, feed, keep):
                await until(lambda: last(feed, made) >= 10)
                shutil.copytree(keep, tmp_path / "older")
                # So many are committed, and not known to be: the server was not told, since it lets nobody come.
                peer.ask("disconnect")
                await until(lambda: last(feed, made) >= 20)
            shutil.rmtree(keep)
            shutil.copytree(tmp_path / "older", keep)
            await some(made, feed, keep)

        run(story())

        honest(peer, feed, made)
        assert 1 == peer.ask("census")["subscriptions_ever"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"v": 2, "bus": "opc.tcp://elsewhere:4840", "marks": []}'])
def test_marks_that_cannot_be_read_are_an_honest_gap(damage: str, tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with node_opcua(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            peer.ask("start", hz=HZ)
            await some(made, feed, keep)
            at = the_file(keep).stat()
            the_file(keep).write_text(damage)
            os.utime(the_file(keep), ns=(at.st_atime_ns, at.st_mtime_ns))
            await some(made, feed, keep)

        run(story())

        honest(peer, feed, made)
        assert 1 == len(feed.gaps)


def test_a_number_of_another_run_of_the_server_is_not_taken_for_ours(tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with asyncua_server(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)
        other, theirs = counters(peer.url, 2), Feed()

        async def story() -> None:
            peer.ask("start", hz=HZ)
            await some(made, feed, keep, 60)
            peer.again(hz=HZ)
            # Somebody else's subscription has the number that ours had.
            async with delivering(other, theirs):
                await until(lambda: last(theirs, other) >= 1)
                begun = len(feed.frames)
                async with delivering(made, feed, keep):
                    await until(lambda: len(feed.frames) > begun + 5)
                assert NODES + 2 == peer.ask("census")["items"]
                here = last(theirs, other)
                await until(lambda: last(theirs, other) >= here + 5)

        run(story())

        assert 1 == len(feed.gaps)
        assert [] == theirs.gaps


def test_a_table_that_was_changed_between_two_starts_has_its_old_subscription_forgotten(tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with node_opcua(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)
        fewer = counters(peer.url, 3)

        async def story() -> None:
            peer.ask("start", hz=HZ)
            await some(made, feed, keep)
            feed.tables[made.table.hash] = made.table
            async with delivering(fewer, feed, keep):
                begun = len(feed.frames)
                await until(lambda: len(feed.frames) > begun + 5)
                seen = peer.ask("census")
                assert (1, 3) == (seen["subscriptions"], seen["items"])

        run(story())

        assert 1 == len(feed.gaps)


def test_a_group_that_is_no_more_has_its_subscription_forgotten(tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with node_opcua(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)
        renamed = replace(made, groups=(replace(made.groups[0], name="other"),))

        async def story() -> None:
            peer.ask("start", hz=HZ)
            await some(made, feed, keep)
            async with delivering(renamed, feed, keep):
                begun = len(feed.frames)
                await until(lambda: len(feed.frames) > begun + 5)
                assert 1 == peer.ask("census")["subscriptions"]

        run(story())


def refused(peer: Peer) -> Device:
    """Counters, of which the server knows the first two only."""
    made = counters(peer.url, 2)
    return replace(made, table=TagTable("plc", (*made.table.tags, counter("c99999"))), groups=(
        replace(made.groups[0], tags=(0, 1, 2)),))  # fmt: skip


@pytest.mark.parametrize("server", [node_opcua, asyncua_server], ids=["node-opcua", "asyncua"])
def test_what_a_process_before_was_refused_is_tried_again_by_the_next(server: object, tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with server(tmp_path, counters=2) as peer:  # type: ignore[operator]  # one of two functions
        made = refused(peer)

        async def story() -> None:
            peer.ask("start", hz=HZ)
            async with delivering(made, feed, keep) as driver:
                await until(lambda: len(feed.frames) > 10 and "plc" in driver.refused())
            peer.ask("add", nodes=["c99999"])
            async with delivering(made, feed, keep):
                await until(lambda: any(one[0] == "c99999" for one in good(feed, made)))

        run(story())

        assert set() == unnamed(peer, feed, made)


def test_a_mark_is_older_than_what_waits_to_be_committed(tmp_path: Path) -> None:
    feed, keep = Feed(), tmp_path / "keep"
    with node_opcua(tmp_path, counters=NODES) as peer:
        made = counters(peer.url, NODES)

        async def story() -> None:
            async with delivering(made, feed, keep) as driver:
                peer.ask("start", hz=HZ)
                await until(lambda: last(feed, made) >= 5)
                feed.commits = False
                begun = len(feed.frames)
                await until(lambda: len(feed.frames) > begun + 5)
                session = driver._session
                assert session is not None
                assert session._delivery is not None
                delivery = session._delivery
                # The buffer says that they are committed before anybody was called back.
                feed._done += len(feed._waiting)
                [mark] = delivery.mark(feed).values()
                assert mark.number <= begun
                feed._done -= len(feed._waiting)
                feed.commits = True

        run(story())

        assert json.loads(the_file(keep).read_text())["marks"]
