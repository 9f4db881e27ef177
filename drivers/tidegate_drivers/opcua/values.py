"""Values: what a server sent into the 8-byte slot of a tag, or a status that says why there is none.

    tag                    takes
    bool                   Boolean
    int8 … uint64          its own type, Boolean, a narrower integer that lies in its range; a StatusCode is a UInt32;
                           int64: DateTime (µs since 1970)
    float32                Float
    float64                Float, Double, integers within ±2^53
    string                 String, XmlElement, Guid, ByteString, NodeId, QualifiedName, LocalizedText, DateTime, the
                           name of an enumeration; arrays, structures and the rest as JSON

Anything else is BadTypeMismatch: never a wrong number. It is the slow way, for what the compiled decoder leaves alone.
"""

from dataclasses import dataclass
from struct import Struct

from tidegate.model.status import (
    BAD_CONFIGURATION_ERROR,
    BAD_DATA_TYPE_ID_UNKNOWN,
    BAD_DECODING_ERROR,
    BAD_ENCODING_LIMITS_EXCEEDED,
    BAD_INDEX_RANGE_NO_DATA,
    BAD_NO_DATA,
    BAD_TYPE_MISMATCH,
    is_bad,
)
from tidegate.model.tag import INTEGERS, Tag, Type
from tidegate_drivers.opcua.plain import JSON_TYPES, json_of, microseconds, text_of
from tidegate_drivers.opcua.structures import Record, Types, UnknownType
from tidegate_drivers.opcua.wire import (
    BOOLEAN,
    BYTE,
    BYTE_STRING,
    DATE_TIME,
    EXTENSION_OBJECT,
    FLOAT,
    NULL,
    SBYTE,
    STATUS_CODE,
    UINT32,
    UINT64,
    VARIANT,
    Datum,
    Extension,
    Identifier,
    Sample,
    Undecodable,
)

EMPTY = bytes(8)
# Of one value; a frame has 16 MiB in all.
TEXT_BYTES_MAX = 4 * 1024 * 1024
# Every whole number up to here is a float64 of its own.
FLOAT64_INTEGERS = 2**53

I64, U64, F64, PAIR = Struct("<q"), Struct("<Q"), Struct("<d"), Struct("<II")
F32 = Struct("<f4x")

# A whole number fits into a wider type; a Boolean into any. Type and the built-in types have the same numbers.
WIDTH = {
    Type.BOOL: 0, Type.INT8: 1, Type.UINT8: 1, Type.INT16: 2, Type.UINT16: 2, Type.INT32: 4, Type.UINT32: 4,
    Type.INT64: 8, Type.UINT64: 8,
}  # fmt: skip
SIGNED = frozenset({Type.INT8, Type.INT16, Type.INT32, Type.INT64})

Step = str | int


class Misfit(ValueError):
    """There is no value for the tag; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(f"0x{status:08X}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a node's value a tag takes: by field names and indexes from 0, then one element of an array.

    `kind` is the tag's raw Type.
    """

    kind: int
    fields: tuple[Step, ...] = ()
    element: int | None = None


def part_of(tag: Tag, fields: tuple[Step, ...] = ()) -> Part:
    """The part that a tag takes; `fields` as its address says, the element by its option `count`: `3/10` is [3]."""
    count = tag.option("count")
    return Part(int(tag.raw), fields, int(count.partition("/")[0]) if count else None)


def reading(
    part: Part, sample: Sample, side: bytearray, types: Types, names: dict[int, str] | None = None
) -> tuple[bytes, int]:
    """Slot and status of a tag. The full StatusCode of the sample is kept, unless there is no value for the tag."""
    if is_bad(sample.status):
        return EMPTY, sample.status
    found, override = slot(part, sample.datum, side, types, names)
    return found, sample.status if override is None else override


def slot(
    part: Part, datum: Datum, side: bytearray, types: Types, names: dict[int, str] | None = None
) -> tuple[bytes, int | None]:
    """The slot of a value, texts appended to `side`; or an empty one and the status that takes its place.

    `names` are those of the node's own enumeration.
    """
    begin = len(side)
    try:
        if names and datum.names is None:
            datum = Datum(datum.builtin, datum.content, datum.shape, names)
        return _packed(part.kind, pick(part, datum, types), side, types), None
    except Misfit as misfit:
        status = misfit.status
    except UnknownType:
        status = BAD_DATA_TYPE_ID_UNKNOWN
    except Undecodable as wrong:
        status = BAD_ENCODING_LIMITS_EXCEEDED if wrong.too_much else BAD_DECODING_ERROR
    except UnicodeEncodeError:
        status = BAD_DECODING_ERROR  # Bytes that are no UTF-8.
    except RecursionError:
        status = BAD_ENCODING_LIMITS_EXCEEDED
    del side[begin:]
    return EMPTY, status


