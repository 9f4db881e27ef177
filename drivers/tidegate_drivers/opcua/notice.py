"""What a server answers to Publish and Read, in the columns of a frame; chooses the twin that decodes.

It knows no sockets and nothing of asyncua: an answer's bytes go in. What the twins leave aside is named by its place:
values that are no single number or text (`odd`), and notifications that are no data changes (`others`).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tidegate.model.frame import U32
from tidegate.twins import choose

if TYPE_CHECKING:
    from tidegate_drivers.opcua import _notice_py as twin
else:
    choose("tidegate_drivers.opcua._lengths")
    twin = choose("tidegate_drivers.opcua._notice")

# fill(handles, table): see _notice_py.py.
fill = twin.fill


@dataclass(frozen=True, slots=True)
class Odd:
    """A DataValue that is not in the columns: `at` and `length` are its place in the answer's bytes.

    `row` is how many rows of the columns came before it. `value` is asyncua's object, where that has decoded it.
    """

    handle: int
    at: int
    length: int
    row: int
    value: Any = None


@dataclass(frozen=True, slots=True)
class Other:
    """An ExtensionObject in a notification that is no data change, by its numeric type id of namespace 0 (else 0)."""

    kind: int
    at: int
    length: int
    value: Any = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Values of items in the order in which the server told them, little-endian, as Frame has them.

    `handles` u32; `source_us` i64 (0: the server gave none); `server_us` i64 (b"": no item has one); `status` u32;
    `values` slots, zero where the status is Bad; text lies in `side`. One item in source_us, server_us and status
    holds for all. `overflowed` are the handles (u32) of items whose queue in the server has dropped values.
    """

    count: int
    handles: bytes
    source_us: bytes
    server_us: bytes
    status: bytes
    values: bytes
    side: bytes
    overflowed: bytes
    odd: tuple[Odd, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """A PublishResponse. `result` is the service's: where that is Bad, there is nothing else.

    `available` are the sequence numbers that can be republished, `results` the status of each acknowledgement in the
    request's order. With no `notifications` it only says that the subscription is alive, and `sequence` is the number
    of the next message.
    """

    result: int
    subscription: int
    available: tuple[int, ...]
    more: bool
    sequence: int
    publish_us: int
    notifications: int
    results: tuple[int, ...]
    columns: Columns
    others: tuple[Other, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A ReadResponse: service result, and `count` results; the handle of each is its place among them."""

    result: int
    count: int
    columns: Columns


def publish(body: bytes, at: int, kinds: bytes) -> Notice:
    """The PublishResponse whose type id is at `at`; `kinds[handle]` is the Type of an item's slot, 0 makes it odd.

    Raises ValueError when the bytes are no such response.
    """
    result, subscription, available, more, sequence, time_us, count, results, columns, others = twin.publish(
        body, at, kinds
    )
    return Notice(
        result, subscription, _numbers(available), more, sequence, time_us, count, _numbers(results),
        _columns(columns), tuple([Other(*other) for other in others]),
    )  # fmt: skip


def read(body: bytes, at: int, kinds: bytes) -> Answer:
    """The ReadResponse whose type id is at `at`. Raises ValueError when the bytes are none."""
    result, count, columns = twin.read(body, at, kinds)
    return Answer(result, count, _columns(columns))


def _columns(parts: "twin.Columns") -> Columns:
    count, handles, source_us, server_us, status, values, side, overflowed, odd = parts
    left = tuple([Odd(*one) for one in odd])
    return Columns(count, handles, source_us, server_us, status, values, side, overflowed, left)


def _numbers(column: bytes) -> tuple[int, ...]:
    return tuple([number for (number,) in U32.iter_unpack(column)])
