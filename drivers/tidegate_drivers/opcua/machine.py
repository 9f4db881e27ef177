"""Machine: the object of a companion type on a server, and its nameplate (OPC 40001-1 §8, OPC 10000-100 §4.5).

Machines, where the server has them (Machinery), else whatever is below Objects
   └── the only object of the wanted type, or of one derived from it ──▶ Identification ──▶ Manufacturer, Model, …
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tidegate.errors import InvalidReply, Refused
from tidegate.model.status import BAD_CONFIGURATION_ERROR, is_bad
from tidegate_drivers.opcua.address import Place
from tidegate_drivers.opcua.asking import Asking, Found
from tidegate_drivers.opcua.connection import Connection
from tidegate_drivers.opcua.resolve import node_of, place_of, resolve
from tidegate_drivers.opcua.variants import identifier_of
from tidegate_drivers.opcua.variants import node_of as asyncua_node
from tidegate_drivers.opcua.wire import Identifier

MACHINERY = "http://opcfoundation.org/UA/Machinery/"
MACHINES = Place(MACHINERY, "i", "1001")
OBJECTS, HIERARCHICAL, TYPE_DEFINITION, SUBTYPE, VALUE = Identifier(0, 85), 33, 40, 45, 13
# Machines stand near the top; what lies deeper is a part of one.
DEPTH_MAX, OBJECTS_MAX, TYPES_MAX = 5, 2000, 32
# The words of a nameplate, and the BrowseNames that have them.
NAMES = {"vendor": "Manufacturer", "product": "Model", "revision": "SoftwareRevision", "serial": "SerialNumber"}
PARTS = ("Identification",)
# The server's own words, below its BuildInfo (OPC 10000-5 §7.8).
BUILD_INFO = (("vendor", Identifier(0, 2263)), ("product", Identifier(0, 2261)), ("revision", Identifier(0, 2264)))
CANDIDATES_TOLD_MAX = 8
QUESTION = b'{"ask":"machine"}'


@dataclass(frozen=True, slots=True)
class Nameplate:
    """Who a machine says it is; "" where it does not say. `type` is the address of its TypeDefinition."""

    type: str
    vendor: str = ""
    product: str = ""
    revision: str = ""
    serial: str = ""

    @property
    def document(self) -> bytes:
        """As the answer to QUESTION: JSON, UTF-8."""
        return json.dumps(asdict(self), ensure_ascii=False).encode()


async def find_machine(connection: Connection, device: str, wanted: Place) -> Place:
    """The object of a type that a device is. Raises Refused when there is none or more than one, with what to do."""
    asking = connection.asking
    kind = node_of(wanted, connection.namespaces)
    if isinstance(kind, int):
        what = f"the server has no namespace {wanted.namespace}: it is no such machine, or `type` is another"
        raise Refused(device, what, BAD_CONFIGURATION_ERROR)
    found = await _of_type(connection, asking, identifier_of(kind))
    if len(found) == 1:
        place = place_of_identifier(connection, found[0].node)
        if place is not None:
            return place
    if not found:
        what = f"the server has no object of the type {wanted}: name it in `root`"
        raise Refused(device, what, BAD_CONFIGURATION_ERROR)
    told = found[:CANDIDATES_TOLD_MAX]
    names = ", ".join(f"{one.name} ({place_of_identifier(connection, one.node)})" for one in told)
    what = f"the server has {len(found)} objects of the type {wanted}: name one of them in `root`: {names}"
    raise Refused(device, what, BAD_CONFIGURATION_ERROR)


async def nameplate(connection: Connection, root: Place | None) -> Nameplate:
    """What the machine at a place says of itself; None: the server itself. Raises InvalidReply when it is not there."""
    asking = connection.asking
    if root is None:
        said = await _said(asking, dict(BUILD_INFO))
        return Nameplate("", **said)
    [node] = await resolve(connection, [root])
    if isinstance(node, int):
        raise InvalidReply("", f"{root} is no node of the server")
    at = identifier_of(node)
    types = (await asking.browse([at], TYPE_DEFINITION))[0]
    own = (await asking.browse([at], HIERARCHICAL))[0]
    parts = [one for one in own if one.name in PARTS]
    inner = await asking.browse([one.node for one in parts], HIERARCHICAL) if parts else []
    # What Identification says goes before what stands at the machine itself.
    named = {one.name: one.node for one in [*own, *(one for some in inner for one in some)]}
    words = {word: named[name] for word, name in NAMES.items() if name in named}
    said = await _said(asking, words)
    kind = place_of_identifier(connection, types[0].node) if types else None
    return Nameplate(str(kind) if kind is not None else "", **said)


async def _said(asking: Asking, words: dict[str, Identifier]) -> dict[str, str]:
    """The texts of some nodes, by word."""
    samples = await asking.read(list(words.values()), VALUE) if words else []
    return {word: _text(one.datum.content) for word, one in zip(words, samples, strict=True) if not is_bad(one.status)}


def place_of_identifier(connection: Connection, node: Identifier) -> Place | None:
    """The place of a node of this connection."""
    return place_of(asyncua_node(node), connection.namespaces)


async def _of_type(connection: Connection, asking: Asking, wanted: Identifier) -> list[Found]:
    """Objects near the top whose type is the wanted one, or derived from it; not those within others of them."""
    machines = node_of(MACHINES, connection.namespaces)
    known = [] if isinstance(machines, int) else await _below(asking, identifier_of(machines), wanted)
    return known or await _below(asking, OBJECTS, wanted)


async def _below(asking: Asking, start: Identifier, wanted: Identifier) -> list[Found]:
    fitting: dict[Identifier, bool] = {}
    seen: set[Identifier] = {start}
    found: list[Found] = []
    wave = [start]
    for _ in range(DEPTH_MAX):
        children = [one for some in await asking.browse(wave, HIERARCHICAL) for one in some if one.node not in seen]
        children = list({one.node: one for one in children}.values())[: OBJECTS_MAX - len(seen)]
        if not children:
            break
        seen.update(one.node for one in children)
        types = await asking.browse([one.node for one in children], TYPE_DEFINITION)
        wave = []
        for one, kinds in zip(children, types, strict=True):
            if kinds and await _fits(asking, kinds[0].node, wanted, fitting):
                found.append(one)
            else:
                wave.append(one.node)
    return found


async def _fits(asking: Asking, kind: Identifier, wanted: Identifier, known: dict[Identifier, bool]) -> bool:
    """Whether a type is the wanted one, or derived from it."""
    chain: list[Identifier] = []
    fits = False
    for _ in range(TYPES_MAX):
        if kind in known or kind == wanted:
            fits = known.get(kind, True)
            break
        chain.append(kind)
        above: Sequence[Found] = (await asking.browse([kind], SUBTYPE, inverse=True))[0]
        if not above:
            break
        kind = above[0].node
    known.update(dict.fromkeys(chain, fits))
    return fits


def _text(content: object) -> str:
    """A String, or the text of a LocalizedText."""
    if isinstance(content, tuple):
        content = content[1]
    return content.strip() if isinstance(content, str) else ""
