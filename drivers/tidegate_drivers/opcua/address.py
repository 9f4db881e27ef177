"""Address: which node of a server a tag is, in the words of a tag table. It knows no server.

    nsu=http://vendor.com/plc;s=Machine.Temp        a node by its NodeId (OPC 10000-6 §5.1.12): i= s= g= or b= (base64)
    s=Machine.Temp                                  the same, where the device names a `namespace`
    i=2258                                          of the standard's own namespace
    /Objects/nsu=http://vendor.com/;Machine/Temp    by the names on the way from the root: see browsepath.py
    nsu=http://vendor.com/plc;s=Machine#/Temp/Value by the names on the way from a node
    …#[3]  …#[2:5]  …#[0:1,4]                       elements of an array, from 0 (NumericRange, OPC 10000-4 §7.27)
    …#!Speed.Actual  …#!Axes[2].Position            a field of a structure

What follows a node begins with # and comes in this order: path, elements, field. A # is part of an identifier unless
one of / [ ! follows it; before these ## is a # of the identifier. In a field `&` stands before a . [ ] # & that is
meant as such. A namespace's index (ns=2) may be another tomorrow: it is refused, but for ns=0.
"""

import base64
import binascii
import re
import uuid
from dataclasses import dataclass

from tidegate_drivers.opcua.browsepath import (
    NAME_CHARS_MAX,
    STANDARD_URI,
    Names,
    cut_uri,
    escaped,
    parse_path,
    path_text,
    split,
    unescaped,
    uri_text,
)

KINDS = "isgb"
ADDRESS_CHARS_MAX = 8192
# OPC 10000-3 §8.2.4: an identifier has at most so many characters, or bytes.
IDENTIFIER_CHARS_MAX = 4096
NUMBER_MAX = 2**32 - 1
FIELDS_MAX, DIMENSIONS_MAX = 32, 8
# The root of every address space.
ROOT = ("", "i", "84")
EXTRA = re.compile(r"(?<!#)(#+)(?=[/\[!])")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
SPAN = re.compile(r"\d{1,10}(:\d{1,10})?", re.ASCII)
FIELD = re.compile(r"((?:&.|[^&\[\]])+)((?:\[\d{1,9}\])*)", re.ASCII)
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Place:
    """A node by the URI of its namespace ("": the standard's), and what of its value is meant.

    `kind` is one of KINDS, `identifier` its text (base64 for b). `path` are URI and BrowseName of each step from there.
    `index_range` is a NumericRange or empty, `fields` names of a structure's fields and indexes of arrays in it.
    """

    namespace: str
    kind: str
    identifier: str
    path: Names = ()
    index_range: str = ""
    fields: tuple[str | int, ...] = ()

    def __str__(self) -> str:
        range_text = f"#[{self.index_range}]" if self.index_range else ""
        return f"{self._node}{range_text}{'#!' if self.fields else ''}{_field_text(self.fields)}"

    @property
    def _node(self) -> str:
        if self.path and (self.namespace, self.kind, self.identifier) == ROOT:
            return path_text(self.path, None)
        uri = "" if self.kind == "i" and not self.namespace else uri_text(self.namespace)
        extras = bool(self.path or self.index_range or self.fields)
        text = EXTRA.sub(lambda found: found[1] * 2, self.identifier)
        if extras:
            # Those at its end would join the # of what follows.
            text += "#" * (len(text) - len(text.rstrip("#")))
        return f"{uri}{self.kind}={text}{'#' if self.path else ''}{path_text(self.path, self.namespace)}"


def parse_node(text: str, namespace: str = "") -> Place:
    """The place that an address names; `namespace` is the URI where it names none. Raises ValueError that says how
    to write it."""
    (uri, kind, identifier), rest = parse_start(text, namespace)
    absolute = text.startswith("/")
    path: Names = ()
    if rest.startswith("/"):
        path, rest = parse_path(rest, namespace if absolute else uri, absolute)
        rest = rest.removeprefix("#")
    extras = split(rest, "#") if rest else []
    index_range = _range(extras.pop(0)) if extras and extras[0].startswith("[") else ""
    fields = _fields(extras.pop(0)) if extras and extras[0].startswith("!") else ()
    if extras:
        raise ValueError(
            f"#{extras[0]} does not belong there: after a node come #/path, #[elements], #!field, each once"
        )
    return Place(uri, kind, identifier, path, index_range, fields)


