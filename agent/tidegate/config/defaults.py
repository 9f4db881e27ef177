"""Texts that stand in for empty cells of a table, and where they were written: a fault in one is told once, there."""

from dataclasses import dataclass

from tidegate.errors import Problem


@dataclass(frozen=True, slots=True)
class Default:
    """A text, and the file, key and line that it comes from."""

    text: str
    file: str
    key: str
    row: int | None

    def moved(self, problem: Problem) -> Problem:
        """A problem with a cell that this text stands in for, as a problem with the text."""
        return Problem(self.file, self.key, problem.what, problem.remedy, self.row, fatal=problem.fatal)
