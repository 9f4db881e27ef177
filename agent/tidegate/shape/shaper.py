"""Shaper: the steps in their order: scale, computed tags, deadband. It knows no driver and no buffer."""

from collections.abc import Iterable
from dataclasses import dataclass

from tidegate.model.frame import Frame, Kind, Origin
from tidegate.model.tag import TagTable
from tidegate.shape.compute import Computer
from tidegate.shape.deadband import deadband_rules, fresh_memory, thinned
from tidegate.shape.power import Powers
from tidegate.shape.recipe import Recipe
from tidegate.shape.scale import scale_rules, scaled


@dataclass(slots=True)
class _Shape:
    """What the steps need for the frames of one table. `kept` is the table of what leaves, `table` unless computed."""

    table: TagTable
    kept: TagTable
    scale: bytes
    powers: Powers | None
    deadband: bytes
    memory: bytearray
    computer: Computer | None


class Shaper:
    """Shapes the frames of these tables, each by its recipe where one of `recipes` reads it.

    A frame of a table that it does not know is a programming error.
    """

    def __init__(self, tables: Iterable[TagTable], recipes: Iterable[Recipe] = ()) -> None:
        self._shapes: dict[bytes, _Shape] = {}
        self.change(tables, recipes)

    def change(self, tables: Iterable[TagTable], recipes: Iterable[Recipe] = ()) -> None:
        """Shape the frames of these tables from now on. A table that stays as it was keeps its memory."""
        by_table = {recipe.read.hash: recipe for recipe in recipes}
        before, self._shapes = self._shapes, {}
        for table in tables:
            recipe, old = by_table.get(table.hash), before.get(table.hash)
            stays = old is not None and old.table == table and recipe == (old.computer and old.computer.recipe)
            self._shapes[table.hash] = old if old is not None and stays else _shape(table, recipe)

    def shape(self, frame: Frame) -> Frame | None:
        """The frame as it is kept: scaled, computed, and thinned to what is worth reporting; None when nothing is.

        Raises KeyError for an unknown table.
        """
        if frame.kind != Kind.DATA:
            return frame
        shape = self._shapes[frame.table]
        values = scaled(frame, shape.scale, shape.powers)
        if shape.computer is not None:
            values = shape.computer.compute(values)
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
                shape.memory = fresh_memory(shape.kept)


def _shape(table: TagTable, recipe: Recipe | None) -> _Shape:
    kept = table if recipe is None else recipe.kept
    computer = None if recipe is None else Computer(recipe)
    rules = scale_rules(table)
    powers = Powers(table, rules) if any(tag.scale_by for tag in table.tags) else None
    return _Shape(table, kept, rules, powers, deadband_rules(kept), fresh_memory(kept), computer)
