"""Rows that select variables: which ones, as which tags, and what happens when the server's nodes change."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from asyncua import Client, ua

from tests.drivers.opcua.peers import COUNTERS, THINGS, Peer, asyncua_server, node_opcua
from tests.drivers.opcua.stand import device
from tidegate.clock import Clock
from tidegate.model.device import Device
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate_drivers.opcua.connection import connect
from tidegate_drivers.opcua.selection import BEGIN, parse_selection
from tidegate_drivers.opcua.settings import parse_device
from tidegate_drivers.opcua.wildcard import Wildcard, grown

ALL = Tag("all", Type.INT32, Type.INT32, f"nsu={COUNTERS};s=counters#/**", row=2)
OWN = Tag("own", Type.INT32, Type.INT32, "i=2259", row=3)


@pytest.fixture(scope="module", params=[asyncua_server, node_opcua])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with request.param(tmp_path_factory.mktemp("peer"), counters=5, operation_limits={"maxNodesPerBrowse": 3}) as peer:
        yield peer


def made(peer: Peer, *tags: Tag) -> Device:
    return device(peer.url, tags)


async def expanded(device: Device, wildcard: Wildcard, table: TagTable | None = None) -> TagTable:
    settings, _ = parse_device(device)
    assert settings is not None
    connection = await connect(settings, Client(device.address), again=False, clock=Clock())
    try:
        return await wildcard.expand(connection, table or device.table)
    finally:
        await connection.close(delete=True)


def table_of(device: Device, **bounds: int) -> TagTable:
    return asyncio.run(expanded(device, Wildcard(device, "", **bounds)))


def names(tags: Sequence[Tag]) -> list[str]:
    return [tag.name for tag in tags]


def test_each_variable_below_a_node_becomes_a_tag_behind_the_tables_own(peer: Peer) -> None:
    table = table_of(made(peer, ALL, OWN))

    assert ["all", "own", *(f"all.c{i:05d}" for i in range(5))] == sorted(
        names(table.tags), key=names(table.tags).index
    )
    assert f"nsu={COUNTERS};s=c00003" == table.tags[table.index("all.c00003")].address


def test_a_pattern_selects_by_names(peer: Peer) -> None:
    row = replace(ALL, address=f"/Objects/nsu={THINGS};Things/*t*")

    assert {"all.writable", "all.text", "all.historic", "all.point", "all.points", "all.stroke", "all.temperature"} == {
        name for name in names(table_of(made(peer, row)).tags) if name != "all"
    }


def test_what_is_deeper_is_found_by_two_stars_and_not_by_one(peer: Peer) -> None:
    deep, flat = (table_of(made(peer, replace(ALL, address=f"nsu={THINGS};s=things#/{way}"))) for way in ("**", "*"))

    assert "all.boiler.level" in names(deep.tags)
    assert "all.boiler.level" not in names(flat.tags)
    assert "all.temperature" in names(flat.tags)


def test_a_tag_has_the_servers_type_and_unit_and_all_else_from_its_row(peer: Peer) -> None:
    options = (("sampling", "50ms"), ("of_type", "i=63"), ("server_deadband", "1"))
    row = replace(
        ALL, address=f"nsu={THINGS};s=things#/te*", options=options, group="fast", scale=Scale(1, 10), label="core"
    )
    table = table_of(made(peer, row))
    warm, text = table.tags[table.index("all.temperature")], table.tags[table.index("all.text")]

    assert (Type.FLOAT64, Type.FLOAT64, "fast", "core") == (warm.type, warm.raw, warm.group, warm.label)
    assert ((("sampling", "50ms"), ("server_deadband", "1")), Scale(1, 10)) == (warm.options, warm.scale)
    assert (Type.STRING, (("sampling", "50ms"),), Scale()) == (text.type, text.options, text.scale)


def test_only_variables_of_a_type_or_of_its_subtypes_are_selected_where_one_is_named(peer: Peer) -> None:
    def typed(of_type: str) -> list[str]:
        row = replace(ALL, address=f"nsu={THINGS};s=things#/*", options=(("of_type", of_type),))
        return names(table_of(made(peer, row)).tags)[1:]

    analog = typed("i=2365")

    assert (["all.temperature"] if "node-opcua" in peer.wanted.pki else []) == analog
    assert "all.temperature" in typed("i=62")
    assert [] == typed("i=58")


def test_new_variables_come_behind_and_those_that_are_gone_stay_where_they_are(peer: Peer) -> None:
    device = made(peer, ALL, OWN)

    async def work() -> tuple[TagTable, TagTable]:
        wildcard = Wildcard(device, "")
        before = await expanded(device, wildcard)
        peer.ask("delete", nodes=["c00001"])
        peer.ask("add", nodes=["c00000b"])
        after = await expanded(device, wildcard, before)
        assert after == await expanded(device, wildcard)
        return before, after

    before, after = asyncio.run(work())
    peer.ask("add", nodes=["c00001"])
    peer.ask("delete", nodes=["c00000b"])

    assert before.tags == after.tags[:-1]
    assert "all.c00000b" == after.tags[-1].name


def test_no_more_tags_are_made_than_the_bound_and_the_log_says_so(peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    table = table_of(made(peer, ALL), selected_max=2)

    assert 3 == len(table.tags)
    assert "selects 5 variables, 3 of them are not read" in caplog.text


def test_a_row_whose_start_is_not_there_costs_the_others_nothing(peer: Peer) -> None:
    device = made(peer, replace(ALL, name="lost", address="nsu=urn:nobody;s=x#/**"), ALL)
    wildcard = Wildcard(device, "")
    table = asyncio.run(expanded(device, wildcard))

    assert {0: ua.StatusCodes.BadNodeIdUnknown} == {row: status for row, (status, _) in wildcard.refused.items()}
    assert "no namespace urn:nobody" in wildcard.refused[0][1]
    assert 2 + 5 == len(table.tags)


def test_a_device_grows_by_the_new_tags_in_the_groups_of_their_rows() -> None:
    before = unreached()
    table = TagTable("plc", (*before.table.tags, replace(OWN, name="new")))

    assert (0, 1, 2) == grown(before, table).groups[0].tags


def unreached() -> Device:
    return device("opc.tcp://127.0.0.1:1", [ALL, OWN])


def test_a_change_that_the_server_tells_of_is_waited_for() -> None:
    async def work() -> bool:
        wildcard = Wildcard(unreached(), "")
        waiting = asyncio.create_task(wildcard.changed())
        await asyncio.sleep(0)
        early = waiting.done()
        wildcard.tell()
        await asyncio.wait_for(waiting, 30)
        return early

    assert not asyncio.run(work())


@pytest.mark.parametrize(
    ("pattern", "way", "fits"),
    [
        ("/**", "a/b/c", True), ("/*", "a", True), ("/*", "a/b", False), ("/**/t*", "a/b/temp", True),
        ("/**/t*", "t", True),
        ("/**/t*", "a", False), ("/a/**/b/**", "a/x/y/b", True), ("/a/**/b/**", "a/x", False), ("/a&*/*", "a*/x", True),
        ("/a&*/*", "ab/x", False), ("/nsu=urn:b;*", "a", False), ("/nsu=urn:a;*", "a", True), ("/*.*", "a.b", True),
    ],
)  # fmt: skip
def test_a_way_fits_a_pattern_or_not(pattern: str, way: str, fits: bool) -> None:
    selection = parse_selection(replace(ALL, address=f"nsu=urn:a;s=x#{pattern}"), "")
    assert selection is not None
    start, states = [name for _, name in selection.start.path], BEGIN
    steps = way.split("/")
    for name in steps[len(start) :]:
        states = selection.advance(states, "urn:a", name)

    assert fits == (start == steps[: len(start)] and selection.fits(states))


def test_an_address_without_a_bare_star_in_its_path_is_no_selection() -> None:
    assert parse_selection(replace(ALL, address="nsu=urn:a;s=x*#/a&*"), "") is None


@pytest.mark.parametrize(
    "address", ["nsu=urn:a;s=x#/**#[1]", "nsu=urn:a;s=x#/a//*", "nsu=urn:a;s=x#/*a*b*c*d*", "/*/ns=2;*/"]
)
def test_what_is_no_selection_says_so(address: str) -> None:
    with pytest.raises(ValueError, match=r"does not belong|empty name|stars"):
        parse_selection(replace(ALL, address=address), "")
