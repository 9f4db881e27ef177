"""Events and alarms arrive as values do: each of them, once, with its state; and what stands is told again."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary

from tests.drivers.opcua.peers import THINGS, Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import Feed, delivering, device, until
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.frame import readings
from tidegate.model.gap import Why
from tidegate.model.tag import Tag, Type
from tidegate.shape.shaper import Shaper
from tidegate_drivers.opcua.driver import OpcuaDriver
from tidegate_drivers.opcua.event import FIELDS
from tidegate_drivers.opcua.framer import Framer
from tidegate_drivers.opcua.items import items_of
from tidegate_drivers.opcua.message import published
from tidegate_drivers.opcua.settings import parse_device
from tidegate_drivers.opcua.takeover import told

BOILER = f"nsu={THINGS};s=boiler"
SERVER = "i=2253"


def alarms(name: str = "alarms", address: str = BOILER, events: str = "all", **options: str) -> Tag:
    """A tag of events."""
    return Tag(name, Type.STRING, Type.STRING, address, (("events", events), *options.items()), row=2)


def happened(feed: Feed, made: Device, tag: str = "alarms") -> list[dict[str, Any]]:
    """The events that a tag got, in their order."""
    good = [one for one in feed.readings(made) if one.tag == tag and one.status == 0]
    return [json.loads(str(one.value)) for one in good]


def messages(feed: Feed, made: Device, tag: str = "alarms") -> list[str]:
    return [str(one.get("Message", "")) for one in happened(feed, made, tag)]


def watched(peer: Peer, items: int = 1) -> None:
    """Until the server monitors what it is asked for."""
    peer.wait_for("its items", lambda census: census["items"] >= items, 30.0)


@pytest.mark.parametrize("server", [node_opcua, asyncua_server], ids=["node-opcua", "asyncua"])
def test_events_of_one_moment_come_each_with_source_severity_and_time(tmp_path: Path, server: Any) -> None:
    feed = Feed()
    with server(tmp_path) as peer:
        made = device(peer.url, [alarms(), alarms("grave", severity="500")])

        async def main() -> None:
            async with delivering(made, feed):
                await asyncio.to_thread(watched, peer, 2)
                for i in range(20):
                    peer.ask("event", message=f"number {i}", severity=490 + i)
                await until(lambda: len(happened(feed, made)) >= 20)
                await until(lambda: len(happened(feed, made, "grave")) >= 10)

        asyncio.run(main())
    found = happened(feed, made)

    assert messages(feed, made) == [f"number {i}" for i in range(20)]
    assert messages(feed, made, "grave") == [f"number {i}" for i in range(10, 20)]
    assert len({one["EventId"] for one in found}) == 20
    assert {one["SourceName"] for one in found} == {"boiler"}
    assert {one["EventType"] for one in found} == {"i=2130"}
    assert [one["Severity"] for one in found] == list(range(490, 510))
    assert all("ConditionId" not in one for one in found)
    times = [one.source_us for one in feed.readings(made) if one.tag == "alarms"]
    assert times == sorted(times)
    assert all(one["Time"] for one in found)
    assert feed.gaps == []


def test_an_alarm_tells_its_states_and_stands_in_what_a_later_client_hears(tmp_path: Path) -> None:
    first, later = Feed(), Feed()
    with node_opcua(tmp_path) as peer:
        made = device(peer.url, [alarms(address=SERVER, events="conditions"), alarms("others", SERVER)])

        async def main() -> None:
            async with delivering(made, first):
                await asyncio.to_thread(watched, peer, 2)
                peer.ask("event", message="no condition", severity=1)
                peer.ask("set", node="level", value=90)
                await until(lambda: "High" in [one.get("LimitState") for one in happened(first, made)])
            async with delivering(made, later):
                await until(lambda: happened(later, made))

        asyncio.run(main())
    high = next(one for one in happened(first, made) if one.get("LimitState") == "High")
    again = happened(later, made)[-1]

    assert "no condition" not in messages(first, made)
    assert "no condition" in messages(first, made, "others")
    assert high["ConditionId"] == again["ConditionId"] == f"nsu={THINGS};s=alarm"
    assert (high["ActiveState"], high["AckedState"], high["EnabledState"], high["Retain"]) == (True, False, True, True)
    assert (again["ActiveState"], again["LimitState"]) == (True, "High")
    # RefreshStartEventType and RefreshEndEventType are around what stands.
    assert {"i=2787", "i=2788"} <= {one["EventType"] for one in happened(later, made, "others")}


def test_events_go_on_over_a_next_process_and_a_lost_connection_and_none_is_missing_nor_doubled(tmp_path: Path) -> None:
    feed = Feed(commits=False)
    with node_opcua(tmp_path) as peer:
        made = device(peer.url, [alarms()], keepalive="500ms")
        sent = 0

        async def some() -> None:
            nonlocal sent
            for _ in range(30):
                peer.ask("event", message=f"number {sent}", severity=100)
                sent += 1
                await asyncio.sleep(0.01)

        async def main() -> None:
            async with delivering(made, feed, tmp_path / "keep"):
                await asyncio.to_thread(watched, peer)
                await some()
                await until(lambda: len(happened(feed, made)) >= sent)
                feed.commit()
                await some()
                await until(lambda: len(happened(feed, made)) >= sent)
            # The last ones were not committed: they are dropped here, and the server has them still.
            feed.drop()
            await some()
            async with delivering(made, feed, tmp_path / "keep"):
                await until(lambda: len(happened(feed, made)) >= sent)
                feed.commits = True
                feed.commit()
                peer.ask("disconnect")
                await some()
                await until(lambda: len(happened(feed, made)) >= sent)

        asyncio.run(main())

        assert messages(feed, made) == [f"number {i}" for i in range(sent)]
        assert feed.gaps == []
        assert 1 == peer.ask("census")["subscriptions_ever"]


def fields(number: int, kind: int = 2130, time: int = 133_000_000_000_000_000) -> list[Any]:
    """The fields of an event as asyncua has them."""
    known = {
        "EventId": ua.Variant(bytes([number]), ua.VariantType.ByteString),
        "EventType": ua.Variant(ua.NodeId(kind)),
        "Time": ua.Variant(ua.win_epoch_to_datetime(time), ua.VariantType.DateTime),
        "Message": ua.Variant(ua.LocalizedText("the same")),
    }
    return [known.get(field.name, ua.Variant()) for field in FIELDS]


def framed(events: list[list[Any]], seen: set[tuple[int, int | str]] | None = None, fast: bool = True) -> Any:
    """Device, frame and gaps of one message of events, from its bytes."""
    made = device("opc.tcp://127.0.0.1:4840", [Tag("t", Type.BOOL, Type.BOOL, "i=1", row=2), alarms()])
    settings, _ = parse_device(made)
    assert settings is not None
    framer = Framer(made, settings, items_of(made, made.groups[0], settings), 0, Clock())
    response = ua.PublishResponse()
    told_now = ua.EventNotificationList([ua.EventFieldList(1, one) for one in events])
    response.Parameters.NotificationMessage.NotificationData = [told_now]
    message = published(Buffer(struct_to_binary(response)), b"\x01\x00", fast)
    frame, gaps = framer.framed(message, seen, 0)
    return made, frame, gaps


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "asyncua"])
def test_equal_events_of_one_time_are_told_apart_by_their_id_and_all_reported(fast: bool) -> None:
    made, frame, _ = framed([fields(1), fields(2), fields(3)], fast=fast)
    reported = Shaper([made.table]).shape(frame)

    assert reported is not None
    assert [json.loads(str(one.value))["EventId"] for one in readings(reported, made.table)] == ["AQ==", "Ag==", "Aw=="]


def test_what_was_committed_before_is_left_out_by_its_id_and_not_by_its_time() -> None:
    made, before, _ = framed([fields(1)])
    seen = told(before, {1})
    _, frame, _ = framed([fields(1), fields(2)], seen)

    assert [json.loads(str(one.value))["EventId"] for one in readings(frame, made.table)] == ["Ag=="]


def test_events_that_the_server_dropped_are_a_gap() -> None:
    _, frame, gaps = framed([fields(1), fields(2, 3035)])

    assert frame.count == 1
    assert [(gap.why, gap.tags) for gap in gaps] == [(Why.SOURCE_OVERFLOW, ("alarms",))]


@pytest.mark.parametrize(
    ("tag", "word"),
    [
        (Tag("t", Type.INT32, Type.INT32, BOILER, (("events", "all"),), row=2), "string"),
        (alarms(sampling="1s"), "no such thing"),
        (alarms(events="no", severity="5"), "only events"),
        (alarms(severity="1001"), "from 0 to 1000"),
        (alarms(of_type="nothing"), "names no node"),
    ],
)
def test_what_is_wrong_with_a_tag_of_events_is_told(tag: Tag, word: str) -> None:
    found = OpcuaDriver.check([device("opc.tcp://127.0.0.1:4840", [tag])])

    assert [word in f"{one.what} {one.remedy}" for one in found] == [True]


def test_events_are_not_read_in_cycles() -> None:
    found = OpcuaDriver.check([device("opc.tcp://127.0.0.1:4840", [alarms()], delivery="read")])

    assert ["delivery = read" in one.what for one in found] == [True]


@pytest.mark.parametrize("server", [node_opcua, asyncua_server], ids=["node-opcua", "asyncua"])
def test_reading_tells_that_events_and_methods_are_not_read(tmp_path: Path, server: Any) -> None:
    call = Tag("call", Type.STRING, Type.STRING, f"nsu={THINGS};s=things",
               (("method", f"nsu={THINGS};s=multiply"),), access="write", row=2)  # fmt: skip
    with server(tmp_path) as peer:
        made = device(peer.url, [call, ("text", f"nsu={THINGS};s=text", Type.STRING), alarms()])
        driver = OpcuaDriver([made], Clock())

        async def main() -> list[tuple[str, int]]:
            try:
                await driver.open()
                return [(one.tag, one.status) for one in readings(await driver.read(made.groups[0]), made.table)]
            finally:
                await driver.close()

        assert asyncio.run(main()) == [("call", 0x803A0000), ("text", 0), ("alarms", 0x803A0000)]
