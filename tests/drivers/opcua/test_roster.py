"""What a server says of its tags reaches the table; selections grow; paths from a device's object are found."""

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.drivers.opcua.peers import COUNTERS, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, device, until
from tidegate.model.tag import Tag, Type

ALL = Tag("all", Type.INT32, Type.INT32, f"nsu={COUNTERS};s=counters#/*", (("sampling", "0s"),), row=2)


def test_a_selection_makes_a_tag_of_each_variable_and_follows_when_one_is_added(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=5, hz=10.0) as peer:
        made = device(peer.url, [replace(ALL, options=(("sampling", "0s"), ("look_again", "10s")))])

        async def main() -> None:
            async with delivering(made, feed):
                peer.ask("start")
                await until(lambda: len({reading.tag for reading in feed.readings(made)}) == 5)
                peer.ask("add", nodes=["c00777"])
                await until(lambda: any("c00777" in reading.tag for reading in feed.readings(made)))
                before = len(feed.readings(made))
                await until(lambda: len(feed.readings(made)) > before + 50)

        asyncio.run(main())
        came = {(reading.tag.rpartition(".")[2], reading.value) for reading in feed.readings(made)}
        changed = {(name, value) for name, value, _ in peer.changes()}

    assert 6 == len({reading.tag for reading in feed.readings(made)})
    assert came <= changed
    assert feed.gaps == []


def test_paths_from_the_object_of_a_device_are_found_wherever_it_stands(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=3) as peer:
        made = device(
            peer.url, [("first", "./c00000", Type.INT32)], root=f"nsu={COUNTERS};s=counters", namespace=COUNTERS
        )

        async def main() -> None:
            async with delivering(made, feed):
                await until(lambda: feed.readings(made))

        asyncio.run(main())

    assert {0} == {reading.status for reading in feed.readings(made)}


def test_a_server_without_the_machine_says_so_and_its_tags_are_bad(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=3) as peer:
        made = device(
            peer.url,
            [("first", "./c00000", Type.INT32), ("state", "i=2259", Type.INT32)],
            type=f"nsu={COUNTERS};i=1",
            namespace=COUNTERS,
        )

        async def main() -> None:
            async with delivering(made, feed):
                await until(lambda: {"first", "state"} == {reading.tag for reading in feed.readings(made)})

        asyncio.run(main())

    assert {"state"} == {reading.tag for reading in feed.readings(made) if reading.status == 0}


def test_a_device_that_is_to_be_read_in_cycles_has_no_subscription(tmp_path: Path) -> None:
    feed = Feed()
    with node_opcua(tmp_path, counters=3, hz=10.0) as peer:
        made = device(peer.url, [("first", f"nsu={COUNTERS};s=c00000", Type.INT32)], delivery="read")

        async def main() -> None:
            async with delivering(made, feed):
                peer.ask("start")
                await until(lambda: len({reading.value for reading in feed.readings(made)}) > 10)

        asyncio.run(main())

        assert 0 == peer.ask("census")["subscriptions_ever"]
