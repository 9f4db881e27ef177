"""What a server says of its variables fills in what a table leaves empty, and nothing else."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from asyncua import Client

from tests.drivers.opcua.peers import THINGS, Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import device
from tidegate.clock import Clock
from tidegate.model.names import Names
from tidegate.model.tag import TIME_UNIT, Scale, Tag, TagTable, Type
from tidegate_drivers.opcua.address import parse_node
from tidegate_drivers.opcua.connection import connect
from tidegate_drivers.opcua.metadata import Described, describe, refined
from tidegate_drivers.opcua.resolve import resolve
from tidegate_drivers.opcua.settings import parse_device
from tidegate_drivers.opcua.units import unit_text

MODE = Names(((0, "Idle"), (1, "Running"), (2, "Fault")))
CEFACT = "http://www.opcfoundation.org/UA/units/un/cefact"


@pytest.fixture(scope="module", params=[asyncua_server, node_opcua])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder: Path = tmp_path_factory.mktemp("peer")
    with request.param(folder, operation_limits={"maxNodesPerRead": 9}) as peer:
        yield peer


def told(peer: Peer, *addresses: str) -> list[Described]:
    async def work() -> list[Described]:
        settings, _ = parse_device(device(peer.url, []))
        assert settings is not None
        connection = await connect(settings, Client(peer.url), again=False, clock=Clock())
        try:
            nodes = await resolve(connection, [parse_node(address, THINGS) for address in addresses])
            return await describe(connection, nodes)
        finally:
            await connection.close(delete=True)

    return asyncio.run(work())


def test_an_analog_value_has_its_unit_and_range(peer: Peer) -> None:
    [found] = told(peer, "s=temperature")

    assert (Type.FLOAT64, "°C", (-40.0, 260.0)) == (found.type, found.unit, found.range)


def test_an_enumeration_has_the_names_of_its_values(peer: Peer) -> None:
    [found] = told(peer, "s=mode")

    assert (Type.INT32, MODE) == (found.type, found.names)


def test_types_come_down_to_those_of_tags_also_from_far_above(peer: Peer) -> None:
    found = told(peer, "s=text", "s=point", "s=points", "s=writable", "i=2258", "i=2259")

    assert [Type.STRING, Type.STRING, Type.STRING, Type.INT32, Type.INT64, Type.INT32] == [one.type for one in found]
    assert [False, False, True] == [one.array for one in found[:3]]


def test_what_may_be_written_is_told_from_what_may_only_be_read(peer: Peer) -> None:
    found = told(peer, "s=writable", "s=readonly")

    assert [(True, True), (True, False)] == [(one.readable, one.writable) for one in found]


def test_nothing_is_known_of_a_node_that_is_not_there_and_the_others_are(peer: Peer) -> None:
    found = told(peer, "s=nothing", "nsu=urn:nobody;s=x", "s=temperature")

    assert [Described(), Described()] == found[:2]
    assert "°C" == found[2].unit


FOUND = Described(Type.FLOAT64, 11, unit="°C", range=(-40.0, 260.0), description="of the oven", names=MODE)
FLOAT = Tag("t", Type.FLOAT64, Type.FLOAT64, "s=t")


def one(tag: Tag, found: Described = FOUND) -> Tag:
    return refined(TagTable("plc", (tag,)), {0: found}).tags[0]


def test_what_a_table_leaves_empty_is_filled_in() -> None:
    assert replace(FLOAT, unit="°C", range=(-40.0, 260.0), description="of the oven") == one(FLOAT)


def test_what_a_table_says_stays() -> None:
    tag = replace(FLOAT, unit="°F", range=(0.0, 500.0), description="mine", names=Names(((1, "one"),)))

    assert tag == one(tag)


def test_beside_a_unit_of_the_tables_own_the_servers_range_would_be_a_wrong_one() -> None:
    tag = one(replace(FLOAT, unit="°F"))

    assert ("°F", None) == (tag.unit, tag.range)


@pytest.mark.parametrize("tag", [replace(FLOAT, scale=Scale(1, 10)), replace(FLOAT, address="nsu=urn:a;s=t#!Field")])
def test_of_a_tag_that_is_not_the_nodes_own_value_only_the_description_is_filled_in(tag: Tag) -> None:
    assert replace(tag, description="of the oven") == one(tag)


def test_a_whole_number_gets_the_names_of_its_values_and_a_moment_its_unit() -> None:
    whole = Tag("m", Type.INT32, Type.INT32, "s=m")
    moment = Tag("m", Type.INT64, Type.INT64, "s=m")

    assert MODE == one(whole).names
    assert TIME_UNIT == one(moment, Described(Type.INT64, 13)).unit


def test_a_table_that_nothing_is_known_of_is_the_same_one() -> None:
    table = TagTable("plc", (FLOAT, replace(FLOAT, name="u")))

    assert table is refined(table, {1: Described()})


@pytest.mark.parametrize(
    ("number", "shown", "unit"),
    [
        (4408652, "°C", "°C"), (4408652, "", "°C"), (int.from_bytes(b"KGM"), "", "kg"),
        (int.from_bytes(b"ZZX"), "", "ZZX"),
        (0, "", ""), (-1, "", ""), (1, "\x1b[31m rpm", "[31m rpm"),
    ],
)  # fmt: skip
def test_a_unit_is_its_display_name_or_what_its_code_stands_for(number: int, shown: str, unit: str) -> None:
    assert unit == unit_text(CEFACT, number, shown)
