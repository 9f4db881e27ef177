"""Questions about a server's nodes: an answer that is too long, or can't be read, costs only the node it is about."""

import asyncio
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary

from tidegate.model.status import BAD_DECODING_ERROR
from tidegate_drivers.opcua import asking
from tidegate_drivers.opcua.asking import Asking
from tidegate_drivers.opcua.wire import Identifier

NODES = [Identifier(2, number) for number in range(5)]
DISPLAY_NAME = 4


def given(values: list[bytes]) -> bytes:
    """A ReadResponse of these DataValues."""
    empty = struct_to_binary(ua.ReadResponse())
    # Behind the header there are two arrays, which are empty.
    assert empty.endswith(bytes(8))
    return empty[:-8] + len(values).to_bytes(4, "little") + b"".join(values) + bytes(4)


class Server:
    """Gives each node its number as a Byte. `most` nodes at a time, or a refusal; `odd` are bytes in place of some."""

    def __init__(self, most: int = 100, refusal: int = 0, odd: dict[int, bytes] | None = None) -> None:
        self.most, self.refusal, self.odd = most, refusal, odd or {}
        self.asked: list[int] = []

    async def send(self, request: Any) -> Any:
        """The answer to a ReadRequest."""
        numbers = [one.NodeId.Identifier for one in request.Parameters.NodesToRead]
        self.asked.append(len(numbers))
        if len(numbers) > self.most:
            raise ua.UaStatusCodeError(self.refusal)
        return Buffer(given([self.odd.get(one, bytes([1, 3, one])) for one in numbers]))


def test_nodes_are_asked_for_in_requests_of_what_the_server_takes() -> None:
    server = Server()

    found = asyncio.run(Asking(server.send, 2, 2).read(NODES, DISPLAY_NAME))

    assert [0, 1, 2, 3, 4] == [one.datum.content for one in found]
    assert [2, 2, 1] == server.asked


@pytest.mark.parametrize("code", sorted(asking.TOO_MUCH))
def test_what_is_too_long_for_one_answer_is_asked_for_one_by_one(code: int) -> None:
    server = Server(most=1, refusal=code)

    found = asyncio.run(Asking(server.send).read(NODES, DISPLAY_NAME))

    assert [0, 1, 2, 3, 4] == [one.datum.content for one in found]


def test_a_node_that_alone_is_too_long_has_the_status_that_says_so() -> None:
    server = Server(most=0, refusal=ua.StatusCodes.BadResponseTooLarge)

    found = asyncio.run(Asking(server.send).read(NODES[:1], DISPLAY_NAME))

    assert [ua.StatusCodes.BadResponseTooLarge] == [one.status for one in found]


def test_a_value_that_can_not_be_read_costs_no_other() -> None:
    server = Server(odd={3: b"\x01\x3f"})

    found = asyncio.run(Asking(server.send).read(NODES, DISPLAY_NAME))

    assert [0, 1, 2, None, 4] == [one.datum.content for one in found]
    assert BAD_DECODING_ERROR == found[3].status


def test_another_refusal_is_that_of_the_whole_connection() -> None:
    server = Server(most=0, refusal=ua.StatusCodes.BadSessionIdInvalid)

    with pytest.raises(ua.UaStatusCodeError):
        asyncio.run(Asking(server.send).read(NODES, DISPLAY_NAME))


def test_references_that_come_in_pieces_are_one_list() -> None:
    def result(number: int, point: bytes | None) -> ua.BrowseResult:
        reference = ua.ReferenceDescription(
            NodeId=ua.ExpandedNodeId(number, 2), BrowseName=ua.QualifiedName(f"n{number}", 2)
        )
        return ua.BrowseResult(References=[reference], ContinuationPoint=point)

    async def send(request: Any) -> Any:
        if isinstance(request, ua.BrowseRequest):
            return Buffer(struct_to_binary(ua.BrowseResponse(Results=[result(7, b"more")])))
        last = ua.BrowseNextResult(Results=[result(8, None)])
        return Buffer(struct_to_binary(ua.BrowseNextResponse(Parameters=last)))

    [found] = asyncio.run(Asking(send).browse(NODES[:1], 33))

    assert [(Identifier(2, 7), "n7"), (Identifier(2, 8), "n8")] == [(one.node, one.name) for one in found]
