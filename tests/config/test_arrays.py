"""Rows of a tag table that stand for many tags."""

from typing import Any

import pytest

from tidegate.acquire.registry import drivers
from tidegate.model.names import Names

HEAD = "name,address,type,count,step,scale,values,order\n"
DRIVER = "modbus"


def described(place: Any) -> dict[str, str]:
    """By tag where it lies."""
    device = place.load().devices[0]
    lines = drivers()[DRIVER].describe(device)
    return {tag.name: line.partition(",")[0] for tag, line in zip(device.table.tags, lines, strict=True)}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("u,40001,int16,3,,,,", {"u_0": "0x0000", "u_1": "0x0001", "u_2": "0x0002"}),
        ("u,40001,float32,2..4,,,,", {"u_2": "0x0000", "u_3": "0x0002", "u_4": "0x0004"}),
        ("u,40001,uint32,2,10,,,", {"u_0": "0x0000", "u_1": "0x000A"}),
        ("u,40001,uint64,1,,,,", {"u_0": "0x0000"}),
        ("oil pressure,40001,int16,2,,,,", {"oil pressure_0": "0x0000", "oil pressure_1": "0x0001"}),
    ],
)
def test_elements_lie_one_after_the_other(place: Any, row: str, expected: dict[str, str]) -> None:
    place.write("press.csv", HEAD + row + "\n")

    assert {name: f"holding {at}" for name, at in expected.items()} == described(place)


def test_coils_of_an_array_are_bits_one_after_the_other(place: Any) -> None:
    place.write("press.csv", HEAD + "lamp,CO16,bool,3,,,,\n")

    assert {"lamp_0": "coil 0x0010", "lamp_1": "coil 0x0011", "lamp_2": "coil 0x0012"} == described(place)


def test_elements_share_all_other_columns_and_have_the_row_of_the_array(place: Any) -> None:
    place.write("press.csv", HEAD + "state,40001,int16,2,,,0=Off; 1=On,\nu,40011,int16,2,,0.1,,\n")
    tags = place.load().devices[0].table.tags

    assert [tag.names for tag in tags[:2]] == [Names(values=((0, "Off"), (1, "On")))] * 2
    assert [(tag.scale.denominator, tag.row) for tag in tags[2:]] == [(10, 3), (10, 3)]


def test_an_element_can_be_used_in_a_formula_by_its_name(place: Any) -> None:
    place.write("press.csv", "name,address,type,count,formula\nu,40001,int16,1..3,\nall,,,,u_1 + u_2 + u_3\n")

    assert ["u_1", "u_2", "u_3", "all"] == [tag.name for tag in place.load().devices[0].published.tags]


@pytest.mark.parametrize(
    ("rows", "column", "expected"),
    [
        (("u,40001,int16,many,,,,",), "count", "'many' is no number of elements"),
        (("u,40001,int16,0,,,,",), "count", "'0' has 0 elements"),
        (("u,40001,int16,5..4,,,,",), "count", "has 0 elements"),
        (("u,40001,int16,1001,,,,",), "count", "'1001' has 1,001 elements"),
        (("x" * 121 + ",40001,int16,2,,,,",), "count", "no room for a number"),
        (("u,49000,int16,1000,100,,,",), "address", "it ends behind 0xFFFF"),
        (("u,40001,float32,9,1,,,",), "step", "each element has 2 registers"),
        (("u,40001,float32,9,,,,XY",), "order", "'XY' is no byte order"),
        (("v,40001,int16,9,,,,", "u_1,40100,int16,,,,,", "v,40200,int16,9,,,,"), "name", "stands in row 2 already"),
    ],
)
def test_what_is_wrong_with_an_array_is_told_once_and_names_the_row(
    place: Any, rows: tuple[str, ...], column: str, expected: str
) -> None:
    place.write("press.csv", HEAD + "".join(row + "\n" for row in rows))
    told = [problem for problem in place.found() if problem.column == column]

    assert [(problem.row, bool(problem.remedy)) for problem in told] == [(len(rows) + 1, True)]
    assert expected in told[0].what


def test_arrays_that_lie_inside_one_another_are_told_once(place: Any) -> None:
    place.write("press.csv", HEAD + "u,40001,float32,100,,,,\nv,40002,float32,100,,,,\n")
    told = [problem for problem in place.load().warnings if "begins inside" in problem.what]

    assert [("u_1", 2), ("v_0", 3)] == [(problem.key, problem.row) for problem in told]


def test_a_step_without_a_count_is_told(place: Any) -> None:
    place.write("press.csv", HEAD + "u,40001,float32,,4,,,\n")

    assert ["it does nothing without count"] == [problem.what for problem in place.load().warnings]


def test_a_driver_that_has_no_arrays_says_so(place: Any) -> None:
    place.write("devices.csv", "name,table,driver,address\npress1,press,simulator,sim://a\n")
    place.write("press.csv", "name,address,type,count\nu,sine,float32,3\n")
    told = [problem for problem in place.found() if problem.column == "count"]

    assert ["this driver has no such option"] == list({problem.what for problem in told})
