"""Purpose: what a tag is for, where it is not the value of a node: events of an object, or a method to call.

    address        column                            the tag
    an object      events = all | conditions         a string: one JSON object an event; see event.py
    an object      method = the method's address     true, one argument, or a JSON list of several; only written

It opens nothing, and knows no server.
"""

from dataclasses import dataclass

from tidegate.model.option import Options
from tidegate.model.tag import Tag, Type
from tidegate_drivers.opcua.address import Place, parse_node

EVENTS = ("no", "all", "conditions")
# OPC 10000-5 §6.4.2: from 1, the least urgent, to 1000.
SEVERITY_MAX = 1000
# ConditionType, OPC 10000-9 §5.5.2.
CONDITIONS = Place("", "i", "2782")
# What says how often a value is looked at, which an event has not.
OF_VALUES = ("sampling", "server_deadband", "trigger", "count", "rounding")
EXACT, NEAREST = "exact", "nearest"


@dataclass(frozen=True, slots=True)
class Events:
    """Which events of an object: those of at least a severity (0: any), and of a type or its subtypes (None: any)."""

    severity: int = 0
    of_type: Place | None = None


def parse_events(options: Options, tag: Tag, namespace: str) -> Events | None:
    """Which events a tag is for, None where it is for none."""
    word = options.word("events", EVENTS[0], EVENTS)
    severity = options.whole("severity", 0, 0, SEVERITY_MAX)
    text = options.text("of_type")
    of_type = _place(options, "of_type", text, namespace) if text else CONDITIONS if word == EVENTS[2] else None
    if word == EVENTS[0]:
        for name in ("severity", "of_type"):
            if options.text(name):
                options.wrong(name, "only events have it", "Say events = all, or leave it empty")
        return None
    _refuse(options, OF_VALUES, "an event has no such thing")
    if tag.raw != Type.STRING or tag.type != Type.STRING:
        options.wrong("type", f"an event is told as JSON, and a {tag.raw.word} holds none", "Write string as type")
    return Events(severity, of_type)


def parse_method(options: Options, tag: Tag, namespace: str) -> Place | None:
    """The method that a tag calls, None where it calls none."""
    text = options.text("method")
    if not text:
        return None
    _refuse(options, ("sampling", "queue", "discard", "server_deadband", "trigger", "count", "events"),
            "a method is called, and not watched")  # fmt: skip
    if tag.access != "write":
        options.wrong("access", "a method is only called, which is a write", "Write write as access")
    return _place(options, "method", text, namespace)


def method_of(tag: Tag, namespace: str) -> Place | None:
    """The same of a tag with which nothing is wrong."""
    return parse_method(Options(tag.options, tag.name, tag.row), tag, namespace)


def _place(options: Options, name: str, text: str, namespace: str) -> Place | None:
    try:
        return parse_node(text, namespace)
    except ValueError as wrong:
        options.wrong(name, str(wrong), "Write it as nsu=http://vendor.com/plc;s=Name; `tidegate browse` shows it")
        return None


def _refuse(options: Options, names: tuple[str, ...], what: str) -> None:
    for name in names:
        if options.text(name) not in ("", "no"):
            options.wrong(name, what, "Leave it empty")
