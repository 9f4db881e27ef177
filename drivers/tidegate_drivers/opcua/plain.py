"""Plain: a value as text or as JSON, for tags that are strings.

JSON as OPC 10000-6 §5.4 writes it for people ("verbose"), with the numbers as Tidegate has them everywhere: integers
beyond 2^53 - 1 are decimal strings, a Float is the shortest text that gives it back, NaN and infinities are null.
A structure is an object by field names, without the optional ones that are absent; a union has the one that is set.
An enumeration is its name, or its number where it has none; a LocalizedText is its text; a ByteString is base64; a
DateTime is ISO 8601 in UTC; an inner structure that nobody defined is {"UaTypeId", "UaBody" in base64}.
"""

import json
import math
from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from uuid import UUID

from tidegate_drivers.opcua.structures import Form, Record, Types, UnknownType
from tidegate_drivers.opcua.wire import (
    BYTE_STRING,
    DATA_VALUE,
    DATE_TIME,
    DEPTH_MAX,
    DIAGNOSTIC_INFO,
    EXPANDED_NODE_ID,
    EXTENSION_OBJECT,
    FLOAT,
    GUID,
    LOCALIZED_TEXT,
    NODE_ID,
    QUALIFIED_NAME,
    STRING,
    VARIANT,
    XML_BODY,
    XML_ELEMENT,
    Datum,
    Extension,
    Identifier,
    Sample,
    Undecodable,
)

# 1970 in 100 ns since 1601; the second from which on a DateTime means that there is no end (OPC 10000-6 §5.2.2.5).
EPOCH_TICKS = 116_444_736_000_000_000
LAST_TICKS = 2_650_467_743_990_000_000
TICKS_US = 10
SAFE_INTEGER = 2**53 - 1
# Letters of a Float's shortest text: six always fit, nine always give it back.
DIGITS = range(6, 10)

F32 = Struct("<f")
START = datetime(1601, 1, 1, tzinfo=UTC)

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def microseconds(ticks: int) -> int:
    """A DateTime in µs since 1970, rounded down."""
    return (ticks - EPOCH_TICKS) // TICKS_US


def time_us(ticks: int) -> int:
    """A timestamp in µs since 1970; 0 where it says that there is none."""
    return microseconds(ticks) if 0 < ticks < LAST_TICKS else 0


def moment(ticks: int) -> str:
    """A DateTime as ISO 8601 in UTC, with the digits that it has; what is outside 1601 to 9999 is the end of it."""
    ticks = min(max(ticks, 0), LAST_TICKS)
    whole, rest = divmod(ticks, 10_000_000)
    text = (START + timedelta(seconds=whole)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:07d}".rstrip("0") + "Z" if rest else f"{text}Z"


def single(value: float) -> float:
    """The double whose text is the shortest that gives a Float back: 0.1 for 0.10000000149011612."""
    if not math.isfinite(value):
        return value
    exact = F32.pack(value)
    for digits in DIGITS:
        near = float(f"{value:.{digits}g}")
        if abs(near) <= 3.4028235e38 and F32.pack(near) == exact:
            return near
    return value


def node_text(node: Identifier, namespaces: Sequence[str] = ()) -> str:
    """A NodeId as it is written in addresses: by the URI of its namespace where the server has told that."""
    uri = node.uri or (namespaces[node.namespace] if 0 < node.namespace < len(namespaces) else "")
    space = f"nsu={uri};" if uri else f"ns={node.namespace};" if node.namespace else ""
    value = node.value
    if isinstance(value, UUID):
        named = f"g={value}"
    elif isinstance(value, bytes):
        named = f"b={b64encode(value).decode()}"
    else:
        named = f"{'s' if isinstance(value, str) else 'i'}={value}"
    return f"{f'svr={node.server};' if node.server else ''}{space}{named}"


def text_of(builtin: int, content: object, types: Types) -> str | None:
    """The text of a single value that is a text, or is written as one; None of numbers and what has parts."""
    write = TEXTS.get(builtin)
    return None if write is None else write(content, types)