def pick(part: Part, datum: Datum, types: Types) -> Datum:
    """The part of a value. Raises Misfit, UnknownType and Undecodable."""
    for step in part.fields:
        datum = _field(_inside(datum), step, types) if isinstance(step, str) else _element(_inside(datum), step)
    datum = _inside(datum)
    return datum if part.element is None else _inside(_element(datum, part.element))


def _inside(datum: Datum) -> Datum:
    """The value in a variant in a variant."""
    while datum.builtin == VARIANT and datum.shape is None and isinstance(datum.content, Datum):
        datum = datum.content
    return datum


def _field(datum: Datum, name: str, types: Types) -> Datum:
    content = datum.content
    if datum.shape is not None or datum.builtin != EXTENSION_OBJECT:
        raise Misfit(BAD_NO_DATA if datum.builtin == NULL else BAD_TYPE_MISMATCH)
    if isinstance(content, Extension):
        if content.encoding == Identifier():
            raise Misfit(BAD_NO_DATA)
        content = types.record(content)
    if not isinstance(content, Record):
        raise Misfit(BAD_NO_DATA)
    found = content.fields.get(name)
    if found is None:
        # An optional field that is absent, or one of a union that is not set, may be there the next time.
        defined = any(one.name == name for one in content.structure.fields)
        raise Misfit(BAD_NO_DATA if defined else BAD_CONFIGURATION_ERROR)
    return found


def _element(datum: Datum, index: int) -> Datum:
    content = datum.content
    if datum.shape is None and datum.builtin == BYTE_STRING and isinstance(content, bytes):
        # A ByteString and an array of Byte are one to many servers.
        content, datum = tuple(content), Datum(BYTE)
    elif datum.shape is None or not isinstance(content, tuple):
        raise Misfit(BAD_NO_DATA if datum.builtin == NULL else BAD_TYPE_MISMATCH)
    if not 0 <= index < len(content):
        raise Misfit(BAD_INDEX_RANGE_NO_DATA)
    return Datum(datum.builtin, content[index], None, datum.names)


def _packed(kind: int, datum: Datum, side: bytearray, types: Types) -> bytes:
    """The slot of a single value, or of the JSON of anything. Raises Misfit, and what json_of raises."""
    if datum.builtin == NULL:
        raise Misfit(BAD_NO_DATA)
    if kind == Type.STRING:
        text = _text(datum, types).encode()
        if len(text) > TEXT_BYTES_MAX:
            raise Misfit(BAD_ENCODING_LIMITS_EXCEEDED)
        side += text
        return PAIR.pack(len(side) - len(text), len(text))
    content = datum.content
    if datum.shape is not None:
        raise Misfit(BAD_TYPE_MISMATCH)
    if kind in INTEGERS:
        return _integer(Type(kind), datum.builtin, content)
    if kind == Type.BOOL and datum.builtin == BOOLEAN:
        return I64.pack(bool(content))
    if kind == Type.FLOAT32 and datum.builtin == FLOAT and isinstance(content, float):
        return F32.pack(content)
    if kind == Type.FLOAT64 and isinstance(content, float):
        return F64.pack(content)
    if kind == Type.FLOAT64 and isinstance(content, int):
        whole = SBYTE <= datum.builtin <= UINT64 or datum.builtin == STATUS_CODE
        if not (whole and abs(content) <= FLOAT64_INTEGERS):
            raise Misfit(BAD_TYPE_MISMATCH)
        return F64.pack(content)
    raise Misfit(BAD_TYPE_MISMATCH)


def _integer(kind: Type, builtin: int, content: object) -> bytes:
    if not isinstance(content, int):
        raise Misfit(BAD_TYPE_MISMATCH)
    if builtin == DATE_TIME:
        if kind != Type.INT64:
            raise Misfit(BAD_TYPE_MISMATCH)
        return I64.pack(microseconds(content))
    wire = UINT32 if builtin == STATUS_CODE else builtin
    if wire != kind and not (
        BOOLEAN <= wire <= UINT64 and WIDTH[kind] > WIDTH[Type(wire)] and (content >= 0 or kind in SIGNED)
    ):
        raise Misfit(BAD_TYPE_MISMATCH)
    return (I64 if kind in SIGNED else U64).pack(content)


def _text(datum: Datum, types: Types) -> str:
    """What a string tag says of a value; a bare number is none."""
    if datum.shape is not None or datum.builtin in JSON_TYPES:
        if datum.shape is None and isinstance(datum.content, Extension) and datum.content.encoding == Identifier():
            raise Misfit(BAD_NO_DATA)
        return json_of(datum, types)
    text = text_of(datum.builtin, datum.content, types)
    if text is None and datum.names is not None and isinstance(datum.content, int):
        text = datum.names.get(datum.content, str(datum.content))
    if text is None:
        raise Misfit(BAD_TYPE_MISMATCH)
    return text
