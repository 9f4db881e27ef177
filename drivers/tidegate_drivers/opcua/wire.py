"""Wire: values in OPC UA's binary encoding (OPC 10000-6 §5.2.2), read from a server's bytes within hard limits.

What asyncua makes of them loses things (XML bodies, inner diagnostics, times after 9999), and one value that it can't
read costs the whole message. It knows no structures: their bodies stay bytes until structures.py takes them apart.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from struct import Struct
from uuid import UUID

# How deep values may lie in values: variants, structures, inner diagnostics.
DEPTH_MAX = 32
# How many values one variant may hold in all, whatever its bytes say: 1,000 x 1,000 is a picture.
VALUES_MAX = 1_000_000
DIMENSIONS_MAX = 16

# Built-in types (OPC 10000-6 §5.1.2).
NULL, BOOLEAN, SBYTE, BYTE, INT16, UINT16, INT32, UINT32, INT64, UINT64 = range(10)
FLOAT, DOUBLE, STRING, DATE_TIME, GUID, BYTE_STRING, XML_ELEMENT, NODE_ID = range(10, 18)
EXPANDED_NODE_ID, STATUS_CODE, QUALIFIED_NAME, LOCALIZED_TEXT, EXTENSION_OBJECT = range(18, 23)
DATA_VALUE, VARIANT, DIAGNOSTIC_INFO = range(23, 26)
RESERVED_LAST = 31

# Letters of `struct` for the types of fixed width.
LETTERS = {
    BOOLEAN: "?", SBYTE: "b", BYTE: "B", INT16: "h", UINT16: "H", INT32: "i", UINT32: "I", INT64: "q", UINT64: "Q",
    FLOAT: "f", DOUBLE: "d", DATE_TIME: "q", STATUS_CODE: "I",
}  # fmt: skip
NUMBERS = {builtin: Struct(f"<{letter}") for builtin, letter in LETTERS.items()}
GUID_BYTES = Struct("<IHH8s")

ARRAY, DIMENSIONS, TYPE = 0x80, 0x40, 0x3F
URI, SERVER_INDEX = 0x80, 0x40
NO_BODY, BINARY_BODY, XML_BODY = 0, 1, 2


class Undecodable(ValueError):
    """Bytes that are no value, or one beyond the limits (`too_much`)."""

    def __init__(self, what: str, too_much: bool = False) -> None:
        super().__init__(what)
        self.too_much = too_much


@dataclass(frozen=True, slots=True)
class Identifier:
    """A NodeId, or an ExpandedNodeId with a namespace URI or the index of another server. Null is `i=0`."""

    namespace: int = 0
    value: int | str | UUID | bytes = 0
    uri: str = ""
    server: int = 0


@dataclass(frozen=True, slots=True)
class Extension:
    """A structure as it came: the id of its encoding, and its body. `form` is NO_BODY, BINARY_BODY or XML_BODY."""

    encoding: Identifier
    form: int = NO_BODY
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Datum:
    """A value of a built-in type. `shape` is None for a single one, else the lengths of the array's dimensions.

    `content` of a single one: bool, int, float; text or None of String and XmlElement; DateTime in 100 ns since 1601;
    Guid as text; bytes or None; Identifier; the number of a StatusCode; (namespace, name) and (locale, text) with None
    for what is absent; Extension, or the Record that structures.py made of it; Sample; the Datum inside a Variant; a
    dict of what a DiagnosticInfo tells. Of an array, a flat tuple of such, the last dimension running fastest.
    `names` are those of an enumeration.
    """

    builtin: int = NULL
    content: object = None
    shape: tuple[int, ...] | None = None
    names: dict[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A DataValue: times in 100 ns since 1601, 0 where there is none; picoseconds are left out."""

    datum: Datum = Datum()
    status: int = 0
    source: int = 0
    server: int = 0


