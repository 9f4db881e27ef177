"""Every topic of a target: who speaks, who listens, QoS, retained or not; and what a broker must allow for that.

`receipt` is reserved by the format and not used yet: nobody needs a right to it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tidegate.model.tag import TagTable
from tidegate.publish.connector import QOS
from tidegate.publish.formats.tidegate_json import Lane, TidegateJson
from tidegate.publish.settings import TargetSettings

ANY_TABLE = "table/+"


class Direction(StrEnum):
    """Which way messages go."""

    OUT = "out"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `echo`: the gateway also listens to what it said itself, to see whether its image was put back."""

    topic: str
    direction: Direction
    retained: bool
    what: str
    qos: int = QOS
    echo: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics and filters that one user may publish to (`write`) and receive from (`read`)."""

    user: str
    write: tuple[str, ...]
    read: tuple[str, ...]


def topics(settings: TargetSettings, gateway: str, tables: Iterable[TagTable]) -> list[Topic]:
    """Every topic of one target, with one for each tag table."""
    form = TidegateJson(gateway, settings.name, settings.prefix)
    return [
        *_fixed(form),
        *(Topic(form.table_topic(t), Direction.OUT, True, f"the tag table of {t.device}") for t in tables),
    ]


def rights(settings: TargetSettings, gateway: str, user: str, subscriber: str) -> tuple[Rights, Rights]:
    """What the gateway and a subscriber need, and nothing more. Tables are allowed by a filter, since they change."""
    form = TidegateJson(gateway, settings.name, settings.prefix)
    fixed, tables = _fixed(form), form.topic(ANY_TABLE)
    out = (*(one.topic for one in fixed if one.direction is Direction.OUT), tables)
    asked = tuple(one.topic for one in fixed if one.direction is Direction.IN)
    echoes = tuple(one.topic for one in fixed if one.echo)
    return Rights(user, out, (*asked, *echoes)), Rights(subscriber, asked, out)


def _fixed(form: TidegateJson) -> list[Topic]:
    return [
        Topic(form.topic(Lane.LIVE), Direction.OUT, False, "what was just committed"),
        Topic(form.topic(Lane.BACKLOG), Direction.OUT, False, "what could not be sent when it was new"),
        Topic(form.topic(Lane.REPLAY), Direction.OUT, False, "what a subscriber asked for"),
        Topic(form.topic("head"), Direction.OUT, True, "what exists, and what this target is owed", echo=True),
        Topic(form.topic("status"), Direction.OUT, True, "online or not; the will too"),
        Topic(form.topic("answer"), Direction.OUT, False, "what became of a request"),
        Topic(form.topic("request"), Direction.IN, False, "numbers that a subscriber wants again"),
    ]


def mosquitto_acl(users: Iterable[Rights]) -> list[str]:
    """Lines for mosquitto's acl_file: what is not listed is denied."""
    lines: list[str] = []
    for one in users:
        lines += ["", f"user {one.user}", *(f"topic write {topic}" for topic in one.write)]
        lines += [f"topic read {topic}" for topic in one.read]
    return lines


def emqx_acl(users: Iterable[Rights], stems: Iterable[str]) -> list[str]:
    """Lines for EMQX's acl.conf; everything else below the `stems` is denied, whatever follows in that file."""
    lines = []
    for one in users:
        who = f"{{username, {_erlang(one.user)}}}"
        for action, allowed in (("publish", one.write), ("subscribe", one.read)):
            listed = ",\n    ".join(_erlang(topic) for topic in allowed)
            lines.append(f"{{allow, {who}, {action}, [\n    {listed}]}}.")
    return [*lines, *(f"{{deny, all, all, [{_erlang(stem + '/#')}]}}." for stem in stems)]


def _erlang(text: str) -> str:
    """A string of Erlang; a binary where it has letters beyond ASCII, since its strings are lists of numbers."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if text.isascii() else f'<<"{escaped}"/utf8>>'
