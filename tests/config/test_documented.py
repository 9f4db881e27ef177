"""The document on configuration names every key and every column, and states the defaults that hold."""

import re
from pathlib import Path

import pytest

from tidegate.buffer.settings import BufferSettings
from tidegate.config.devices import COLUMNS as DEVICE_COLUMNS
from tidegate.config.document import SECTIONS
from tidegate.config.quantities import seconds, size_bytes
from tidegate.config.tags import COLUMNS as TAG_COLUMNS
from tidegate.publish.settings import TargetSettings

DOCS = Path(__file__).parent.parent.parent / "docs"
TEXT = (DOCS / "configuration.md").read_text()
NAMED = set(re.findall(r"`([a-z_0-9]+)`", TEXT))
KEYS = sorted({(section, key) for section, model in SECTIONS.items() for key in model.model_fields})


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_in_the_document_and_in_the_example(section: str, key: str) -> None:
    assert key in NAMED
    assert re.search(rf"^(# )?{key} = ", (DOCS / "example" / "gateway.toml").read_text(), re.M)


@pytest.mark.parametrize("column", [*DEVICE_COLUMNS, *TAG_COLUMNS])
def test_every_column_is_in_the_document(column: str) -> None:
    assert column in NAMED


def default(key: str) -> str:
    found = re.search(rf"^\|[^|]*\| [^|]*`{key}`[^|]*\|[^|]*\| ([^|]*) \|$", TEXT, re.M)
    assert found
    return found[1].strip("`")


def test_the_defaults_in_the_document_hold() -> None:
    buffer, target = BufferSettings(Path("x")), TargetSettings("a", "mqtt://127.0.0.1")
    segment, age = default("segment").split(", ")

    assert int(default("commit_readings").partition(";")[0]) == buffer.commit_readings
    assert size_bytes(default("quota"), 0, 1 << 60) == buffer.quota_bytes
    assert size_bytes(segment, 0, 1 << 60) == buffer.segment_bytes
    assert seconds(age, 0, 1e9) == buffer.segment_age_s
    assert default("prefix") == target.prefix
    assert seconds(default("keepalive"), 0, 1e9) == target.keepalive_s
    assert int(default("window")) == target.window
    assert size_bytes(default("message_size"), 0, 1 << 60) == target.message_bytes_max
