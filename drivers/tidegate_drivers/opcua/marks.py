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

FILE_BYTES_MAX = 1 << 20
VERSION = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one subscription: its id, the last sequence number of which all before is committed (0: none yet), and when
    that was received (gateway's µs UTC).

    `items` is a hash over what its client handles mean; `epoch` and `number` are the buffer's place at some time
    before: all that is committed behind `sequence` stands after it.
    """

    subscription: int
    sequence: int
    until_us: int
    items: str
    epoch: str
    number: int


class Marks:
    """Those of one session, by device and group. Without a folder they last as long as the process."""

    def __init__(self, folder: Path | None, bus: str) -> None:
        name = hashlib.sha256(bus.encode()).hexdigest()[:16]
        self._path = folder / f"subscriptions-{name}.json" if folder is not None else None
        self._bus = bus

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
            return {(one["device"], one["group"]): Mark(**one["mark"]) for one in document["marks"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def write(self, marks: Mapping[tuple[str, str], Mark]) -> None:
        """Replace them. Blocks. Raises OSError."""
        if self._path is None:
            return
        entries = [{"device": device, "group": group, "mark": asdict(mark)} for (device, group), mark in marks.items()]
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps({"v": VERSION, "bus": self._bus, "marks": entries}))
        os.replace(beside, self._path)
