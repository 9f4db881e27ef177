"""Lately: what was told last of each tag, so that a server which says it once more over a new connection is noticed.

Seen of servers built with node-opcua: they send the last value of every item again when a session goes on.
"""

from typing import TYPE_CHECKING

from tidegate.model.frame import I64, U32, Frame
from tidegate.model.tag import TagTable, Type
from tidegate.twins import choose
from tidegate_drivers.opcua.wide import SLOT, Wide

if TYPE_CHECKING:
    from tidegate_drivers.opcua import _lately_py as twin
else:
    twin = choose("tidegate_drivers.opcua._lately")

GOOD = bytes(4)


class Lately:
    """That of one group of a device. What was not Good, and text, is not remembered: better twice than not at all."""

    def __init__(self) -> None:
        self._times = bytearray()
        self._values = bytearray()

    def told(self, frame: Frame, table: TagTable) -> None:
        """A frame was handed on."""
        room = SLOT * len(table.tags)
        for column in (self._times, self._values):
            column.extend(bytes(max(0, room - len(column))))
        rows = frame.tags * frame.count if len(frame.tags) == U32.size else frame.tags
        twin.note(self._times, rows, frame.source_us)
        twin.note(self._values, rows, frame.values)
        if frame.status != GOOD:
            tags, status = memoryview(frame.tags).cast("I"), memoryview(frame.status).cast("I")
            for at in range(frame.count):
                if status[0 if len(status) == 1 else at]:
                    tag = tags[0 if len(tags) == 1 else at]
                    self._times[SLOT * tag : SLOT * (tag + 1)] = bytes(SLOT)

    def leave_out(self, wide: Wide, table: TagTable) -> None:
        """Leave out readings of the same value and time as the last of their tags."""
        wide.keep([at for at in range(len(wide)) if not self._same(wide, at, table)])

    def _same(self, wide: Wide, at: int, table: TagTable) -> bool:
        tag = wide.tags[at]
        here = slice(SLOT * tag, SLOT * (tag + 1))
        return (
            wide.status[at] == 0
            and table.tags[tag].raw != Type.STRING
            and self._times[here] == I64.pack(wide.source[at])
            and self._values[here] == wide.values[SLOT * at : SLOT * (at + 1)]
        )
