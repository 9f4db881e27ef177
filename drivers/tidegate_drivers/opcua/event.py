"""Event: what a server tells that happened, as one JSON object: the value of a string tag. It knows no server.

    {"EventId":"+8uU…","EventType":"i=9341","SourceName":"level","Time":"2026-12-01T05:30:00.123Z","Message":"high",
     "Severity":700,"ConditionId":"nsu=urn:plc;s=alarm","AckedState":false,"ActiveState":true,…}

Names are the standard's (OPC 10000-5 §6.4.2, OPC 10000-9 §5.5 to 5.8); of a state it is its Id, of a type and a node
its address. What the server leaves empty is absent. The EventId tells two events apart, whatever their times are.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tidegate_drivers.opcua.notice import Other
from tidegate_drivers.opcua.plain import json_of, time_us
from tidegate_drivers.opcua.structures import Types, UnknownType
from tidegate_drivers.opcua.variants import datum_of
from tidegate_drivers.opcua.wire import INT32, NULL, UINT32, VARIANT, Datum, Identifier, Reader, Undecodable

# EventNotificationList_Encoding_DefaultBinary.
EVENT_LIST = 916
# Numeric ids of types of events that are about events (OPC 10000-5 §6.4.32, OPC 10000-9 §5.11).
REFRESH_REQUIRED, QUEUE_OVERFLOW = Identifier(0, 2789), Identifier(0, 3035)
BASE, CONDITION, ACKNOWLEDGEABLE, ALARM, EXCLUSIVE = 2041, 2782, 2881, 2915, 9341
EVENTS_MAX = 100_000
# Of one event as text.
TEXT_BYTES_MAX = 64 * 1024
EMPTY_TEXTS = frozenset({"null", '""'})


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that is asked of each event: its name here, the type that has it, and where it is in that type.

    An empty path is the node itself, of which its NodeId is asked.
    """

    name: str
    of_type: int
    path: tuple[str, ...]


def _fields() -> tuple[Field, ...]:
    plain = {
        BASE: ("EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity"),
        CONDITION: ("ConditionName", "BranchId", "Retain", "Quality", "LastSeverity", "Comment", "ClientUserId"),
    }
    states = {CONDITION: ("EnabledState",), ACKNOWLEDGEABLE: ("AckedState", "ConfirmedState"), ALARM: ("ActiveState",)}
    return (
        *(Field(name, kind, (name,)) for kind, names in plain.items() for name in names),
        Field("ConditionId", CONDITION, ()),
        *(Field(name, kind, (name, "Id")) for kind, names in states.items() for name in names),
        Field("LimitState", EXCLUSIVE, ("LimitState", "CurrentState")),
    )


FIELDS = _fields()
ID, KIND, TIME, RECEIVED = (
    next(at for at, one in enumerate(FIELDS) if one.name == name)
    for name in ("EventId", "EventType", "Time", "ReceiveTime")
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event. Times in µs since 1970, 0 where there is none; `text` is its JSON, None where it is too long."""

    id: str
    kind: object
    time_us: int
    received_us: int
    text: bytes | None


def events_in(body: bytes, other: Other) -> list[tuple[int, tuple[Datum, ...]]]:
    """Client handle and fields of the events of an EventNotificationList (OPC 10000-4 §7.25.3). Raises ValueError."""
    if other.value is not None:
        return [
            (event.ClientHandle, tuple(datum_of(field) for field in event.EventFields or ()))
            for event in other.value.Events or ()
        ]
    reader = Reader(Reader(body, other.at, other.at + other.length).extension().body)
    count = reader.whole(INT32)
    if count > EVENTS_MAX:
        raise Undecodable(f"{count} events in one message; at most {EVENTS_MAX}", too_much=True)
    found: list[tuple[int, tuple[Datum, ...]]] = []
    for _ in range(count):
        handle, fields = reader.whole(UINT32), reader.array(VARIANT)
        found.append((handle, tuple(one for one in fields if isinstance(one, Datum))))
    return found


def event_of(fields: Sequence[Datum], types: Types) -> Event:
    """The event of the fields that were asked for; those that are missing are empty."""
    named = {}
    for field, datum in zip(FIELDS, fields, strict=False):
        text = _text(datum, types)
        if text not in EMPTY_TEXTS:
            named[field.name] = text
    text = "{" + ",".join(f'"{name}":{value}' for name, value in named.items()) + "}"
    data = text.encode(errors="replace")
    kind = fields[KIND].content if len(fields) > KIND else None
    text_or_none = data if len(data) <= TEXT_BYTES_MAX else None
    return Event(named.get("EventId", ""), kind, _us(fields, TIME), _us(fields, RECEIVED), text_or_none)


def ids(texts: Collection[str]) -> set[str]:
    """The EventIds in values of a tag of events, as Event.id has them."""
    found = set()
    for text in texts:
        try:
            event = json.loads(text)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("EventId"), str):
            found.add(json.dumps(event["EventId"]))
    return found


def _text(datum: Datum, types: Types) -> str:
    """A field as JSON; null where there is nothing in it."""
    if datum.builtin == NULL or datum.content is None or datum.content == Identifier():
        return "null"
    try:
        return json_of(datum, types)
    except (UnknownType, Undecodable, UnicodeEncodeError):
        return "null"


def _us(fields: Sequence[Datum], at: int) -> int:
    content = fields[at].content if at < len(fields) else None
    return time_us(content) if isinstance(content, int) else 0
