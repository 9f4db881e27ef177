"""Asking: attributes and references of a server's nodes, for what has to be known of it before its values can be.

Answers to reads are taken apart by wire.py: a value that asyncua can't read would cost all the others of its request.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from tidegate.model.status import BAD_DECODING_ERROR
from tidegate_drivers.opcua.variants import identifier_of, node_of
from tidegate_drivers.opcua.wire import (
    DATE_TIME,
    INT32,
    STATUS_CODE,
    STRING,
    UINT32,
    Datum,
    Identifier,
    Reader,
    Sample,
    Undecodable,
)

AT_A_TIME = 100
# Of one node; more than that are cut, and the server is told to forget the rest.
REFERENCES_MAX = 10_000
# What a server says of an answer that is too long for it: one that is asked less may give it.
TOO_MUCH = frozenset(
    {
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadEncodingLimitsExceeded,
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadTcpMessageTooLarge,
    }
)
SERVICE_FAULT = Identifier(0, 397)

Send = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Found:
    """The far end of a reference."""

    node: Identifier
    name: str


class Asking:
    """`send` takes a request of asyncua and gives the server's answer in bytes, from its type id on, or raises.

    `read_max` and `browse_max` are the nodes of one request.
    """

    def __init__(self, send: Send, read_max: int = AT_A_TIME, browse_max: int = AT_A_TIME) -> None:
        self._send, self._read_max, self._browse_max = send, read_max, browse_max

    async def read(self, nodes: Sequence[Identifier], attribute: int) -> list[Sample]:
        """One attribute of many nodes; one whose answer is too long, or can't be read, has a status that says so.

        Raises as `send`.
        """
        found: list[Sample] = []
        for at in range(0, len(nodes), self._read_max):
            some = nodes[at : at + self._read_max]
            try:
                found += await self._read(some, attribute)
            except Undecodable:
                found += [await self._alone(node, attribute) for node in some]
            except ua.UaStatusCodeError as error:
                if error.code not in TOO_MUCH:
                    raise
                found += [await self._alone(node, attribute) for node in some]
        return found

    async def _alone(self, node: Identifier, attribute: int) -> Sample:
        try:
            [found] = await self._read([node], attribute)
        except Undecodable:
            return Sample(Datum(), BAD_DECODING_ERROR)
        except ua.UaStatusCodeError as error:
            if error.code not in TOO_MUCH:
                raise
            return Sample(Datum(), error.code)
        return found

    async def _read(self, nodes: Sequence[Identifier], attribute: int) -> list[Sample]:
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [ua.ReadValueId(NodeId=node_of(one), AttributeId=attribute) for one in nodes]
        answer = await self._send(request)
        found = samples(answer if isinstance(answer, bytes) else answer.read(len(answer)))
        if len(found) != len(nodes):
            raise Undecodable(f"{len(found)} values for {len(nodes)} nodes")
        return found

    async def browse(self, nodes: Sequence[Identifier], reference: int, inverse: bool = False) -> list[list[Found]]:
        """The far ends of references of a type and its subtypes (numeric id of namespace 0). Raises as `send`."""
        found: list[list[Found]] = []
        for at in range(0, len(nodes), self._browse_max):
            request = ua.BrowseRequest()
            request.Parameters.NodesToBrowse = [
                ua.BrowseDescription(
                    NodeId=node_of(one),
                    BrowseDirection=ua.BrowseDirection.Inverse if inverse else ua.BrowseDirection.Forward,
                    ReferenceTypeId=ua.NodeId(reference),
                    IncludeSubtypes=True,
                    NodeClassMask=0,
                    ResultMask=ua.BrowseResultMask.BrowseName,
                )
                for one in nodes[at : at + self._browse_max]
            ]
            answer = struct_from_binary(ua.BrowseResponse, await self._send(request))
            found += [await self._rest(one) for one in answer.Results]
        return found

    async def _rest(self, result: Any) -> list[Found]:
        """The references of one node, with those that did not fit into the first answer."""
        found: list[Found] = []
        while True:
            found += [
                Found(identifier_of(one.NodeId), one.BrowseName.Name or "")
                for one in result.References or ()
                if not getattr(one.NodeId, "ServerIndex", None)
            ]
            point = result.ContinuationPoint
            if not point:
                return found
            request = ua.BrowseNextRequest()
            request.Parameters.ContinuationPoints = [point]
            request.Parameters.ReleaseContinuationPoints = len(found) >= REFERENCES_MAX
            answer = struct_from_binary(ua.BrowseNextResponse, await self._send(request))
            results = answer.Parameters.Results
            if request.Parameters.ReleaseContinuationPoints or not results:
                return found
            result = results[0]


def samples(answer: bytes) -> list[Sample]:
    """The values of a ReadResponse, from its type id on (OPC 10000-4 §5.10.2, §7.32). Raises Undecodable."""
    reader = Reader(answer)
    if reader.identifier() == SERVICE_FAULT:
        raise Undecodable("a fault, where values were to come")
    for builtin in (DATE_TIME, UINT32, STATUS_CODE):
        reader.number(builtin)
    reader.diagnostic()
    reader.array(STRING)
    reader.extension()
    return [reader.sample() for _ in range(reader.whole(INT32))]
