"""What is said of tags that are scaled by another one."""

from typing import Any

import pytest

from tidegate.model.tag import Type

HEAD = "name,address,type,scale_by,scale,group,low,high\n"


def rows(*lines: str) -> str:
    return HEAD + "".join(line + "\n" for line in lines)


def test_a_tag_that_is_scaled_by_another_is_published_as_a_float(place: Any) -> None:
    place.write("press.csv", rows("W,40001,int16,W_SF,,,,", "W_SF,40002,int16,,,,,"))
    tags = place.load().devices[0].table.tags

    assert [(tag.type, tag.raw, tag.scale_by) for tag in tags] == [
        (Type.FLOAT64, Type.INT16, "W_SF"),
        (Type.INT16, Type.INT16, ""),
    ]
    assert place.load().warnings == ()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("W,40001,int16,V_SF,,,,", "W_SF,40002,int16,,,,,"), "no tag 'V_SF'"),
        (("W,40001,int16,W,,,,",), "by itself"),
        (("W,40001,bool,W_SF,,,,", "W_SF,40002,int16,,,,,"), "a bool can't be scaled"),
        (("W,40001,int16,W_SF,,,,", "W_SF,40003,float32,,,,,"), "no whole number"),
        (("W,40001,int16,W_SF,,,,", "W_SF,40003,uint64,,,,,"), "no whole number"),
        (("W,40001,int16,W_SF,,,,", "W_SF,40002,int16,,0.1,,,"), "no whole number"),
        (("W,40001,int16,W_SF,,,,", "W_SF,40002,int16,V,,,,", "V,40003,int16,,,,,"), "no whole number"),
        (("W,40001,int16,W_SF,,,,", "W_SF,40002,int16,,,slow,,"), "in group slow"),
    ],
)
def test_a_power_that_can_not_be_one_is_told_in_its_row(place: Any, lines: tuple[str, ...], expected: str) -> None:
    place.change("[tables.press]", '[groups.slow]\ninterval = "10s"\n[tables.press]')
    place.write("press.csv", rows(*lines))
    told = [problem for problem in place.found() if problem.column == "scale_by"]

    assert [(problem.key, problem.row, bool(problem.remedy)) for problem in told] == [("W", 2, True)]
    assert expected in told[0].what


def test_a_wide_integer_that_is_scaled_may_lose_digits_and_that_is_said(place: Any) -> None:
    place.write("press.csv", rows("E,40001,uint64,SF,,,,", "SF,40010,int16,,,,,"))
    told = place.load().warnings
    place.write("press.csv", rows("E,40001,uint64,SF,,,0,1000000", "SF,40010,int16,,,,,"))

    assert [(problem.key, problem.column) for problem in told] == [("E", "scale_by")]
    assert place.load().warnings == ()
