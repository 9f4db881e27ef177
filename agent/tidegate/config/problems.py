"""Gathers what is wrong with a configuration, so that all of it can be told at once. It judges nothing itself."""

from tidegate.errors import Problem


class Problems:
    """A list of problems without repeats, in the order of files as they were read and of rows within a file."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def add(self, problem: Problem) -> None:
        """Note one; the same problem twice is one problem (sixty devices share one bad tag table)."""
        self._found.setdefault(problem)

    def fault(
        self, file: str, key: str, what: str, remedy: str, row: int | None = None, column: str | None = None
    ) -> None:
        """Note what makes the configuration unusable."""
        self.add(Problem(file, key, what, remedy, row, column))

    def warn(
        self, file: str, key: str, what: str, remedy: str, row: int | None = None, column: str | None = None
    ) -> None:
        """Note what works, but perhaps not as it was meant."""
        self.add(Problem(file, key, what, remedy, row, column, fatal=False))

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The fatal ones."""
        return tuple(p for p in self._sorted() if p.fatal)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The others."""
        return tuple(p for p in self._sorted() if not p.fatal)

    def _sorted(self) -> list[Problem]:
        files = {file: order for order, file in enumerate(dict.fromkeys(p.file for p in self._found))}
        return sorted(self._found, key=lambda p: (files[p.file], p.row or 0))
