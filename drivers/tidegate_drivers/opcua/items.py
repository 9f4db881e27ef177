"""Items: what is asked of a server for the tags of a group. One item is one node; several tags may come with it.

It opens nothing, and knows no server.
"""

import sys
from dataclasses import dataclass, replace

from tidegate.errors import Problem
from tidegate.model.device import Device, Group
from tidegate.model.option import Options
from tidegate.model.tag import Tag, Type
from tidegate_drivers.opcua.address import Place, parse_node
from tidegate_drivers.opcua.browsepath import uri_text
from tidegate_drivers.opcua.purpose import EXACT, NEAREST, Events, method_of, parse_events, parse_method
from tidegate_drivers.opcua.selection import COLUMNS, parse_selection
from tidegate_drivers.opcua.settings import QUEUE_MAX, Settings

HOW_TO_WRITE = "Write it as nsu=http://vendor.com/plc;s=Machine.Temp; `tidegate browse` shows the addresses of a server"
SAMPLING_S_MIN, SAMPLING_S_MAX = 0.0, 86400.0
DISCARDS = ("oldest", "newest")
TRIGGERS = ("status", "value", "timestamp")
# A server keeps so many values of an item between two notifications, at least: its clock and ours are not one.
QUEUE_MIN = 10
# Of an item that is not sampled, but told on every change.
QUEUE_ON_CHANGE = 1000
PERCENT_MAX = 100.0
# How the path from a device's object begins, and the kind of such a place.
HERE, RELATIVE = "./", "."

Fields = tuple[str | int, ...]
# Of an item with one tag that takes all of its value.
WHOLE: tuple[Fields, ...] = ((),)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a node is to be watched, as the columns of its tags say.

    `sampling_s` None: as often as its group is published, 0: on every change. `queue` 0: as many values as come between
    two notifications. `deadband` is in the tag's own unit before scaling, or a percentage of its EURange; 0 reports
    every change. `trigger` is what counts as a change, besides the status: the value, or a new timestamp as well.
    `events` are those of an object that are watched instead of a value.
    """

    sampling_s: float | None = None
    queue: int = 0
    discard_oldest: bool = True
    deadband: float = 0.0
    percent: bool = False
    trigger: str = TRIGGERS[1]
    events: Events | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """One node of a group, with the indexes of its tags, and the field of its value that each takes (() for all of it).

    `kind` is the type of its only tag, which takes all of its value; 0 where the value has to be taken apart first.
    """

    place: Place
    wish: Wish
    tags: tuple[int, ...]
    fields: tuple[Fields, ...]
    kind: int


def parse_place(text: str, namespace: str) -> Place:
    """The place of an address; one that begins with ./ is a path from the device's object. Raises ValueError."""
    if not text.startswith(HERE):
        return parse_node(text, namespace)
    # Names have the device's namespace, as behind any node of it.
    behind = parse_node(f"{uri_text(namespace)}s=-#{text[1:]}")
    return replace(behind, namespace="", kind=RELATIVE, identifier="")


def absolute(place: Place, root: Place | None) -> Place | None:
    """A place with its way from the device's object put behind that; None when it needs one and there is none."""
    if place.kind != RELATIVE:
        return place
    if root is None:
        return None
    return replace(root, path=(*root.path, *place.path), index_range=place.index_range, fields=place.fields)


def parse_tag(tag: Tag, namespace: str) -> tuple[Place | None, Wish, list[Problem]]:
    """The node of a tag, and how it is watched; what is wrong with its columns.

    None when it selects many, or its address can't be used.
    """
    options = Options(tag.options, tag.name, tag.row)
    place = None
    selects = False
    try:
        selects = parse_selection(tag, namespace) is not None
        place = None if selects else parse_place(tag.address, namespace)
    except ValueError as wrong:
        options.wrong("address", str(wrong), HOW_TO_WRITE)
    sampling = options.text("sampling")
    deadband, percent = _deadband(options)
    method = parse_method(options, tag, namespace)
    events = parse_events(options, tag, namespace) if method is None and not selects else None
    wish = Wish(
        options.duration_s("sampling", 0.0, SAMPLING_S_MIN, SAMPLING_S_MAX) if sampling else None,
        options.whole("queue", 0, 0, QUEUE_MAX),
        options.word("discard", DISCARDS[0], DISCARDS) == DISCARDS[0],
        deadband,
        percent,
        options.word("trigger", TRIGGERS[1], TRIGGERS),
        events,
    )
    if deadband and tag.raw in (Type.STRING, Type.BOOL):
        options.wrong("server_deadband", f"a {tag.raw.word} has no deadband", "Leave it empty")
    for column in ("count", *(COLUMNS if selects else ())):
        options.text(column)
    options.word("rounding", EXACT, (EXACT, NEAREST))
    options.refuse_unknown()
    return place, wish, options.problems


def _deadband(options: Options) -> tuple[float, bool]:
    text = options.text("server_deadband")
    if not text:
        return 0.0, False
    percent = text.endswith("%")
    try:
        value = float(text.rstrip("%").strip())
    except ValueError:
        value = -1.0
    if not 0 <= value <= (PERCENT_MAX if percent else float("inf")):
        options.wrong("server_deadband", f"{text!r} is no deadband", "Write a number such as 0.5, or 2% of the range")
        return 0.0, False
    return value, percent


def items_of(device: Device, group: Group, settings: Settings) -> list[Item]:
    """The items of a group, in the order of their first tags. A server is asked once for what several tags share.

    A tag that calls a method has none.
    """
    found: dict[tuple[Place, Wish], list[tuple[int, Fields]]] = {}
    # Thousands of items have the same few wishes and namespaces: each is kept once.
    wishes: dict[Wish, Wish] = {}
    for index in group.tags:
        tag = device.table.tags[index]
        place, wish, _ = parse_tag(tag, settings.namespace)
        if place is not None and method_of(tag, settings.namespace) is None:
            node = replace(place, fields=(), namespace=sys.intern(place.namespace))
            found.setdefault((node, wishes.setdefault(wish, wish)), []).append((index, place.fields))
    return [_item(device, place, wish, tags) for (place, wish), tags in found.items()]


def _item(device: Device, place: Place, wish: Wish, tags: list[tuple[int, Fields]]) -> Item:
    fields = tuple(fields for _, fields in tags)
    return Item(place, wish, tuple(tag for tag, _ in tags), WHOLE if fields == WHOLE else fields, _kind(device, tags))


def _kind(device: Device, tags: list[tuple[int, Fields]]) -> int:
    first, fields = tags[0]
    tag = device.table.tags[first]
    return 0 if len(tags) > 1 or fields or tag.option("count") else int(tag.raw)


def queue_of(item: Item, settings: Settings, sampling_s: float, publishing_s: float) -> int:
    """How many values a server is asked to keep for an item between two notifications."""
    enough = max(QUEUE_MIN, round(3 * publishing_s / sampling_s)) if sampling_s > 0 else QUEUE_ON_CHANGE
    return item.wish.queue or settings.queue or min(enough, QUEUE_MAX)
