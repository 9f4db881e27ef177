"""Recipe: how the computed tags of a device follow from those that are read, compiled once for its tag table."""

from dataclasses import dataclass

from tidegate.model.device import Device
from tidegate.model.tag import TagTable, Type
from tidegate.shape.formula import Formula, Window, parse, plain

# A reading counts for so many intervals of its group, and the deadline of one read, unless a new one comes: so long
# it may stand in a formula beside newer ones, and hold in a window.
INTERVALS_HELD = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One computed tag: its index and type in the kept table, and the indexes of its inputs."""

    tag: int
    type: Type
    formula: Formula
    inputs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The steps of one device, in the order in which they are done.

    `read` is the table that its driver reads, `kept` the same with the computed tags after them. `ages_us` is for
    each tag of `kept` how long a reading of it counts.
    """

    read: TagTable
    kept: TagTable
    steps: tuple[Step, ...]
    ages_us: tuple[int, ...]


def recipe(device: Device) -> Recipe | None:
    """The recipe of a device whose formulas have been checked; None when nothing of it is computed.

    Raises Misformed, KeyError or RecursionError for formulas that have not been.
    """
    if device.computed is None:
        return None
    kept, first = device.computed, len(device.table.tags)
    places = {plain(tag.name): index for index, tag in enumerate(kept.tags)}
    ages_us = [0] * len(kept.tags)
    for group in device.groups:
        for tag in group.tags:
            ages_us[tag] = round((INTERVALS_HELD * group.interval_s + group.deadline_s) * 1e6)
    todo = {index: parse(kept.tags[index].formula) for index in range(first, len(kept.tags))}
    steps: list[Step] = []

    def add(index: int) -> None:
        """After what it needs."""
        formula = todo.pop(index)
        inputs = tuple(places[name] for name in formula.inputs)
        for needed in inputs:
            if needed in todo:
                add(needed)
        ages_us[index] = max(ages_us[needed] for needed in inputs)
        if isinstance(formula, Window):
            # It is reported once in a window.
            ages_us[index] += round(formula.length_s * 1e6)
        steps.append(Step(index, kept.tags[index].type, formula, inputs))

    while todo:
        add(next(iter(todo)))
    return Recipe(device.table, kept, tuple(steps), tuple(ages_us))
