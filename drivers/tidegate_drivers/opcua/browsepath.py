"""Browse path: names on the way from a node to another, as text. It knows no server.

    /Objects/nsu=http://vendor.com/;Machine/Temp
     │       │                      │       └── no URI: that of the name before it
     │       │                      └── a BrowseName, in which `&` stands before a / # * & that is meant as such
     │       └── the URI of its namespace, in which %3B stands for ; and %25 for % (OPC 10000-6 §5.1.12)
     └── of the standard's own namespace, since it is the first one below the root

Each / goes along any hierarchical reference. Escapes are those of OPC 10000-4 Annex A.2; its other signs (. < > !) are
plain here. A number before a colon (`2:Temp`) is a namespace's index, and refused: `2&:Temp` is a name.
"""

import re

STANDARD_URI = "http://opcfoundation.org/UA/"
NAMES_MAX = 64
# OPC 10000-3 §8.3: a BrowseName has at most so many characters.
NAME_CHARS_MAX = 512
URI_CHARS_MAX = 1024
ESCAPE = "&"
URI = re.compile(r"/nsu=[^;]*;")
INDEXED = re.compile(r"\d+:")
ENCODED = re.compile(r"%(3B|25)", re.IGNORECASE)

Names = tuple[tuple[str, str], ...]


def until(text: str, signs: str) -> int:
    """Where the first of these signs is that no `&` stands before; the length of the text where there is none."""
    at = 0
    while at < len(text) and text[at] not in signs:
        at += 2 if text[at] == ESCAPE else 1
    return min(at, len(text))


def split(text: str, separator: str) -> list[str]:
    """The text at each separator that no `&` stands before; escapes stay as they are."""
    parts = []
    while (end := until(text, separator)) < len(text):
        parts.append(text[:end])
        text = text[end + 1 :]
    return [*parts, text]


def unescaped(text: str) -> str:
    """The text without the `&` of its escapes. Raises ValueError when one stands at the end."""
    found, at = [], 0
    while at < len(text):
        if text[at] == ESCAPE:
            at += 1
            if at == len(text):
                raise ValueError(f"{text!r} ends with &, write && where an & is meant")
        found.append(text[at])
        at += 1
    return "".join(found)


def escaped(text: str, signs: str) -> str:
    """The text with `&` before itself and each of these signs."""
    return "".join(ESCAPE + sign if sign == ESCAPE or sign in signs else sign for sign in text)


def parse_uri(text: str) -> str:
    """The URI of a namespace behind `nsu=`; "" for the standard's own. Raises ValueError."""
    uri = ENCODED.sub(lambda found: ";" if found[1].upper() == "3B" else "%", text)
    if not uri:
        raise ValueError("nsu= has no URI, write nsu=http://vendor.com/plc;")
    if len(uri) > URI_CHARS_MAX:
        raise ValueError(f"a namespace of {len(uri)} characters; at most {URI_CHARS_MAX}")
    return "" if uri == STANDARD_URI else uri


def uri_text(uri: str) -> str:
    """`nsu=…;` of a URI, "" being the standard's own."""
    return f"nsu={(uri or STANDARD_URI).replace('%', '%25').replace(';', '%3B')};"


def cut_uri(text: str) -> tuple[str | None, str]:
    """The URI that a text begins with, None where it names none, and the rest. Raises ValueError."""
    if not text.startswith("nsu="):
        return None, text
    uri, semicolon, rest = text[4:].partition(";")
    if not semicolon:
        raise ValueError(f"{text!r} does not end its namespace, write a ; behind it")
    return parse_uri(uri), rest


def elements(text: str) -> tuple[list[str], str]:
    """The texts between the slashes of `/a/b`, and what follows from its # on. Signs in a URI do not count.

    Raises ValueError.
    """
    found: list[str] = []
    while text.startswith("/"):
        uri = URI.match(text)
        end = uri.end() if uri else 1
        end += until(text[end:], "/#")
        found.append(text[1:end])
        text = text[end:]
        if len(found) > NAMES_MAX:
            raise ValueError(f"a path of more than {NAMES_MAX} names")
    return found, text


def parse_path(text: str, namespace: str, absolute: bool) -> tuple[Names, str]:
    """URI and name of each step of `/a/b`, and what follows from its # on.

    `namespace` is that of the first name that is no standard one: of the second where it is `absolute`. Raises
    ValueError.
    """
    found: list[tuple[str, str]] = []
    before = namespace
    parts, rest = elements(text)
    for number, element in enumerate(parts):
        uri, name = parse_element(element)
        if uri is None and absolute and number == 0:
            uri = ""
        else:
            before = uri = before if uri is None else uri
        found.append((uri, name))
    return tuple(found), rest


def parse_element(text: str) -> tuple[str | None, str]:
    """URI, None where it names none, and name of one step. Raises ValueError."""
    uri, raw = cut_uri(text)
    if INDEXED.match(raw):
        name = raw.partition(":")[2]
        raise ValueError(
            f"{raw!r} has the index of a namespace, which may be another tomorrow: write nsu=URI;{name}, "
            "`tidegate browse` shows it"
        )
    if until(raw, "*") < len(raw):
        raise ValueError(f"{raw!r} selects several nodes, which can't be meant here; write &* where a * is meant")
    name = unescaped(raw)
    if not name:
        raise ValueError("a path has an empty name, write /Objects/Machine")
    if len(name) > NAME_CHARS_MAX:
        raise ValueError(f"a name of {len(name)} characters; at most {NAME_CHARS_MAX}")
    return uri, name


def name_text(name: str) -> str:
    """A BrowseName as `parse_path` reads it."""
    text = escaped(name, "/#*")
    if INDEXED.match(text):
        text = text.replace(":", "&:", 1)
    return f"&{text}" if text.startswith("nsu=") else text


def path_text(path: Names, namespace: str | None) -> str:
    """The path as `parse_path` reads it, whatever default namespace that is given.

    `namespace` is that of the node that it begins at; None: at the root.
    """
    parts, before = [], namespace
    for number, (uri, name) in enumerate(path):
        plain = uri == before or (namespace is None and number == 0 and uri == "")
        parts.append(f"/{'' if plain else uri_text(uri)}{name_text(name)}")
        before = before if plain and namespace is None and number == 0 else uri
    return "".join(parts)
