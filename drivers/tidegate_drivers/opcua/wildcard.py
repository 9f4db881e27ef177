"""Wildcard: rows of a table that select variables, each a tag of its own behind the table's, followed as they change.

    rows ──▶ expand ──▶ table + a tag a variable ──▶ changed: the server told so, or it is time ──▶ expand ──▶ …

Tags are only ever added, behind all that are there: an index, once given, is that tag's for good. A variable that is
gone keeps its tag, which is Bad. Each variable is come by on one way, the shortest, and in no more than one row.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from asyncua import ua

from tidegate.model.device import Device
from tidegate.model.tag import Scale, Tag, TagTable, Type
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.metadata import Described, describe, refined
from tidegate_drivers.opcua.references import HAS_SUBTYPE, references
from tidegate_drivers.opcua.resolve import place_of, plain, resolve, why
from tidegate_drivers.opcua.selection import BEGIN, COLUMNS, EVERY_S, Selection, States, parse_selection
from tidegate_drivers.opcua.walk import VARIABLE, Node, Walk

# Tags of one device that its selections may make, all of them together.
SELECTED_MAX = 50_000
SUBTYPES_MAX = 10_000
# A server that builds a machine's nodes tells so many times: it is looked at when it has been still for so long.
SETTLE_S = 2.0
# But it is not waited for longer than this.
SETTLE_S_MAX = 30.0
# Letters of a tag's name (config/tags.py), and of what makes two long ones different.
NAME_LETTERS_MAX, HASH_LETTERS = 128, 8
SERVER = ua.NodeId(ua.ObjectIds.Server)
MODEL_CHANGE = ua.NodeId(ua.ObjectIds.GeneralModelChangeEventType)
# Columns that mean nothing for texts and booleans.
OF_NUMBERS = {"server_deadband"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """A variable that a row selects, and the names on the way to it."""

    row: int
    node: Any
    address: str
    names: tuple[str, ...]


class Wildcard:
    """The selections of one device; `namespace` is that of addresses that name none.

    `refused` are, by index of the row, StatusCode and reason of those whose start was not there the last time.
    """

    def __init__(self, device: Device, namespace: str, selected_max: int = SELECTED_MAX) -> None:
        found = {index: _selection(tag, namespace) for index, tag in enumerate(device.table.tags)}
        self._device = device.name
        self._selections = {index: one for index, one in found.items() if one is not None}
        self._selected_max = selected_max
        self._told: dict[int, tuple[int, bool]] = {}
        self._tags: dict[str, Tag] = {}
        self._changed = asyncio.Event()
        self.refused: dict[int, tuple[int, str]] = {}

    @property
    def rows(self) -> frozenset[int]:
        """Indexes of the tags that are selections, and have no readings of their own."""
        return frozenset(self._selections)

    async def expand(self, connection: Connection, table: TagTable) -> TagTable:
        """The table with a tag behind its own for each selected variable that it has none for; itself when that is all.

        Raises as Connection.call does when the connection is lost.
        """
        self._changed.clear()
        self.refused = {}
        known = {tag.address for tag in table.tags}
        names = {tag.name for tag in table.tags}
        room = self._selected_max - len(self._tags)
        new: list[_Found] = []
        for row, selection in self._selections.items():
            found, full = await self._found(connection, row, selection)
            unknown = [one for one in found if one.address not in self._tags and one.address not in known]
            taken = unknown[: max(0, room - len(new))]
            self._warn(table.tags[row], len(found), len(unknown) - len(taken), full)
            known |= {one.address for one in taken}
            new += taken
        described = await describe(connection, [one.node for one in new])
        made = []
        for one, known_of in zip(new, described, strict=True):
            tag = _tag(table.tags[one.row], one, known_of, names)
            names.add(tag.name)
            made.append(tag)
        filled = refined(TagTable(table.device, tuple(made)), dict(enumerate(described))).tags
        self._tags.update({tag.address: tag for tag in filled})
        here = {tag.address for tag in table.tags}
        more = tuple(tag for address, tag in self._tags.items() if address not in here)
        return replace(table, tags=(*table.tags, *more)) if more else table

    async def changed(self) -> None:
        """Wait until the address space may have changed: `tell` was called and it is quiet again, or it is time."""
        every_s = min((one.every_s for one in self._selections.values()), default=EVERY_S)
        try:
            async with asyncio.timeout(every_s):
                await self._changed.wait()
        except TimeoutError:
            return
        until_s = asyncio.get_running_loop().time() + SETTLE_S_MAX
        while self._changed.is_set() and asyncio.get_running_loop().time() < until_s:
            self._changed.clear()
            await asyncio.sleep(SETTLE_S)

    def tell(self) -> None:
        """The server told of a change of its address space: see `model_changes`."""
        self._changed.set()

    async def _found(self, connection: Connection, row: int, selection: Selection) -> tuple[list[_Found], bool]:
        """The variables that a row selects, and whether there are more than could be looked at."""
        places = [selection.start] if selection.of_type is None else [selection.start, selection.of_type]
        nodes = await resolve(connection, places)
        for place, node in zip(places, nodes, strict=True):
            if isinstance(node, int):
                self.refused[row] = node, why(place, node, connection.namespaces)
                return [], False
        types = None if selection.of_type is None else await _with_subtypes(connection, nodes[1])
        walk = Walk(connection, nodes[0])
        states: list[States] = []

        def into(index: int, _: Node) -> bool:
            return bool(_state(selection, walk.nodes, states, index))

        await walk.run(into)
        for index in range(len(walk.nodes)):
            _state(selection, walk.nodes, states, index)
        if -1 in walk.refused:
            self.refused[row] = walk.refused[-1], f"{selection.start} does not tell what is below it"
        within = _within(walk.nodes, types)
        found = []
        for index, node in enumerate(walk.nodes):
            fits = node.node_class == VARIABLE and within[index] and selection.fits(states[index])
            at = place_of(node.id, connection.namespaces) if fits else None
            if at is not None:
                found.append(_Found(row, node.id, str(at), _names(walk.nodes, index)))
        return found, walk.full

    def _warn(self, tag: Tag, found: int, left_out: int, full: bool) -> None:
        """Say how much of a selection is left out, once for each number."""
        row = tag.row or 0
        if self._told.get(row) == (left_out, full):
            return
        self._told[row] = left_out, full
        where = f"{self._device}: {tag.name} ({tag.address})"
        if left_out:
            log.warning(
                "%s selects %d variables, %d of them are not read: a device has at most %d of selections; narrow it",
                where, found, left_out, self._selected_max,
            )  # fmt: skip
        if full:
            log.warning("%s is not all looked through: there are too many nodes below it; begin further down", where)


def model_changes(handle: int) -> Any:
    """The monitored item by which a server tells of changes of its address space: GeneralModelChangeEvents.

    OPC 10000-3 §9.32.2. `tell` wants to be called for each notification of it. Servers that have none refuse it.
    """
    source = ua.SimpleAttributeOperand()
    source.TypeDefinitionId = ua.NodeId(ua.ObjectIds.BaseEventType)
    source.BrowsePath = [ua.QualifiedName("EventType", 0)]
    source.AttributeId = ua.AttributeIds.Value
    wanted = ua.LiteralOperand(Value=ua.Variant(MODEL_CHANGE, ua.VariantType.NodeId))
    element = ua.ContentFilterElement()
    element.FilterOperator = ua.FilterOperator.OfType
    element.FilterOperands = [wanted]
    events = ua.EventFilter()
    events.SelectClauses = [source]
    events.WhereClause = ua.ContentFilter([element])
    item = ua.MonitoredItemCreateRequest()
    item.ItemToMonitor = ua.ReadValueId(SERVER, ua.AttributeIds.EventNotifier)
    item.MonitoringMode = ua.MonitoringMode.Reporting
    item.RequestedParameters.ClientHandle = handle
    item.RequestedParameters.SamplingInterval = 0.0
    item.RequestedParameters.QueueSize = 1
    item.RequestedParameters.DiscardOldest = True
    item.RequestedParameters.Filter = events
    return item


def grown(device: Device, table: TagTable) -> Device:
    """The device with this longer table, whose new tags are in the groups that they name."""
    old = len(device.table.tags)
    groups = tuple(
        replace(
            group, tags=(*group.tags, *(i for i in range(old, len(table.tags)) if table.tags[i].group == group.name))
        )
        for group in device.groups
    )
    return replace(device, table=table, groups=groups)


def _selection(tag: Tag, namespace: str) -> Selection | None:
    try:
        return parse_selection(tag, namespace)
    except ValueError:
        return None


def _state(selection: Selection, nodes: Sequence[Node], states: list[States], index: int) -> States:
    """How far in the pattern each node up to this one is; asked for in rising order."""
    while len(states) <= index:
        node = nodes[len(states)]
        before = BEGIN if node.parent < 0 else states[node.parent]
        states.append(selection.advance(before, node.uri, node.name))
    return states[index]


def _within(nodes: Sequence[Node], types: frozenset[Any] | None) -> list[bool]:
    """Whether each node is of one of the types, or within an object that is."""
    found: list[bool] = []
    for node in nodes:
        found.append(types is None or node.type in types or (node.parent >= 0 and found[node.parent]))
    return found


def _names(nodes: Sequence[Node], index: int) -> tuple[str, ...]:
    names = []
    while index >= 0:
        names.append(nodes[index].name)
        index = nodes[index].parent
    return tuple(reversed(names))


async def _with_subtypes(connection: Connection, node: Any) -> frozenset[Any]:
    found, level = {node}, [node]
    while level and len(found) < SUBTYPES_MAX:
        told = await references(connection, level, HAS_SUBTYPE, SUBTYPES_MAX)
        below = [plain(one.NodeId, connection.namespaces) for those in told for one in those.found]
        level = [one for one in dict.fromkeys(below) if one is not None and one not in found]
        found.update(level)
    return frozenset(found)


def _tag(row: Tag, one: _Found, known: Described, taken: set[str]) -> Tag:
    """The tag of a selected variable: of the server's own type, else as its row has it, like everything else."""
    raw = known.type or row.raw
    number = raw not in (Type.STRING, Type.BOOL)
    scaled = number and not row.scale.neutral
    left = {*COLUMNS} if number else {*COLUMNS, *OF_NUMBERS}
    return replace(
        row,
        name=_name(row.name, one, taken),
        type=Type.FLOAT64 if scaled else raw,
        raw=raw,
        address=one.address,
        options=tuple(option for option in row.options if option[0] not in left),
        scale=row.scale if number else Scale(),
        scale_by=row.scale_by if number else "",
        deadband=row.deadband if number else None,
        identifier="",
        names=row.names if number else known.names,
    )


def _name(row: str, one: _Found, taken: set[str]) -> str:
    """`row.path.to.variable`, with a hash where that is too long, or another one's."""
    name = "".join(letter for letter in ".".join((row, *one.names)) if letter.isprintable()).strip()
    if len(name) <= NAME_LETTERS_MAX and name not in taken:
        return name
    mark = hashlib.sha256(one.address.encode()).hexdigest()[:HASH_LETTERS]
    return f"{name[: NAME_LETTERS_MAX - HASH_LETTERS - 1]}~{mark}"
