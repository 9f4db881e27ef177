"""Marks: how far each subscription was committed, kept beside the buffer so that the next process takes it over.

One JSON file a session, replaced as a whole and not synced: after a power cut it may be some seconds old, and then more
is asked for again, of which the buffer knows what it has. What a server forgot to keep is never acknowledged before it
stands here.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock

FILE_BYTES_MAX = 1 << 20
VERSION = 2


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one subscription: its id, the last sequence number of which all before is committed (0: none yet), and when
    that was received (gateway's µs UTC).

    `items` is a hash over what its client handles mean; `epoch` and `number` are the buffer's place at some time
    before: all that is committed behind `sequence` stands after it. `started` is when the server began to run (its
    µs UTC, 0: it does not say): ids of subscriptions are its own from then on only. `whole`: it monitored all items.
    `skew_us` is what was taken from the server's times.
    """

    subscription: int
    sequence: int
    until_us: int
    items: str
    epoch: str
    number: int
    started: int
    whole: bool
    skew_us: int


class Marks:
    """Those of one session, by device and group. Without a folder they last as long as the process."""

    def __init__(self, folder: Path | None, bus: str) -> None:
        name = hashlib.sha256(bus.encode()).hexdigest()[:16]
        self._path = folder / f"subscriptions-{name}.json" if folder is not None else None
        self._bus = bus
        # A write whose waiter was cancelled goes on in its thread: the next one must not meet it.
        self._writing = Lock()

    @property
    def lasting(self) -> bool:
        """Whether another process will find them."""
        return self._path is not None

    def read(self) -> dict[tuple[str, str], Mark]:
        """What the process before left; {} where there is nothing of use. Blocks."""
        if self._path is None:
            return {}
        try:
            if self._path.stat().st_size > FILE_BYTES_MAX:
                return {}
            document = json.loads(self._path.read_bytes())
            if document["v"] != VERSION or document["bus"] != self._bus:
                return {}
            return {(one["device"], one["group"]): _mark(one["mark"]) for one in document["marks"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def age_us(self) -> int:
        """When they were written last, gateway's µs UTC, whether they can be read or not; 0: never. Blocks."""
        try:
            return self._path.stat().st_mtime_ns // 1000 if self._path is not None else 0
        except OSError:
            return 0

    def write(self, marks: Mapping[tuple[str, str], Mark]) -> None:
        """Replace them. Blocks. Raises OSError."""
        if self._path is None:
            return
        entries = [{"device": device, "group": group, "mark": asdict(mark)} for (device, group), mark in marks.items()]
        with self._writing:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = self._path.with_suffix(".new")
            beside.write_text(json.dumps({"v": VERSION, "bus": self._bus, "marks": entries}))
            os.replace(beside, self._path)


def _mark(fields: dict[str, object]) -> Mark:
    """A mark whose fields are of their types. Raises ValueError or TypeError."""
    mark = Mark(**fields)  # type: ignore[arg-type]  # what they are is looked at next
    if any(type(value) is not type(getattr(EXAMPLE, name)) for name, value in asdict(mark).items()):
        raise ValueError("a field of another type")
    return mark


EXAMPLE = Mark(0, 0, 0, "", "", 0, 0, True, 0)
