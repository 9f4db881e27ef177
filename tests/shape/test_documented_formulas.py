"""The document's formulas can be read, it names every function, and the sample configuration computes what it says."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from tidegate.config.load import load
from tidegate.model.frame import I64, U32, Frame, pack_value, readings
from tidegate.model.status import GOOD
from tidegate.shape.formula import LETTERS_MAX, LIMITS, WINDOWS, parse
from tidegate.shape.functions import FUNCTIONS
from tidegate.shape.recipe import INTERVALS_HELD, recipe
from tidegate.shape.shaper import Shaper
from tidegate.shape.window import MISSED_MAX

DOCS = Path(__file__).parent.parent.parent / "docs"
TEXT = (DOCS / "configuration.md").read_text().split("### Computed tags and alarms")[1]
TABLE = re.findall(r"^\| (`.+`) \|", TEXT, re.M)
S = 1_000_000
HOUR = 1_795_000_000 // 3600 * 3600 * S


@pytest.mark.parametrize("text", re.findall(r"`([^`]+)`", "".join(TABLE)))
def test_every_formula_of_the_document_can_be_read(text: str) -> None:
    assert parse(text).inputs


@pytest.mark.parametrize("word", [*FUNCTIONS, *WINDOWS, *LIMITS, "if", "hysteresis", "on_delay", "off_delay"])
def test_every_word_of_formulas_is_in_the_document(word: str) -> None:
    assert re.search(rf"\b{word}\b", TEXT)


def test_the_limits_in_the_document_hold() -> None:
    assert f"at most {LETTERS_MAX} letters" in TEXT
    assert f"the last {MISSED_MAX} are told" in TEXT
    assert INTERVALS_HELD == 3
    assert "three\nintervals" in TEXT


def test_the_sample_configuration_computes_what_it_says() -> None:
    config = load(DOCS / "example" / "gateway.toml", {})
    device = next(device for device in config.devices if device.name == "press1")
    made = recipe(device)
    assert made is not None
    names = [tag.name for tag in device.table.tags]
    shaper = Shaper([device.table], [made])
    last: dict[str, tuple[object, int]] = {}

    def poll(second: int, **values: float) -> None:
        tags = [names.index(name) for name in values]
        slots = b"".join(
            pack_value(device.table.tags[tag].raw, value, bytearray())
            for tag, value in zip(tags, values.values(), strict=True)
        )
        frame = Frame(
            "press1", device.table.hash, len(tags), 1, second * S, HOUR + second * S,
            struct.pack(f"<{len(tags)}I", *tags), I64.pack(HOUR + second * S), U32.pack(GOOD), slots,
        )  # fmt: skip
        shaped = shaper.shape(frame)
        for one in readings(shaped, device.published) if shaped is not None else ():
            last[one.tag] = one.value, one.status

    for second in range(901):
        poll(
            second,
            pressure=20,
            running=1,
            door_open=0,
            temperature=900 if second > 800 else 300,
            strokes=7 + second // 10,
        )

    assert ("important", ["force", "strokes_15min", "idle", "hot"]) == (
        device.published.tags[-1].label,
        [tag.name for tag in device.published.tags[len(names) :]],
    )
    assert (pytest.approx(6.28), GOOD) == last["force"]
    assert (89.0, GOOD) == last["strokes_15min"]
    assert (True, GOOD) == last["idle"]
    assert (2, GOOD) == last["hot"]
    assert replace(device, computed=None).published is device.table
