"""What the tests of the buffer may ask for."""

from pathlib import Path

import pytest

from tests.buffer.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A folder, a clock that is moved by hand, and what it takes to open a buffer there."""
    return World(tmp_path / "state")
