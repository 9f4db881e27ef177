"""Resolve: places to the NodeIds of one connection, and NodeIds to places. Indexes of namespaces hold for a connection.

    place ──▶ URI in this connection's namespaces? ──no──▶ BadNodeIdUnknown, BadNoMatch for a path
                 │ no path                │ path
                 ▼                        ▼
              NodeId            TranslateBrowsePathsToNodeIds, within the server's limit (OPC 10000-4 §5.9.4)

What can't be found is the status of its own place, and costs the others nothing.
"""

import base64
import uuid
from collections.abc import Sequence
from typing import Any

from asyncua import ua

from tidegate_drivers.opcua.address import Place
from tidegate_drivers.opcua.browsepath import STANDARD_URI
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.limits import batches
from tidegate_drivers.opcua.words import LOST_CODES, status_word

# A target that is reached within the path, not at a place where another server would have to go on.
WHOLE_PATH = 0xFFFFFFFF
# A server that says these may well take fewer at a time.
TOO_MUCH = frozenset(
    {
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadRequestTooLarge,
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadEncodingLimitsExceeded,
    }
)
KINDS = {
    ua.NodeIdType.TwoByte: "i",
    ua.NodeIdType.FourByte: "i",
    ua.NodeIdType.Numeric: "i",
    ua.NodeIdType.String: "s",
    ua.NodeIdType.Guid: "g",
    ua.NodeIdType.ByteString: "b",
}


async def resolve(connection: Connection, places: Sequence[Place]) -> list[Any]:
    """A NodeId a place, or the StatusCode (int) why there is none: see `why`.

    Raises as Connection.call does when the connection is lost, and for nothing else.
    """
    found: list[Any] = []
    paths: dict[tuple[Any, ...], list[int]] = {}
    for index, place in enumerate(places):
        node = node_of(place, connection.namespaces)
        found.append(node)
        if place.path and not isinstance(node, int):
            paths.setdefault((place.namespace, place.kind, place.identifier, place.path), []).append(index)
    asked = []
    for which in paths.values():
        path = _browse_path(found[which[0]], places[which[0]], connection.namespaces)
        if path is None:
            for index in which:
                found[index] = ua.StatusCodes.BadNoMatch
        else:
            asked.append((path, which))
    for some in batches(asked, connection.limits.translate):
        targets = await _translate(connection, [path for path, _ in some])
        for target, (_, which) in zip(targets, some, strict=True):
            for index in which:
                found[index] = target
    return found


def why(place: Place, code: int, namespaces: Sequence[str]) -> str:
    """Why a place has no node, in words, for the StatusCode that `resolve` gave."""
    missing = [uri for uri in (place.namespace, *(uri for uri, _ in place.path)) if _index(uri, namespaces) is None]
    if missing:
        return f"{status_word(code)}: the server has no namespace {missing[0]} (any more); `tidegate browse` shows them"
    if place.path:
        return f"{status_word(code)}: nothing is at {place} (any more)"
    return status_word(code)


def node_of(place: Place, namespaces: Sequence[str]) -> Any:
    """The NodeId that a place names, or that its path begins at; BadNodeIdUnknown when its namespace is not there."""
    index = _index(place.namespace, namespaces)
    if index is None:
        return ua.StatusCodes.BadNoMatch if place.path else ua.StatusCodes.BadNodeIdUnknown
    if place.kind == "i":
        return ua.NodeId(int(place.identifier), index)
    if place.kind == "g":
        return ua.NodeId(uuid.UUID(place.identifier), index, ua.NodeIdType.Guid)
    if place.kind == "b":
        return ua.NodeId(base64.b64decode(place.identifier), index, ua.NodeIdType.ByteString)
    return ua.NodeId(place.identifier, index, ua.NodeIdType.String)


def place_of(node: Any, namespaces: Sequence[str]) -> Place | None:
    """The place that a NodeId of this connection is; None when it is another server's, or its namespace has no URI."""
    uri = getattr(node, "NamespaceUri", None)
    if getattr(node, "ServerIndex", None):
        return None
    if not uri:
        if not 0 <= node.NamespaceIndex < len(namespaces):
            return None
        uri = namespaces[node.NamespaceIndex] if node.NamespaceIndex else ""
    kind = KINDS[node.NodeIdType]
    identifier = base64.b64encode(node.Identifier).decode() if kind == "b" else str(node.Identifier)
    return Place("" if uri == STANDARD_URI else uri, kind, identifier)


def plain(node: Any, namespaces: Sequence[str]) -> Any | None:
    """The NodeId of an ExpandedNodeId (OPC 10000-4 §7.16); None when it is another server's."""
    if getattr(node, "ServerIndex", None):
        return None
    index = node.NamespaceIndex
    if uri := getattr(node, "NamespaceUri", None):
        known = _index("" if uri == STANDARD_URI else uri, namespaces)
        if known is None:
            return None
        index = known
    return ua.NodeId(
        node.Identifier, index, ua.NodeIdType.Numeric if KINDS[node.NodeIdType] == "i" else node.NodeIdType
    )


def _index(uri: str, namespaces: Sequence[str]) -> int | None:
    """Where the URI is in the server's array; the first one where it is twice."""
    if not uri:
        return 0
    return namespaces.index(uri) if uri in namespaces else None


def _browse_path(start: Any, place: Place, namespaces: Sequence[str]) -> Any | None:
    elements = []
    for uri, name in place.path:
        index = _index(uri, namespaces)
        if index is None:
            return None
        element = ua.RelativePathElement()
        element.ReferenceTypeId = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
        element.IsInverse, element.IncludeSubtypes = False, True
        element.TargetName = ua.QualifiedName(name, index)
        elements.append(element)
    return ua.BrowsePath(start, ua.RelativePath(elements))


async def _translate(connection: Connection, paths: Sequence[Any]) -> list[Any]:
    """The first target of each path, or the StatusCode why there is none."""
    request = ua.TranslateBrowsePathsToNodeIdsRequest()
    request.Parameters.BrowsePaths = list(paths)
    try:
        answer = await connection.call(request, ua.TranslateBrowsePathsToNodeIdsResponse)
    except ua.UaStatusCodeError as error:
        if error.code in LOST_CODES:
            raise
        if error.code in TOO_MUCH and len(paths) > 1:
            half = len(paths) // 2
            return await _translate(connection, paths[:half]) + await _translate(connection, paths[half:])
        return [error.code] * len(paths)
    if len(answer.Results) != len(paths):
        return [ua.StatusCodes.BadUnknownResponse] * len(paths)
    return [_target(result, connection.namespaces) for result in answer.Results]


def _target(result: Any, namespaces: Sequence[str]) -> Any:
    if not result.StatusCode.is_good():
        return int(result.StatusCode.value)
    for target in result.Targets:
        if target.RemainingPathIndex == WHOLE_PATH:
            node = plain(target.TargetId, namespaces)
            if node is not None:
                return node
    return ua.StatusCodes.BadNoMatch
