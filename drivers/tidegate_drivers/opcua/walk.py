"""Walk: the nodes below one, level by level, each once however many ways lead to it. It reads no attributes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncua import ua

from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.references import HAS_PROPERTY, HIERARCHICAL, references
from tidegate_drivers.opcua.resolve import plain

# Of one walk: about 100 MB of memory.
NODES_MAX = 100_000
# A server may tell the same again and again: so many references a node, on the average, and it is enough.
REFERENCES_A_NODE_MAX = 10
DEPTH_MAX = 64
# Nodes whose references are asked for before what came is looked at.
NODES_A_STEP = 100

OBJECT, VARIABLE, METHOD = 1, 2, 4
PROPERTY_TYPE = ua.NodeId(ua.ObjectIds.PropertyType)
# The server's own state and diagnostics: hundreds of nodes, which are shown when they are asked for.
SERVER = ua.NodeId(ua.ObjectIds.Server)


@dataclass(frozen=True, slots=True)
class Node:
    """A node that was come by. `uri` and `name` are its BrowseName, `type` its type definition's NodeId or None.

    `node_class` is a NodeClass (OPC 10000-3 §8.29). `parent` is the index of the node before it, -1 at the start.
    """

    id: Any
    uri: str
    name: str
    node_class: int
    type: Any
    parent: int
    depth: int


def all_but_server(_: int, node: Node) -> bool:
    """Goes into every node but the server's own object."""
    return bool(node.id != SERVER)


class Walk:
    """The nodes below `start`, in the order in which they were come by; start itself is not among them.

    `full` when there are more than `nodes_max`; `refused` are StatusCodes by index of the nodes (-1: start) that would
    not tell what is below them.
    """

    def __init__(self, connection: Connection, start: Any, depth: int = DEPTH_MAX, nodes_max: int = NODES_MAX) -> None:
        self._connection = connection
        self._start = start
        self._depth = min(depth, DEPTH_MAX)
        self._nodes_max = nodes_max
        self._references = 0
        self._seen = {_key(start)}
        self.nodes: list[Node] = []
        self.refused: dict[int, int] = {}
        self.full = False

    async def run(self, into: Callable[[int, Node], bool] = all_but_server) -> None:
        """Walk, into the nodes that `into` says so of, which is told index and node.

        Raises as Connection.call does when the connection is lost.
        """
        level = [-1]
        for depth in range(1, self._depth + 1):
            begin = len(self.nodes)
            for at in range(0, len(level), NODES_A_STEP):
                await self._below(level[at : at + NODES_A_STEP], depth)
                if self.full:
                    return
            level = [index for index in range(begin, len(self.nodes)) if into(index, self.nodes[index])]
            if not level:
                return

    async def _below(self, level: list[int], depth: int) -> None:
        ids = [self._start if index < 0 else self.nodes[index].id for index in level]
        room = self._nodes_max * REFERENCES_A_NODE_MAX - self._references
        for index, those in zip(level, await references(self._connection, ids, HIERARCHICAL, room), strict=True):
            self._references += len(those.found)
            if those.status:
                self.refused[index] = those.status
            self.full = self.full or not (those.whole or those.status)
            for reference in those.found:
                self._add(reference, index, depth)

    def _add(self, reference: Any, parent: int, depth: int) -> None:
        namespaces = self._connection.namespaces
        node = plain(reference.NodeId, namespaces)
        if node is None or reference.ReferenceTypeId == HAS_PROPERTY or _key(node) in self._seen:
            return
        if len(self.nodes) >= self._nodes_max:
            self.full = True
            return
        self._seen.add(_key(node))
        name = reference.BrowseName
        known = 0 < name.NamespaceIndex < len(namespaces)
        uri = namespaces[name.NamespaceIndex] if known else ""
        type_id = plain(reference.TypeDefinition, namespaces)
        if type_id == PROPERTY_TYPE:
            return
        node_class = int(reference.NodeClass)
        self.nodes.append(Node(node, uri, name.Name or "", node_class, type_id, parent, depth))


def _key(node: Any) -> tuple[int, Any]:
    return node.NamespaceIndex, node.Identifier
