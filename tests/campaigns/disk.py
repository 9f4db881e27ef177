"""Which frames lie in a buffer, read from its files by the independent decoder of tests/golden. No Tidegate in here."""

from collections.abc import Iterator
from pathlib import Path


def frames_on_disk(state: Path) -> Iterator[tuple[str, int]]:
    """Epoch and number of every data frame in a closed buffer's segments."""
    raise NotImplementedError
    yield