def json_of(datum: Datum, types: Types) -> str:
    """A value as compact JSON. Raises UnknownType where the whole of it is a structure that nobody defined, and
    Undecodable where one is not as defined, or lies too deep."""
    return json.dumps(_tree(datum, types, 0), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _tree(datum: Datum, types: Types, depth: int) -> Json:
    """The tree that a value is in JSON."""
    if depth > DEPTH_MAX:
        raise Undecodable(f"values in values, more than {DEPTH_MAX} deep", too_much=True)
    if datum.shape is None:
        return _leaf(datum, datum.content, types, depth)
    if not isinstance(datum.content, tuple):
        return None
    flat: list[Json] = [_leaf(datum, one, types, depth) for one in datum.content]
    for length in reversed(datum.shape[1:]):
        flat = [flat[at : at + length] for at in range(0, len(flat), length)] if length else []
    return flat


def _leaf(datum: Datum, content: object, types: Types, depth: int) -> Json:
    if isinstance(content, bool):
        return content
    if isinstance(content, int) and datum.builtin != DATE_TIME:
        named = datum.names.get(content) if datum.names else None
        return named or (content if abs(content) <= SAFE_INTEGER else str(content))
    if isinstance(content, float):
        if not math.isfinite(content):
            return None
        return single(content) if datum.builtin == FLOAT else content
    if isinstance(content, Datum):
        return _tree(content, types, depth + 1)
    if isinstance(content, Sample):
        return _sample(content, types, depth)
    if isinstance(content, Extension):
        return _extension(content, types, depth)
    if isinstance(content, Record):
        return _record(content, types, depth)
    if isinstance(content, dict):
        return content
    return None if content is None else text_of(datum.builtin, content, types)


def _record(record: Record, types: Types, depth: int) -> Json:
    if record.structure.form is Form.UNION and not record.fields:
        return None
    return {name: _tree(one, types, depth + 1) for name, one in record.fields.items()}


def _extension(extension: Extension, types: Types, depth: int) -> Json:
    if extension.encoding == Identifier():
        return None
    try:
        return _record(types.record(extension), types, depth)
    except UnknownType:
        if depth == 0:
            raise
    body = extension.body.decode("utf-8", "replace") if extension.form == XML_BODY else _base64(extension.body, types)
    return {"UaTypeId": node_text(extension.encoding, types.namespaces), "UaBody": body}


def _sample(sample: Sample, types: Types, depth: int) -> Json:
    found: dict[str, Json] = {"Value": _tree(sample.datum, types, depth + 1)}
    if sample.status:
        found["Status"] = sample.status
    if sample.source:
        found["SourceTimestamp"] = moment(sample.source)
    if sample.server:
        found["ServerTimestamp"] = moment(sample.server)
    return found


def _string(content: object, types: Types) -> str:
    return content if isinstance(content, str) else ""


def _moment(content: object, types: Types) -> str | None:
    return moment(content) if isinstance(content, int) else None


def _base64(content: object, types: Types) -> str:
    return b64encode(content).decode() if isinstance(content, bytes) else ""


def _node(content: object, types: Types) -> str | None:
    return node_text(content, types.namespaces) if isinstance(content, Identifier) else None


def _qualified(content: object, types: Types) -> str | None:
    if not isinstance(content, tuple):
        return None
    namespace, name = content
    if 0 < namespace < len(types.namespaces):
        return f"nsu={types.namespaces[namespace]};{name or ''}"
    return f"{f'{namespace}:' if namespace else ''}{name or ''}"


def _localized(content: object, types: Types) -> str | None:
    return (content[1] or "") if isinstance(content, tuple) else None


TEXTS: dict[int, Callable[[object, Types], str | None]] = {
    STRING: _string,
    XML_ELEMENT: _string,
    GUID: _string,
    DATE_TIME: _moment,
    BYTE_STRING: _base64,
    NODE_ID: _node,
    EXPANDED_NODE_ID: _node,
    QUALIFIED_NAME: _qualified,
    LOCALIZED_TEXT: _localized,
}
JSON_TYPES = frozenset({EXTENSION_OBJECT, DATA_VALUE, VARIANT, DIAGNOSTIC_INFO})
