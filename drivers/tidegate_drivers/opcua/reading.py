"""Reading: values of items by the Read service, for servers that can't subscribe, and for one look."""

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.items import Item
from tidegate_drivers.opcua.limits import batches


async def read_items(connection: Connection, items: Sequence[Item], nodes: Sequence[Any]) -> list[Any]:
    """A DataValue an item; of one without a node (an int, the StatusCode why) it is made up. Raises as `call` does."""
    found: list[Any] = [None] * len(items)
    asked = []
    for index, node in enumerate(nodes):
        if isinstance(node, int):
            found[index] = ua.DataValue(StatusCode=ua.StatusCode(node))
        else:
            asked.append(index)
    for some in batches(asked, connection.limits.read):
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(nodes[i], ua.AttributeIds.Value, items[i].place.index_range or None) for i in some
        ]
        answer = await connection.call(request, ua.ReadResponse)
        for index, value in zip(some, answer.Results, strict=True):
            found[index] = value
    return found
