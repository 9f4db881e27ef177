"""References of nodes by the Browse service, whole or up to a bound, with continuation points (OPC 10000-4 §5.9.2-3).

Browse of some nodes ──▶ BrowseNext until none of them has more ──▶ Browse of the next ones
                     └── no continuation point was free: that node again, alone

A server has few continuation points, and a client that asks for more while it holds some may wait for itself: those of
a request are used up, or given back, before the next one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import ua

from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.limits import batches
from tidegate_drivers.opcua.words import LOST_CODES

# Of one request, so that reading its answer does not hold the loop for long: 0.1 s on a slow board.
NODES_AT_A_TIME, REFERENCES_AT_A_TIME = 20, 200
# A server may give nothing and say there is more: so often in a row it is believed.
EMPTY_IN_A_ROW_MAX = 10
ALL_FIELDS = 63

HIERARCHICAL = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
HAS_PROPERTY = ua.NodeId(ua.ObjectIds.HasProperty)
HAS_SUBTYPE = ua.NodeId(ua.ObjectIds.HasSubtype)


@dataclass(slots=True)
class References:
    """Those of one node, asyncua's ReferenceDescriptions; `status` is Bad where there are none for that.

    `whole` is False where the server had more of them than were wanted.
    """

    found: list[Any] = field(default_factory=list)
    status: int = 0
    whole: bool = True


async def references(
    connection: Connection, nodes: Sequence[Any], kind: Any, most: int, inverse: bool = False
) -> list[References]:
    """References of a kind, with its subtypes, of each node, of all of them together at most about `most`.

    Raises as Connection.call does when the connection is lost.
    """
    found = [References() for _ in nodes]
    again: list[int] = []
    for which in batches(range(len(nodes)), min(NODES_AT_A_TIME, connection.limits.browse)):
        again += await _some(connection, nodes, kind, inverse, found, list(which), most)
        most = max(0, most - sum(len(found[i].found) for i in which))
    for index in again:
        await _some(connection, nodes, kind, inverse, found, [index], most)
        most = max(0, most - len(found[index].found))
    return found


async def _some(
    connection: Connection, nodes: Sequence[Any], kind: Any, inverse: bool, found: list[References],
    which: list[int], most: int,
) -> list[int]:  # fmt: skip
    """Fill in those of some nodes; the indexes for which no continuation point was free."""
    if most <= 0:
        for index in which:
            found[index].whole = False
        return []
    request = ua.BrowseRequest()
    request.Parameters.RequestedMaxReferencesPerNode = min(most, REFERENCES_AT_A_TIME)
    request.Parameters.NodesToBrowse = [_description(nodes[index], kind, inverse) for index in which]
    try:
        results = (await connection.call(request, ua.BrowseResponse)).Results
    except ua.UaStatusCodeError as error:
        if error.code in LOST_CODES:
            raise
        if len(which) > 1:
            return which
        found[which[0]].status = error.code
        return []
    again, points = [], {}
    for index, result in zip(which, results, strict=False):
        if result.StatusCode.value == ua.StatusCodes.BadNoContinuationPoints and len(which) > 1:
            again.append(index)
        elif _take(found[index], result):
            points[index] = result.ContinuationPoint
    await _rest(connection, found, points, most)
    return again


async def _rest(connection: Connection, found: list[References], points: dict[int, bytes], most: int) -> None:
    """The rest of the nodes that have continuation points; those that are not used up are given back."""
    empty = 0
    while points:
        full = sum(len(found[index].found) for index in points) >= most or empty >= EMPTY_IN_A_ROW_MAX
        left: dict[int, bytes] = {}
        empty += 1
        for some in batches(list(points), connection.limits.browse):
            request = ua.BrowseNextRequest()
            request.Parameters.ReleaseContinuationPoints = full
            request.Parameters.ContinuationPoints = [points[index] for index in some]
            answer = (await connection.call(request, ua.BrowseNextResponse)).Parameters
            for index, result in zip(some, answer.Results if not full else [], strict=False):
                before = len(found[index].found)
                if _take(found[index], result):
                    left[index] = result.ContinuationPoint
                if len(found[index].found) > before:
                    empty = 0
        if full:
            for index in points:
                found[index].whole = False
        points = left


def _take(into: References, result: Any) -> bool:
    """Keep what a result has; whether there is more of it."""
    if not result.StatusCode.is_good():
        into.status, into.whole = result.StatusCode.value, False
        return False
    into.found += result.References or []
    return bool(result.ContinuationPoint)


def _description(node: Any, kind: Any, inverse: bool) -> Any:
    wanted = ua.BrowseDescription()
    wanted.NodeId, wanted.ReferenceTypeId, wanted.IncludeSubtypes = node, kind, True
    wanted.BrowseDirection = ua.BrowseDirection.Inverse if inverse else ua.BrowseDirection.Forward
    wanted.NodeClassMask, wanted.ResultMask = 0, ALL_FIELDS
    return wanted
