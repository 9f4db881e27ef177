"""Shaper: the steps in their order, scale and then deadband. It knows no driver and no buffer."""

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.model.frame import Frame, Kind, Origin
from tidegate.model.tag import TagTable
from tidegate.shape.deadband import deadband_rules, fresh_memory, thinned
from tidegate.shape.scale import scale_rules, scaled


@dataclass(slots=True)
class _Shape:
    """What the steps need for the frames of one table."""

    table: TagTable
    scale: bytes
    deadband: bytes
    memory: bytearray


class Shaper:
    """Shapes the frames of these tables. A frame of a table that it does not know is a programming error."""

    def __init__(self, tables: Iterable[TagTable]) -> None:
        self._shapes = {table.hash: _shape(table) for table in tables}

    def change(self, tables: Iterable[TagTable]) -> None:
        """Shape the frames of these tables from now on. A table that stays as it was keeps its memory."""
        before, self._shapes = self._shapes, {}
        for table in tables:
            old = before.get(table.hash)
            self._shapes[table.hash] = old if old is not None and old.table == table else _shape(table)

    def shape(self, frame: Frame) -> Frame | None:
        """The frame as it is kept: scaled, and thinned to what is worth reporting; None when nothing is.

        Raises KeyError for an unknown table.
        """
        if frame.kind != Kind.DATA:
            return frame
        shape = self._shapes[frame.table]
        values = scaled(frame, shape.scale)
        if frame.origin == Origin.BACKFILL:
            # History fills a gap: all of it is worth reporting, and it says nothing of what was reported last.
            return values
        return thinned(values, shape.deadband, shape.memory)

    def forget(self, device: str | None) -> None:
        """Forget what was reported of a device (None = of all), so that its next values are reported.

        To be called after a gap: what the subscriber last received is not what we last read.
        """
        for shape in self._shapes.values():
            if device is None or shape.table.device == device:
                shape.memory = fresh_memory(shape.table)


def _shape(table: TagTable) -> _Shape:
    return _Shape(table, scale_rules(table), deadband_rules(table), fresh_memory(table))
