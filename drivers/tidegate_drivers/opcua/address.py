"""Address: which node of a server a tag is, in the words of a tag table. It knows no server."""

from dataclasses import dataclass

KINDS = "isgb"


@dataclass(frozen=True, slots=True)
class Place:
    """A node by the URI of its namespace ("": the standard's), and what of its value is meant."""

    namespace: str
    kind: str
    identifier: str
    path: tuple[tuple[str, str], ...] = ()
    index_range: str = ""
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        uri = f"nsu={self.namespace};" if self.namespace else ""
        return f"{uri}{self.kind}={self.identifier}"


def parse_node(text: str, namespace: str = "") -> Place:
    """The place that a text names. Raises ValueError."""
    rest = text
    if text.startswith("nsu="):
        namespace, _, rest = text[4:].partition(";")
    elif text.startswith("i="):
        namespace = ""
    if rest[1:2] != "=" or rest[0] not in KINDS:
        raise ValueError(f"{text!r} names no node")
    return Place(namespace, rest[0], rest[2:])
