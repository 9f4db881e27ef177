"""A secret: text that can't be printed by accident. Only `reveal()` gives it, and only its last user calls that."""

from collections.abc import Callable


class Secret:
    """Holds a password or key. `str`, `repr`, formatting and logging show `***`; it can't be pickled.

    `source` reads it again from where it is kept, and gives None when that can't be done. `placeholder` is what stands
    for it in a file.
    """

    __slots__ = ("_source", "_text", "placeholder")

    def __init__(self, text: str, source: Callable[[], str | None] | None = None, placeholder: str = "") -> None:
        self._text = text
        self._source = source
        self.placeholder = placeholder

    def reveal(self) -> str:
        """The secret itself."""
        return self._text

    def renewed(self) -> "Secret":
        """The secret as it is kept now: equal to this one where it has not changed, or can't be read again."""
        text = self._source() if self._source is not None else None
        return self if text is None or text == self._text else Secret(text, self._source, self.placeholder)

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a secret can't be pickled")
