"""Addresses of tags: each way to write one, what is refused and in which words, and that they come back as written."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate_drivers.opcua.address import ADDRESS_CHARS_MAX, FIELDS_MAX, IDENTIFIER_CHARS_MAX, Place, parse_node
from tidegate_drivers.opcua.browsepath import NAMES_MAX

PLC = "http://vendor.com/plc"
GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f"nsu={PLC};s=Machine.Temp", Place(PLC, "s", "Machine.Temp")),
        (f"nsu={PLC};i=4711", Place(PLC, "i", "4711")),
        (f"nsu={PLC};g={GUID}", Place(PLC, "g", GUID)),
        (f"nsu={PLC};b=M/RbKBsRVkePCePcx24oRA==", Place(PLC, "b", "M/RbKBsRVkePCePcx24oRA==")),
        ("i=2258", Place("", "i", "2258")),
        ("ns=0;i=2258", Place("", "i", "2258")),
        ("nsu=http://opcfoundation.org/UA/;i=2258", Place("", "i", "2258")),
        ("nsu=urn:a%3Bb%25c%20;s=x", Place("urn:a;b%c%20", "s", "x")),
        (f'nsu={PLC};s="Data block"."array"[3];x=1', Place(PLC, "s", '"Data block"."array"[3];x=1')),
        (f"nsu={PLC};s=Tag#1", Place(PLC, "s", "Tag#1")),
        (f"nsu={PLC};s=Tag##/1", Place(PLC, "s", "Tag#/1")),
        (f"nsu={PLC};s=Tag###[1]", Place(PLC, "s", "Tag#", (), "1")),
        (f"nsu={PLC};s=M#/Temp/Value", Place(PLC, "s", "M", ((PLC, "Temp"), (PLC, "Value")))),
        (f"nsu={PLC};s=M#/nsu=urn:b;Temp/V", Place(PLC, "s", "M", (("urn:b", "Temp"), ("urn:b", "V")))),
        (f"nsu={PLC};s=M#[2:5]", Place(PLC, "s", "M", (), "2:5")),
        (f"nsu={PLC};s=M#[0:1,4]", Place(PLC, "s", "M", (), "0:1,4")),
        (f"nsu={PLC};s=M#!Axes[2].Position", Place(PLC, "s", "M", (), "", ("Axes", 2, "Position"))),
        (f"nsu={PLC};s=M#/T#[3]#!A.B", Place(PLC, "s", "M", ((PLC, "T"),), "3", ("A", "B"))),
        (f"nsu={PLC};s=M#!a&.b.c&[0&]", Place(PLC, "s", "M", (), "", ("a.b", "c[0]"))),
        (
            "/Objects/nsu=http://vendor.com/;Machine/a&/b.c&#d#[1]",
            Place("", "i", "84", (("", "Objects"), *(("http://vendor.com/", x) for x in ("Machine", "a/b.c#d"))), "1"),
        ),
        (
            "/Objects/nsu=urn:x;12&:30/&nsu=1",
            Place("", "i", "84", (("", "Objects"), ("urn:x", "12:30"), ("urn:x", "nsu=1"))),
        ),
    ],
)
def test_an_address_names_one_place(text: str, place: Place) -> None:
    assert place == parse_node(text)


def test_the_namespace_of_the_device_is_meant_where_none_is_named() -> None:
    path = (("", "Objects"), (PLC, "Machine"), (PLC, "Temp"))

    assert Place(PLC, "s", "Temp") == parse_node("s=Temp", PLC)
    assert Place("", "i", "84", path) == parse_node("/Objects/Machine/Temp", PLC)
    assert Place("", "i", "2258") == parse_node("i=2258", PLC)
    assert Place("", "s", "x") == parse_node("nsu=http://opcfoundation.org/UA/;s=x", PLC)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("Machine.Temp", "names no node, write nsu=http://vendor.com/plc;s=Machine.Temp"),
        ("ns=2;s=Temp", "`tidegate browse` shows it"),
        ("ns=02;i=1", "index of a namespace"),
        ("/Objects/2:Machine", "write nsu=URI;Machine"),
        ("s=Temp", "give the device its `namespace`"),
        ("nsu=;s=Temp", "has no URI"),
        ("nsu=urn:a", "does not end its namespace"),
        ("nsu=urn:a;s=", "nothing behind s="),
        ("nsu=urn:a;i=4294967296", "no number from 0"),
        ("nsu=urn:a;i=-1", "no number from 0"),
        ("nsu=urn:a;i=²", "no number from 0"),
        ("nsu=urn:a;g=1", "no GUID"),
        ("nsu=urn:a;b=!", "no base64"),
        ("svr=1;nsu=urn:a;i=1", "another server"),
        ("nsu=urn:a;s=x#[5:2]", "after the first"),
        ("nsu=urn:a;s=x#[a]", "no elements"),
        ("nsu=urn:a;s=x#[1]#[2]", "does not belong there"),
        ("nsu=urn:a;s=x#!A#[2]", "does not belong there"),
        ("nsu=urn:a;s=x#!A..B", "names no field"),
        ("nsu=urn:a;s=x#/a//b", "empty name"),
        ("nsu=urn:a;s=x#/a&", "ends with &"),
        ("nsu=urn:a;s=a\nb", "control character"),
        ("s=" + "x" * ADDRESS_CHARS_MAX, "characters"),
        ("nsu=urn:a;s=" + "x" * (IDENTIFIER_CHARS_MAX + 1), "at most 4096"),
        ("nsu=urn:a;s=x#" + "/y" * (NAMES_MAX + 1), "more than 64"),
        ("nsu=urn:a;s=x#!" + "y." * FIELDS_MAX + "y", "at most 32"),
    ],
)
def test_what_is_no_address_is_told_how_to_be_one(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_node(text)


SIGNS = st.text(st.sampled_from("aZ9.#/[]!&:;%=*ñ é"), min_size=1, max_size=12)
URIS = st.one_of(st.just(""), SIGNS.map(lambda text: f"urn:{text}"))
PLACES = st.builds(
    Place,
    URIS,
    st.just("s"),
    SIGNS,
    st.lists(st.tuples(URIS, SIGNS), max_size=3).map(tuple),
    st.sampled_from(("", "3", "2:5", "0:1,4")),
    st.lists(st.tuples(SIGNS, st.lists(st.integers(0, 9), max_size=1)), max_size=3).map(
        lambda steps: tuple(step for name, indexes in steps for step in (name, *indexes))
    ),
)
FROM_ROOT = st.builds(
    lambda path: Place("", "i", "84", tuple(path)), st.lists(st.tuples(URIS, SIGNS), min_size=1, max_size=4)
)


@given(st.one_of(PLACES, FROM_ROOT), st.sampled_from(("", "urn:default")))
def test_a_place_comes_back_as_it_was_written(place: Place, namespace: str) -> None:
    assert place == parse_node(str(place), namespace)


@given(st.text(st.sampled_from("nsu=i0;ab#/[]!&:%"), max_size=30))
def test_any_text_is_a_place_or_a_value_error(text: str) -> None:
    try:
        place = parse_node(text, "urn:default")
    except ValueError:
        return

    assert place == parse_node(str(place))
