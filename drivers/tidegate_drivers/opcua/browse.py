"""Browse: what a server has, as entries for people and rows of a tag table. One session, which is closed at the end."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from asyncua import Client, ua

from tidegate.acquire.survey import Entry, Note, Progress, Tell
from tidegate.clock import Clock
from tidegate.errors import ConfigError, Refused
from tidegate.model.device import Device
from tidegate.model.option import Options
from tidegate.model.tag import TIME_UNIT, Type
from tidegate_drivers.opcua.address import Place, parse_node
from tidegate_drivers.opcua.connection import Connection, connect
from tidegate_drivers.opcua.limits import batches
from tidegate_drivers.opcua.metadata import (
    DATE_TIME,
    DESCRIPTION_LETTERS_MAX,
    TYPES,
    Described,
    describe,
    read_data,
    read_some,
)
from tidegate_drivers.opcua.resolve import place_of, resolve, why
from tidegate_drivers.opcua.settings import Settings, parse_device
from tidegate_drivers.opcua.units import clean
from tidegate_drivers.opcua.walk import DEPTH_MAX, NODES_MAX, SERVER, VARIABLE, Node, Walk
from tidegate_drivers.opcua.words import driver_error, status_word

OBJECTS = Place("", "i", "85")
# Variables that are asked about, and told, at a time.
ENTRIES_A_STEP = 200
VALUE_LETTERS_MAX, NAME_LETTERS_MAX, ELEMENTS_SHOWN = 60, 120, 8
# NodeClass (OPC 10000-3 §8.29).
KINDS = {1: "object", 2: "variable", 4: "method", 8: "object type", 16: "variable type", 32: "reference type",
         64: "data type", 128: "view"}  # fmt: skip


class ServerBrowse:
    """One browse; see tidegate.acquire.survey.Browse. `start` is the node that it begins at."""

    def __init__(
        self, device: Device, settings: Settings, start: Place, depth: int, nodes_max: int, types: bool
    ) -> None:
        self._device = device.name
        self._settings = settings
        self._start = start
        self._depth, self._nodes_max, self._types = depth, nodes_max, types

    async def run(self, tell: Tell) -> None:
        """Tell all of it: the start first, each node before those below it."""
        connection = await connect(
            self._settings, Client(self._settings.url, timeout=self._settings.timeout_s), Clock(), again=False
        )
        try:
            await self._run(connection, tell)
        except Exception as error:
            raise driver_error(self._device, error) from None
        finally:
            await connection.close(delete=True)

    async def _run(self, connection: Connection, tell: Tell) -> None:
        [start] = await resolve(connection, [self._start])
        if isinstance(start, int):
            raise Refused(self._device, why(self._start, start, connection.namespaces), start)
        first = await _first(connection, start)
        if first is None:
            code = ua.StatusCodes.BadNodeIdUnknown
            raise Refused(self._device, f"{status_word(code)}: there is no {self._start}", code)
        tell(Progress(0, self._nodes_max, f"looking through {self._settings.url}"))
        walk = Walk(connection, start, self._depth, self._nodes_max)
        await walk.run()
        nodes = [first, *(replace(node, parent=node.parent + 1) for node in walk.nodes)]
        done = 0
        for which in batches(list(_in_order(nodes)), ENTRIES_A_STEP):
            for entry in await self._entries(connection, nodes, which):
                tell(entry)
            done += len(which)
            tell(Progress(done, len(nodes), "read"))
        _notes(walk, self._nodes_max, tell)

    async def _entries(self, connection: Connection, nodes: Sequence[Node], which: Sequence[int]) -> list[Entry]:
        variables = [index for index in which if nodes[index].node_class == VARIABLE]
        ids = [nodes[index].id for index in variables]
        known = dict(zip(variables, await describe(connection, ids), strict=True))
        wanted = [index for index in variables if known[index].readable]
        told = await read_data(connection, [(nodes[index].id, ua.AttributeIds.Value) for index in wanted])
        values = dict(zip(wanted, told, strict=True))
        made_of = await self._made_of(connection, [nodes[index].type for index in which])
        return [
            _entry(connection, nodes, index, known.get(index, Described()), values.get(index), made)
            for index, made in zip(which, made_of, strict=True)
        ]

    async def _made_of(self, connection: Connection, types: Sequence[Any]) -> list[str]:
        """The names of type definitions, empty where they are not wanted."""
        if not self._types:
            return [""] * len(types)
        asked = list(dict.fromkeys(one for one in types if one is not None))
        told = await read_some(connection, [(one, ua.AttributeIds.BrowseName) for one in asked])
        names = {one: clean(name.Name, NAME_LETTERS_MAX) for one, name in zip(asked, told, strict=True) if name}
        return [names.get(one, "") for one in types]


def browse(device: Device, node: str, wishes: Mapping[str, str], folder: Path | None) -> ServerBrowse:
    """A browse of a server. Wishes: `depth`, `nodes`, `types`. Raises ValueError, and ConfigError for the device."""
    settings, problems = parse_device(device)
    if settings is None:
        raise ConfigError([problem for problem in problems if problem.fatal])
    options = Options(wishes, "browse", None)
    depth = options.whole("depth", DEPTH_MAX, 0, DEPTH_MAX)
    nodes_max = options.whole("nodes", NODES_MAX, 1, NODES_MAX)
    types = options.word("types", "false", ("true", "false")) == "true"
    options.refuse_unknown()
    for problem in options.problems:
        raise ValueError(f"--{problem.column}: {problem.what}. {problem.remedy}")
    start = parse_node(node, settings.namespace) if node else OBJECTS
    return ServerBrowse(device, settings, start, depth, nodes_max, types)


async def _first(connection: Connection, start: Any) -> Node | None:
    """The node that it begins at; None when the server does not know it."""
    node_class, name = await read_some(
        connection, [(start, ua.AttributeIds.NodeClass), (start, ua.AttributeIds.BrowseName)]
    )
    return None if name is None else Node(start, "", name.Name or "", int(node_class or 0), None, -1, 0)


def _in_order(nodes: Sequence[Node]) -> Iterator[int]:
    """Indexes of the nodes, each before those below it, as a tree is printed."""
    below: list[list[int]] = [[] for _ in nodes]
    for index in range(1, len(nodes)):
        below[nodes[index].parent].append(index)
    left = [0]
    while left:
        index = left.pop()
        yield index
        left += reversed(below[index])


def _entry(
    connection: Connection, nodes: Sequence[Node], index: int, known: Described, value: Any, made_of: str
) -> Entry:  # fmt: skip
    node = nodes[index]
    place = place_of(node.id, connection.namespaces)
    kind = KINDS.get(node.node_class, "node")
    path: list[str] = []
    at = index
    while at > 0:
        path.append(clean(nodes[at].name, NAME_LETTERS_MAX) or "?")
        at = nodes[at].parent
    address = "" if place is None else str(place)
    if node.node_class != VARIABLE:
        return Entry((*reversed(path),), kind, address, made_of=made_of)
    # Of a number whose type the server leaves open, the value tells.
    open_type = value.Value.VariantType if value is not None and value.Value is not None else None
    word = known.type.word if known.type else _word(open_type)
    number = word not in (Type.STRING.word, Type.BOOL.word)
    return Entry(
        (*reversed(path),),
        kind,
        address,
        word if known.readable else "",
        TIME_UNIT if known.builtin == DATE_TIME and number else known.unit,
        known.range if number else None,
        clean(known.description, DESCRIPTION_LETTERS_MAX),
        known.writable,
        _shown(value, known),
        made_of,
    )


def _word(variant: Any) -> str:
    """The type of a tag for a value of this built-in type."""
    kind = TYPES.get(int(variant)) if variant is not None else None
    return kind.word if kind else Type.STRING.word


def _shown(value: Any, known: Described) -> str:
    """A value for people, in few letters; its status where it is not Good."""
    if value is None:
        return ""
    if value.StatusCode is not None and not value.StatusCode.is_good():
        return status_word(value.StatusCode.value)
    content = value.Value.Value if value.Value is not None else None
    if known.names and isinstance(content, int):
        return clean(known.names.shown(content, known.type.word if known.type else ""), VALUE_LETTERS_MAX)
    return clean(_text(content), VALUE_LETTERS_MAX)


def _text(content: Any) -> str:
    if content is None:
        return "nothing"
    if isinstance(content, list):
        more = ", …" if len(content) > ELEMENTS_SHOWN else ""
        return f"[{', '.join(_text(one) for one in content[:ELEMENTS_SHOWN])}{more}] ({len(content)})"
    if isinstance(content, bytes):
        return base64.b64encode(content[:VALUE_LETTERS_MAX]).decode()
    if isinstance(content, datetime):
        return content.isoformat(timespec="milliseconds")
    if isinstance(content, ua.LocalizedText):
        return content.Text or ""
    if isinstance(content, ua.StatusCode):
        return status_word(content.value)
    if isinstance(content, ua.ExtensionObject) or hasattr(content, "ua_types"):
        return "a structure"
    if isinstance(content, bool):
        return str(content).lower()
    return f"{content:g}" if isinstance(content, float) else str(content)


def _notes(walk: Walk, nodes_max: int, tell: Tell) -> None:
    if walk.full:
        tell(Note(f"there are more than {nodes_max:,} nodes: begin further down, or look less deep"))
    if any(node.id == SERVER for node in walk.nodes):
        tell(Note("the server's own state and diagnostics are below i=2253"))
    if walk.refused:
        codes = ", ".join(sorted({status_word(code) for code in walk.refused.values()}))
        tell(Note(f"{len(walk.refused)} nodes did not tell what is below them: {codes}"))
