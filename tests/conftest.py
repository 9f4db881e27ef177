"""What tests anywhere in the tree may ask for."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# `pytest` alone, unlike `python -m pytest`, does not look for `demo` and `tests` in the root of the repository.
sys.path.insert(0, str(Path(__file__).parent.parent))

from demo.broker import BrokerMissing, Mosquitto

# An example's time is the machine's affair: on a busy one any may take long. pytest's own timeout ends what hangs.
settings.register_profile("tidegate", deadline=None)
settings.load_profile("tidegate")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real mosquitto of the test's own on a free loopback port: .url .port, .start() .stop() .kill()."""
    try:
        started = Mosquitto(tmp_path / "broker")
    except BrokerMissing as missing:
        pytest.fail(f"This test needs a real broker, and {missing}", pytrace=False)
    started.start()
    yield started
    started.kill()
