"""A tag table is known by its hash, and comes back from its bytes."""

import json

import pytest

from tidegate.model.names import Names
from tidegate.model.tag import Scale, Tag, TagTable, Type

TAG = Tag("U_L1", Type.FLOAT32, Type.FLOAT32, unit="V", range=(0, 300), description="电压", identifier="88.1/2")


def test_a_table_comes_back_from_its_document() -> None:
    table = TagTable("meter1", (TAG, Tag("n", Type.UINT64, Type.UINT64)))
    back = TagTable.parse(table.document)

    assert table.hash == back.hash
    assert back.tags[:1] == (TAG,)


def test_the_document_has_the_keys_of_the_wire_format() -> None:
    row = json.loads(TagTable("m", (TAG,)).document)["tags"][0]

    assert list(row) == ["name", "type", "unit", "range", "description", "label", "identifier", "access"]


@pytest.mark.parametrize("change", [{"unit": "kV"}, {"type": Type.FLOAT64}, {"label": "core"}, {"access": "write"}])
def test_what_a_subscriber_sees_changes_the_hash(change: dict[str, object]) -> None:
    other = Tag(**{**{s: getattr(TAG, s) for s in Tag.__slots__}, **change})  # type: ignore[arg-type]

    assert TagTable("m", (TAG,)).hash != TagTable("m", (other,)).hash


def test_how_a_value_is_fetched_does_not_change_the_hash() -> None:
    other = Tag(**{**{s: getattr(TAG, s) for s in Tag.__slots__}, "address": "HR7", "deadband": 1.0})

    assert TagTable("m", (TAG,)).hash == TagTable("m", (other,)).hash


@pytest.mark.parametrize("names", [Names(values=((-1, "none"), (10, "Störung"))), Names(bits=((0, "a"), (9, "b")))])
def test_names_of_values_and_bits_come_back_from_the_document(names: Names) -> None:
    table = TagTable("m", (TAG, Tag("state", Type.INT16, Type.INT16, names=names)))
    without = TagTable("m", (TAG, Tag("state", Type.INT16, Type.INT16)))

    assert names == TagTable.parse(table.document).tags[1].names
    assert table.hash != without.hash


def test_a_table_without_names_has_the_bytes_that_it_had_before_there_were_names() -> None:
    document = (
        b'{"v":1,"dev":"m","tags":[{"name":"s","type":"int16","unit":"","range":null,"description":"",'
        b'"label":"internal","identifier":"","access":"read"}]}'
    )

    assert document == TagTable("m", (Tag("s", Type.INT16, Type.INT16),)).document


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ('"values":{"x":"a"}', "invalid literal"),
        ('"values":["a"]', "texts by number"),
        ('"values":{"1":2}', "texts by number"),
        ('"bits":{"-1":"a"}', "bits 0 to 63"),
        ('"bits":{"64":"a"}', "bits 0 to 63"),
    ],
)
def test_names_that_are_none_are_refused(key: str, wrong: str) -> None:
    document = TagTable("m", (TAG,)).document.decode().replace('"access"', f'{key},"access"')

    with pytest.raises(ValueError, match=wrong):
        TagTable.parse(document.encode())


def test_bytes_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="version 1"):
        TagTable.parse(b'{"v":2,"dev":"m","tags":[]}')


def test_a_scale_of_one_is_neutral() -> None:
    assert Scale(10, 10).neutral
    assert not Scale(1, 10).neutral
    assert not Scale(offset=1.0).neutral


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"uint128.*uint64"):
        Type.of("uint128")