class Reader:
    """Reads value after value from bytes. Each method raises Undecodable, and reads nothing behind the end."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else min(end, len(data))
        self.left = VALUES_MAX
        self.depth = 0

    def take(self, size: int) -> int:
        """Where the next bytes are, of which there are so many."""
        at = self.at
        if size < 0 or size > self.end - at:
            raise Undecodable(f"{size} bytes from byte {at} on, and it ends at {self.end}")
        self.at = at + size
        return at

    def spend(self, values: int) -> None:
        """Count values against the limit."""
        self.left -= values
        if self.left < 0:
            raise Undecodable(f"more than {VALUES_MAX:,} values in one", too_much=True)

    def deeper(self) -> None:
        """One step into a value; `depth` is taken back by who made it."""
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise Undecodable(f"values in values, more than {DEPTH_MAX} deep", too_much=True)

    def number(self, builtin: int) -> int | float | bool:
        """A value of fixed width."""
        packed = NUMBERS[builtin]
        found: int | float | bool = packed.unpack_from(self.data, self.take(packed.size))[0]
        return found

    def whole(self, builtin: int) -> int:
        """A whole number of fixed width."""
        return int(self.number(builtin))

    def raw(self) -> bytes | None:
        """A ByteString; None is the null one."""
        size = self.whole(INT32)
        if size < 0:
            return None
        at = self.take(size)
        return bytes(self.data[at : at + size])

    def text(self) -> str | None:
        """A String; bytes that are no UTF-8 are escaped, and can't be written as text again: see values.slot."""
        found = self.raw()
        return None if found is None else found.decode("utf-8", "surrogateescape")

    def guid(self) -> str:
        """A Guid as text, in lower case."""
        return str(self._uuid())

    def identifier(self) -> Identifier:
        """A NodeId or an ExpandedNodeId."""
        form = self.whole(BYTE)
        kind = form & ~(URI | SERVER_INDEX)
        namespace = 0
        value: int | str | UUID | bytes
        if kind == 0:
            value = self.whole(BYTE)
        elif kind == 1:
            namespace, value = self.whole(BYTE), self.whole(UINT16)
        elif 2 <= kind <= 5:
            namespace = self.whole(UINT16)
            value = (self._wide, self._named, self._uuid, self._opaque)[kind - 2]()
        else:
            raise Undecodable(f"a NodeId of the unknown form {kind}")
        uri = (self.text() or "") if form & URI else ""
        return Identifier(namespace, value, uri, self.whole(UINT32) if form & SERVER_INDEX else 0)

    def qualified(self) -> tuple[int, str | None]:
        """A QualifiedName."""
        return self.whole(UINT16), self.text()

    def localized(self) -> tuple[str | None, str | None]:
        """A LocalizedText: locale and text."""
        mask = self.whole(BYTE)
        locale = self.text() if mask & 1 else None
        return locale, self.text() if mask & 2 else None

    def extension(self) -> Extension:
        """An ExtensionObject."""
        encoding, form = self.identifier(), self.whole(BYTE)
        if form == NO_BODY:
            return Extension(encoding)
        if form not in (BINARY_BODY, XML_BODY):
            raise Undecodable(f"a body of the unknown form {form}")
        return Extension(encoding, form, self.raw() or b"")

    def sample(self) -> Sample:
        """A DataValue (§5.2.2.17)."""
        if self.depth == 0:
            self.left = VALUES_MAX  # Each of an answer has the whole of it.
        mask = self.whole(BYTE)
        datum = self.variant() if mask & 1 else Datum()
        status = self.whole(STATUS_CODE) if mask & 2 else 0
        source = self.whole(DATE_TIME) if mask & 4 else 0
        if mask & 0x10:
            self.take(2)
        server = self.whole(DATE_TIME) if mask & 8 else 0
        if mask & 0x20:
            self.take(2)
        return Sample(datum, status, source, server)

    def diagnostic(self) -> dict[str, object]:
        """A DiagnosticInfo (§5.2.2.12): what it tells, by name."""
        self.deeper()
        mask = self.whole(BYTE)
        found: dict[str, object] = {}
        for bit, name in ((1, "SymbolicId"), (2, "NamespaceUri"), (8, "Locale"), (4, "LocalizedText")):
            if mask & bit:
                found[name] = self.whole(INT32)
        if mask & 0x10:
            found["AdditionalInfo"] = self.text()
        if mask & 0x20:
            found["InnerStatusCode"] = self.whole(STATUS_CODE)
        if mask & 0x40:
            found["InnerDiagnosticInfo"] = self.diagnostic()
        self.depth -= 1
        return found

    def variant(self) -> Datum:
        """A Variant (§5.2.2.16): a single value, an array, or one of more dimensions."""
        self.deeper()
        mask = self.whole(BYTE)
        builtin = mask & TYPE
        if builtin > RESERVED_LAST or (mask & DIMENSIONS and not mask & ARRAY):
            raise Undecodable(f"a variant of the unknown form 0x{mask:02X}")
        if builtin > DIAGNOSTIC_INFO:
            builtin = BYTE_STRING  # As §5.1.2 has it, of types that are not known yet.
        if mask & ARRAY:
            content = self.array(builtin)
            shape: tuple[int, ...] = (len(content),)
            if mask & DIMENSIONS:
                shape = self._shape(len(content)) or shape
            found = Datum(builtin, content, shape)
        else:
            found = Datum(builtin, self.single(builtin))
        self.depth -= 1
        return found

    def single(self, builtin: int) -> object:
        """The content of one value of a type."""
        self.spend(1)
        return self.number(builtin) if builtin in NUMBERS else READERS[builtin](self)

    def array(self, builtin: int) -> tuple[object, ...]:
        """The contents of an array, after its length; the null array is an empty one."""
        return self.several(builtin, self.whole(INT32))

    def several(self, builtin: int, count: int) -> tuple[object, ...]:
        """So many values of a type; none, where there are fewer than none."""
        if count <= 0:
            return ()
        self.spend(count)
        if builtin == NULL:
            raise Undecodable("an array of values without a type")
        letter = LETTERS.get(builtin)
        if letter is None:
            read = READERS[builtin]
            return tuple([read(self) for _ in range(count)])
        packed = Struct(f"<{count}{letter}")
        return packed.unpack_from(self.data, self.take(packed.size))

    def dimensions(self) -> tuple[int, ...]:
        """The lengths of an array's dimensions, after how many there are; none below 0."""
        count = self.whole(INT32)
        if count > DIMENSIONS_MAX:
            raise Undecodable(f"an array of {count} dimensions", too_much=True)
        return tuple(max(0, self.whole(INT32)) for _ in range(count))

    def _shape(self, count: int) -> tuple[int, ...]:
        found = self.dimensions()
        if found and prod(found) != count:
            raise Undecodable(f"dimensions {found} for {count} values")
        return found

    def _wide(self) -> int:
        return self.whole(UINT32)

    def _named(self) -> str:
        return self.text() or ""

    def _opaque(self) -> bytes:
        return self.raw() or b""

    def _uuid(self) -> UUID:
        first, second, third, rest = GUID_BYTES.unpack_from(self.data, self.take(GUID_BYTES.size))
        return UUID(bytes=first.to_bytes(4) + second.to_bytes(2) + third.to_bytes(2) + rest)


READERS: dict[int, Callable[[Reader], object]] = {
    NULL: lambda reader: None,
    STRING: Reader.text,
    GUID: Reader.guid,
    BYTE_STRING: Reader.raw,
    XML_ELEMENT: Reader.text,
    NODE_ID: Reader.identifier,
    EXPANDED_NODE_ID: Reader.identifier,
    QUALIFIED_NAME: Reader.qualified,
    LOCALIZED_TEXT: Reader.localized,
    EXTENSION_OBJECT: Reader.extension,
    DATA_VALUE: Reader.sample,
    VARIANT: Reader.variant,
    DIAGNOSTIC_INFO: Reader.diagnostic,
}
