"""Learning: what a server says of the types of a group's nodes, for the values that the decoder leaves aside."""

from collections.abc import Sequence
from typing import Any

from asyncua import ua

from tidegate.model.tag import Type
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.definitions import learn_nodes
from tidegate_drivers.opcua.framer import Framer
from tidegate_drivers.opcua.items import Item
from tidegate_drivers.opcua.variants import identifier_of

# A value that is no number is taken apart, or is text; an enumeration has names for a tag that takes text.
APART = (0, int(Type.STRING))


async def learn(connection: Connection, framer: Framer, items: Sequence[Item], nodes: Sequence[Any]) -> None:
    """Have a framer know the structures and enumerations of these items. Raises what Connection.answer raises.

    A server that refuses to say costs only the tags that need it.
    """
    framer.types = connection.types
    apart = [i for i, item in enumerate(items) if item.kind in APART and not isinstance(nodes[i], int)]
    if not apart:
        return
    try:
        found = await learn_nodes(connection.asking, connection.types, [identifier_of(nodes[i]) for i in apart])
    except ua.UaStatusCodeError:
        return
    enumerations = connection.types.enumerations
    framer.names = {i: enumerations[one] for i, one in zip(apart, found, strict=True) if one in enumerations}
