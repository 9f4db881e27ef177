"""Resolve: places to the NodeIds of one connection."""

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from tidegate_drivers.opcua.address import Place
from tidegate_drivers.opcua.connection import Connection


async def resolve(connection: Connection, places: Sequence[Place]) -> list[Any]:
    """A NodeId a place, or the StatusCode why there is none."""
    found: list[Any] = []
    for place in places:
        if place.namespace and place.namespace not in connection.namespaces:
            found.append(ua.StatusCodes.BadNodeIdUnknown)
            continue
        index = connection.namespaces.index(place.namespace) if place.namespace else 0
        found.append(ua.NodeId(int(place.identifier) if place.kind == "i" else place.identifier, index))
    return found