def parse_start(text: str, namespace: str) -> tuple[tuple[str, str, str], str]:
    """Namespace, kind and identifier of the node that an address begins with, the root's where it is a path; and what
    follows, without its #. Raises ValueError."""
    if len(text) > ADDRESS_CHARS_MAX:
        raise ValueError(f"an address of {len(text)} characters; at most {ADDRESS_CHARS_MAX}")
    if not text or CONTROL.search(text):
        raise ValueError("the address is empty" if not text else f"{text!r} has a control character in it")
    return (ROOT, text) if text.startswith("/") else _node(text, namespace)


def _node(text: str, namespace: str) -> tuple[tuple[str, str, str], str]:
    uri, node = cut_uri(text)
    if node.startswith("ns=0;"):
        uri, node = "", node[5:]
    if node.startswith("ns="):
        raise ValueError(
            f"{text!r} has the index of a namespace, which may be another tomorrow: write nsu= and its URI, "
            "`tidegate browse` shows it"
        )
    if node.startswith("svr="):
        raise ValueError(f"{text!r} is a node of another server: make that one a device of its own")
    node, extras = _cut(node)
    kind, equals, identifier = node[:1], node[1:2], node[2:]
    if equals != "=" or kind not in KINDS:
        raise ValueError(f"{text!r} names no node, write nsu=http://vendor.com/plc;s={node}")
    if not identifier:
        raise ValueError(f"{text!r} has nothing behind {kind}=")
    if len(identifier) > IDENTIFIER_CHARS_MAX:
        raise ValueError(f"an identifier of {len(identifier)} characters; at most {IDENTIFIER_CHARS_MAX}")
    if uri is None:
        if kind != "i" and not namespace:
            raise ValueError(f"{text!r} names no namespace: write nsu=URI;{text}, or give the device its `namespace`")
        uri = "" if kind == "i" or namespace == STANDARD_URI else namespace
    return (uri, kind, _identifier(kind, identifier)), extras


def _cut(text: str) -> tuple[str, str]:
    """The node, with its identifier as it is meant, and what follows it, without its #."""
    node, at = "", 0
    for found in EXTRA.finditer(text):
        node += text[at : found.start()] + "#" * (len(found[1]) // 2)
        at = found.end()
        if len(found[1]) % 2:
            return node, text[at:]
    return node + text[at:], ""


def _identifier(kind: str, text: str) -> str:
    if kind == "i":
        if not text.isascii() or not text.isdigit() or int(text) > NUMBER_MAX:
            raise ValueError(f"i={text} is no number from 0 to {NUMBER_MAX}")
        return str(int(text))
    if kind == "g":
        if GUID.fullmatch(text) is None:
            raise ValueError(f"g={text} is no GUID, write g=09087e75-8e5e-499b-954f-f2a9603db28a")
        return str(uuid.UUID(text))
    if kind == "b":
        try:
            return base64.b64encode(base64.b64decode(text, validate=True)).decode()
        except binascii.Error:
            raise ValueError(f"b={text} is no base64, write b=M/RbKBsRVkePCePcx24oRA==") from None
    return text


def _range(text: str) -> str:
    """`2:5` of `[2:5]`."""
    spans = text[1:-1].split(",")
    if not text.endswith("]") or not all(SPAN.fullmatch(span) for span in spans) or len(spans) > DIMENSIONS_MAX:
        raise ValueError(f"#{text} names no elements, write #[3], #[2:5] or #[0:1,4], from 0")
    bounds = [[int(end) for end in span.split(":")] for span in spans]
    if any(len(pair) == 2 and pair[0] >= pair[1] for pair in bounds) or max(map(max, bounds)) > NUMBER_MAX:
        raise ValueError(f"#{text}: the last element comes after the first one, and both within {NUMBER_MAX}")
    return ",".join(":".join(str(end) for end in pair) for pair in bounds)


def _fields(text: str) -> tuple[str | int, ...]:
    """Names, and indexes behind them, of `!Axes[2].Position`."""
    steps: list[str | int] = []
    for part in split(text[1:], "."):
        found = FIELD.fullmatch(part)
        name = unescaped(found[1]) if found else ""
        if found is None or not name or len(name) > NAME_CHARS_MAX:
            raise ValueError(f"#{text} names no field, write #!Speed.Actual or #!Axes[2].Position")
        steps += [name, *(int(index) for index in found[2][1:-1].split("][") if index)]
    if len(steps) > FIELDS_MAX:
        raise ValueError(f"a field {len(steps)} steps deep; at most {FIELDS_MAX}")
    return tuple(steps)


def _field_text(fields: tuple[str | int, ...]) -> str:
    steps = [f"[{step}]" if isinstance(step, int) else f".{escaped(step, '.[]#')}" for step in fields]
    return "".join(steps).removeprefix(".")
