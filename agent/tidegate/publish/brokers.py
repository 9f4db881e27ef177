"""Brokers: in which order a target tries them, and when it looks whether the first is back. It connects to nothing."""

from collections.abc import Sequence

from tidegate.errors import PublishError

RETURN_S_MAX = 3600.0
RETURN_FACTOR = 2.0


class FirstIsBack(PublishError):
    """A target left a fallback, since the broker that stands first can be reached again."""


class Brokers:
    """The brokers of one target, and which of them is tried now.

    `return_s` is how often to look for the first one; where it can be reached and then refuses, ever more seldom.
    """

    def __init__(self, urls: Sequence[str], return_s: float) -> None:
        self._urls = tuple(urls)
        self._return_s_min = return_s
        self._at = 0
        self._all_refused = True
        self.return_s = return_s

    @property
    def url(self) -> str:
        """Of the broker that is tried now."""
        return self._urls[self._at]

    @property
    def first(self) -> bool:
        """Whether that is the one that stands first."""
        return self._at == 0

    def served(self) -> None:
        """The connection was a good one. When it ends, the order is begun again."""
        if self.first:
            self.return_s = self._return_s_min
        self._at, self._all_refused = 0, True

    def returning(self) -> None:
        """The first is tried next, since it can be reached."""
        self.return_s = min(self.return_s * RETURN_FACTOR, RETURN_S_MAX)
        self._at, self._all_refused = 0, True

    def failed(self, refused: bool) -> tuple[bool, bool]:
        """The next one is tried. Whether all have been tried now, and whether each of them refused us."""
        self._all_refused = self._all_refused and refused
        self._at = (self._at + 1) % len(self._urls)
        if self._at:
            return False, False
        all_refused, self._all_refused = self._all_refused, True
        return True, all_refused
