"""Places become NodeIds of a connection: by URI, by paths, in batches; what is not there costs the others nothing."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import Client, ua

from tests.drivers.opcua.peers import REINDEXED, THINGS, Peer, asyncua_server
from tests.drivers.opcua.stand import device
from tidegate.clock import Clock
from tidegate_drivers.opcua.address import Place, parse_node
from tidegate_drivers.opcua.connection import Connection, connect
from tidegate_drivers.opcua.limits import Limits
from tidegate_drivers.opcua.resolve import node_of, place_of, resolve, why
from tidegate_drivers.opcua.settings import parse_device

UNKNOWN = "nsu=urn:nobody's;s=temperature"


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with asyncua_server(tmp_path_factory.mktemp("peer")) as peer:
        yield peer


async def opened(peer: Peer) -> Connection:
    settings, _ = parse_device(device(peer.url, []))
    assert settings is not None
    return await connect(settings, Client(peer.url), again=False, clock=Clock())


def found(peer: Peer, texts: list[str], limits: Limits | None = None) -> tuple[list[Any], list[str]]:
    """What `resolve` gives on a connection of its own, and the namespaces of that."""

    async def work() -> tuple[list[Any], list[str]]:
        connection = await opened(peer)
        connection.limits = limits or connection.limits
        try:
            return await resolve(connection, [parse_node(text, THINGS) for text in texts]), connection.namespaces
        finally:
            await connection.close(delete=True)

    return asyncio.run(work())


def test_a_node_a_path_from_the_root_and_a_path_from_a_node_are_the_same_place(peer: Peer) -> None:
    nodes, namespaces = found(peer, ["s=temperature", "/Objects/Things/temperature", "s=things#/temperature"])

    assert [ua.NodeId("temperature", namespaces.index(THINGS))] * 3 == nodes


def test_what_is_not_there_is_the_status_of_its_own_place(peer: Peer) -> None:
    nodes, _ = found(peer, [UNKNOWN, "/Objects/Nothing", f"/Objects/{UNKNOWN.replace('s=', '')}", "i=2258"])
    codes = ua.StatusCodes

    assert [codes.BadNodeIdUnknown, codes.BadNoMatch, codes.BadNoMatch, ua.NodeId(2258)] == nodes


def test_paths_are_asked_for_in_requests_that_the_server_takes(peer: Peer) -> None:
    paths = [f"/Objects/Things/{name}" for name in ("temperature", "text", "mode", "nothing", "point")]

    assert found(peer, paths)[0] == found(peer, paths, Limits(translate=2))[0]


def test_after_a_restart_with_other_indexes_the_same_place_is_the_same_node(peer: Peer) -> None:
    before, old = found(peer, ["s=temperature", "/Objects/Things/temperature"])
    peer.again(order=REINDEXED)
    after, new = found(peer, ["s=temperature", "/Objects/Things/temperature"])

    assert old.index(THINGS) != new.index(THINGS)
    assert [ua.NodeId("temperature", old.index(THINGS))] * 2 == before
    assert [ua.NodeId("temperature", new.index(THINGS))] * 2 == after


def test_the_reason_names_the_namespace_that_is_missing_or_the_path() -> None:
    namespaces = ["http://opcfoundation.org/UA/", "urn:a"]
    path = parse_node("/Objects/nsu=urn:a;x")

    assert "no namespace urn:nobody's" in why(parse_node(UNKNOWN), ua.StatusCodes.BadNodeIdUnknown, namespaces)
    assert "nothing is at /Objects/nsu=urn:a;x" in why(path, ua.StatusCodes.BadNoMatch, namespaces)


@pytest.mark.parametrize(
    "text",
    [
        "i=84",
        "nsu=urn:a;i=70000",
        "nsu=urn:a;s=x;y",
        "nsu=urn:a;g=09087e75-8e5e-499b-954f-f2a9603db28a",
        "nsu=urn:a;b=AQI=",
    ],
)
def test_a_node_of_each_kind_comes_back_as_its_place(text: str) -> None:
    namespaces = ["http://opcfoundation.org/UA/", "urn:server", "urn:a"]
    place: Place = parse_node(text)

    assert place == place_of(node_of(place, namespaces), namespaces)


def test_a_node_of_another_server_has_no_place() -> None:
    assert place_of(ua.ExpandedNodeId(5, 0, ServerIndex=1), []) is None
