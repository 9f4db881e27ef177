"""Vectors are put into as few states of a device as they fit into, and compared without mercy."""

import csv
import tomllib
from collections.abc import Iterator
from fractions import Fraction
from importlib import resources
from math import nan
from pathlib import Path
from struct import unpack
from typing import Any

import pytest

from tidegate.model.tag import Type
from tidegate.profiles.profile import REGISTERS_FILE, VECTORS_FILE
from tidegate.profiles.shelf import Shelf
from tidegate.profiles.vectors import expected, parse, rounds, same

DEVICES = Path(str(resources.files("tidegate_profiles"))) / "devices"
CODES = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "uint64": ">Q", "float32": ">f",
    "float64": ">d",
}  # fmt: skip
# What the vendors' documents (and for Huawei the second of two integrations) have for "not available", as registers.
ABSENT = {
    "abb/b23": {
        "uint16": "FFFF", "int16": "7FFF", "uint32": "FFFF FFFF", "int32": "7FFF FFFF", "uint64": "FFFF FFFF FFFF FFFF",
    },
    "sma/inverter": {"int32": "8000 0000", "uint32": "FFFF FFFF", "uint64": "FFFF FFFF FFFF FFFF"},
    "schneider/iem3000": {"float32": "FFC0 0000", "int64": "8000 0000 0000 0000"},
    "sunspec/model103": {"uint16": "FFFF", "int16": "8000"},
    "huawei/sun2000": {"uint16": "FFFF", "int16": "7FFF", "uint32": "FFFF FFFF", "int32": "7FFF FFFF"},
}  # fmt: skip


def read_sets() -> Iterator[tuple[str, str, str, str]]:
    """Folder, word order, registers' and vectors' files of every shipped set with registers, read without Tidegate."""
    for name in Shelf().names():
        tree = tomllib.loads((DEVICES / name / "profile.toml").read_text())
        if "driver" in tree:
            continue
        for one in tree.get("set", [{}]):
            order = {**tree.get("table", {}), **one.get("table", {})}["order"]
            yield name, order, one.get("registers", REGISTERS_FILE), one.get("vectors", VECTORS_FILE)


SETS = list(read_sets())


def rows(name: str, file: str) -> list[dict[str, str]]:
    with (DEVICES / name / file).open(newline="") as lines:
        return list(csv.DictReader(lines))


def decoded(words: str, kind: str, order: str) -> Any:
    """Registers as the vendor's document has them, by struct alone."""
    parts = [bytes.fromhex(word) for word in words.split()]
    return unpack(CODES[kind], b"".join(parts if order == "ABCD" else reversed(parts)))[0]


@pytest.mark.parametrize(("name", "order", "registers", "vectors"), SETS)
def test_every_shipped_vector_is_right_by_struct_alone(name: str, order: str, registers: str, vectors: str) -> None:
    tags = {row["name"]: row for row in rows(name, registers)}
    wrong = []
    told: dict[str, list[dict[str, str]]] = {}
    for row in rows(name, vectors):
        told.setdefault(row["tag"], []).append(row)
    for row in rows(name, vectors):
        tag = tags[row["tag"]]
        power = None
        if tag.get("scale_by"):
            # Vectors of the same rank are in the registers at the same time.
            beside = told[tag["scale_by"]][told[row["tag"]].index(row) :][:1]
            power = beside[0]["raw"] if beside else "bad"
        if row["raw"] == "bad" or (row["value"] == "bad" and power != "bad"):
            if row["words"] != ABSENT[name][tag["type"]] or row["value"] != "bad":
                wrong.append((row, "bad", "bad"))
            continue
        raw = decoded(row["words"], tag["type"], order)
        scale = Fraction(tag.get("scale") or 1)
        value = float(Fraction(raw) * scale) if tag.get("scale") else raw
        if power is not None:
            value = "bad" if power == "bad" else float(Fraction(raw) * scale * Fraction(10) ** int(power))
        if type(raw)(row["raw"]) != raw or type(value)(row["value"]) != value:
            wrong.append((row, raw, value))

    assert order in ("ABCD", "CDAB")
    assert wrong == []
    assert {row["tag"] for row in rows(name, vectors)} == tags.keys()


@pytest.mark.parametrize("name", ABSENT)
def test_every_tag_that_may_be_not_available_has_a_vector_for_it(name: str) -> None:
    tried = {row["tag"] for row in rows(name, VECTORS_FILE) if row["raw"] == "bad"}

    assert tried == {row["name"] for row in rows(name, REGISTERS_FILE) if row["type"] in ABSENT[name]}


@pytest.mark.parametrize(("name", "order", "registers", "vectors"), SETS)
def test_a_vector_stands_where_its_register_stands(name: str, order: str, registers: str, vectors: str) -> None:
    base = int(tomllib.loads((DEVICES / name / "profile.toml").read_text())["table"].get("base", 0))
    wires = {row["name"]: int(row["address"], 0) - (0 if row["address"][:2] == "0x" else base)
             for row in rows(name, registers)}  # fmt: skip

    assert [row for row in rows(name, vectors) if int(row["at"].split()[1], 16) != wires[row["tag"]]] == []


def test_vectors_that_do_not_disturb_each_other_share_a_state() -> None:
    first, second = parse("a", "input 0", "0001 0002", "1", "1", 2), parse("b", "input 1", "0002", "2", "2", 3)

    assert [sorted(one.vectors) for one in rounds([first, second])] == [["a", "b"]]


def test_vectors_of_one_tag_or_of_contrary_registers_have_states_of_their_own() -> None:
    first, again = parse("a", "input 0", "0001 0002", "1", "1", 2), parse("a", "input 0", "0001 0002", "1", "1", 3)
    contrary, other = parse("b", "input 1", "0007", "7", "7", 4), parse("c", "holding 1", "0007", "7", "7", 5)

    assert [sorted(one.vectors) for one in rounds([first, again, contrary, other])] == [["a", "c"], ["a"], ["b"]]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1", Type.UINT16, 1), ("-3", Type.INT32, -3), ("1", Type.FLOAT32, 1.0), ("nan", Type.FLOAT32, nan),
        ("true", Type.BOOL, True), ("1", Type.STRING, "1"), ("18446744073709551615", Type.UINT64, 2**64 - 1),
    ],
)  # fmt: skip
def test_what_is_expected_is_of_the_tags_type(text: str, kind: Type, value: Any) -> None:
    assert same(expected(text, kind), value)


@pytest.mark.parametrize(("one", "other"), [(1, 1.0), (True, 1), (nan, 0.0), (1.5, None), ("1", 1), (0.1, 0.1 + 2e-17)])
def test_nearly_the_same_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
