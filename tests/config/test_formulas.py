"""Formulas in a tag table: what a row may have, what is told of one that can't be used, and which label it gets."""

from typing import Any

import openpyxl
import pytest

from tidegate.config.formulas import CHAIN_MAX, COMPUTED_MAX
from tidegate.errors import Problem
from tidegate.model.tag import Tag, Type
from tidegate.shape.recipe import recipe

HEADER = "name,address,type,formula,unit,deadband,heartbeat,label,description,scale,order\n"
READ = "p1,40001,int16,,,,,,,,\np2,40002,int16,,,,,,,,\np9,40003,int16,,,,,,,,\n"


def press(place: Any, rows: str, read: str = READ) -> Any:
    place.write("press.csv", HEADER + read + rows)
    return place


def computed(place: Any) -> list[Tag]:
    device = place.load().devices[0]
    return list(device.published.tags[len(device.table.tags) :])


def told(place: Any) -> list[Problem]:
    return [problem for problem in place.found() if problem.file.endswith("press.csv")]


def test_a_row_with_a_formula_is_a_tag_that_the_driver_never_sees(place: Any) -> None:
    press(place, "total,,,p1 + p2,kW,,,,Both together,,\n")
    device = place.load().devices[0]
    made = recipe(device)

    assert ["p1", "p2", "p9"] == [tag.name for tag in device.table.tags]
    assert ["p1", "p2", "p9", "total"] == [tag.name for tag in device.published.tags]
    assert (0, 1, 2) == device.groups[0].tags
    assert [("total", Type.FLOAT64, "kW", "Both together")] == [
        (tag.name, tag.type, tag.unit, tag.description) for tag in computed(place)
    ]
    assert made is not None
    assert [(3, (0, 1))] == [(step.tag, step.inputs) for step in made.steps]


def test_a_table_without_formulas_is_published_as_it_is_read(place: Any) -> None:
    device = place.load().devices[0]

    assert device.computed is None
    assert device.published is device.table


def test_types_follow_from_formulas_unless_the_row_says_otherwise(place: Any) -> None:
    press(place, '''a,,,p1 + 1,,,,,,,
b,,,p1 > 1,,,,,,,
c,,int32,p1 + 1,,,,,,,
d,,,"mean(p1, 15min)",,,,,,,
e,,,"alarm(p1, high=3)",,,,,,,
f,,bool,"alarm(p1, high=3)",,,,,,,
''')  # fmt: skip

    assert [Type.FLOAT64, Type.BOOL, Type.INT32, Type.FLOAT64, Type.INT8, Type.BOOL] == [
        t.type for t in computed(place)
    ]


def test_an_alarm_is_reported_on_change_and_each_minute_and_says_what_its_levels_mean(place: Any) -> None:
    press(place, 'hot,,,"alarm(p1, high=3)",,,,,,,\nslow,,,"alarm(p1, high=3)",,,10min,,Too hot,,\n')
    hot, slow = computed(place)

    assert (0.0, 60.0) == (hot.deadband, hot.heartbeat_s)
    assert "1 high" in hot.description
    assert (600.0, "Too hot") == (slow.heartbeat_s, slow.description)


def test_defaults_of_a_table_are_not_meant_for_what_is_computed(place: Any) -> None:
    place.change('base = "modicon"', 'base = "modicon"\ntype = "int16"\nscale = 0.1\ndeadband = 5\nunit = "A"')
    place.write("press.csv", "name,address,formula\np1,40001,\nx,,p1 + 1\n")
    [tag] = computed(place)

    assert (Type.FLOAT64, None, "", ()) == (tag.type, tag.deadband, tag.unit, tag.options)


def test_a_computed_tag_has_the_highest_label_of_its_inputs(place: Any) -> None:
    read = "p1,40001,int16,,,,,core,,,\np2,40002,int16,,,,,,,,\np9,40003,int16,,,,,public,,,\n"
    press(
        place,
        "sum,,,twice + p9,,,,,,,\ntwice,,,p1 * 2,,,,,,,\nown,,,p2 + p9,,,,,,,\nup,,,p9 + 0,,,,important,,,\n",
        read,
    )
    labels = {tag.name: tag.label for tag in computed(place)}

    assert {"sum": "core", "twice": "core", "own": "internal", "up": "important"} == labels


def test_a_label_below_that_of_an_input_is_raised_and_told(place: Any) -> None:
    press(place, "x,,,p1 + 1,,,,public,,,\n", "p1,40001,int16,,,,,core,,,\n")
    [warning] = told(place)

    assert "core" == computed(place)[0].label
    assert (2 + 1, "label", False) == (warning.row, warning.column, warning.fatal)


@pytest.mark.parametrize(
    ("row", "column", "what", "remedy"),
    [
        ("x,,,p1 + pp2,,,,,,,", "formula", "no tag 'pp2'", "Did you mean `p2`"),
        ("x,,,p1 +,,,,,,,", "formula", "can't be read", "p1 + p2"),
        ("x,,,x + p1,,,,,,,", "formula", "x needs x", "Leave one"),
        ("x,,,note + 1,,,,,,,", "formula", "a string", "numbers"),
        ("x,,,summe(p1),,,,,,,", "formula", "no function", "avg"),
        ("x,40009,,p1 + 1,,,,,,,", "address", "not read", "empty"),
        ("x,,,p1 + 1,,,,,,0.1,", "scale", "not read", "empty"),
        ("x,,,p1 + 1,,,,,,,CDAB", "order", "not read", "empty"),
        ("x,,string,p1 + 1,,,,,,,", "type", "no string", "float64"),
        ('x,,uint8,"alarm(p1, low=3)",,,,,,,', "type", "no uint8", "int8"),
        ("x,,int61,p1 + 1,,,,,,,", "type", "no type", "int16"),
        ("p1,,,p2 + 1,,,,,,,", "name", "already", "own name"),
        (",,,p1 + 1,,,,,,,", "name", "no name", "letters"),
        ('x,,,"mean(p1, 7min)",,,,,,,', "formula", "day evenly", "15min"),
        ("x,,,#NAME?,,,,,,,", "formula", "spreadsheet", "without ="),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(place: Any, row: str, column: str, what: str, remedy: str) -> None:
    press(place, row + "\n", READ.replace("p9,40003,int16", "note,40011,string") if "note" in row else READ)
    [problem] = [problem for problem in told(place) if problem.row == 5]

    assert (5, column, True) == (problem.row, problem.column, problem.fatal)
    assert what in problem.what
    assert remedy in problem.remedy


def test_every_tag_of_a_circle_is_told(place: Any) -> None:
    press(place, "a,,,b + 1,,,,,,,\nb,,,c + 1,,,,,,,\nc,,,a + p1,,,,,,,\nd,,,a + 1,,,,,,,\n")

    assert ["a needs b needs c needs a", "b needs c needs a needs b", "c needs a needs b needs c"] == [
        problem.what.removeprefix("it needs itself: ") for problem in told(place) if "itself" in problem.what
    ]


def test_chains_and_tables_of_formulas_are_bounded(place: Any) -> None:
    press(place, "".join(f"c{i},,,{f'c{i - 1}' if i else 'p1'} + 1,,,,,,,\n" for i in range(CHAIN_MAX + 2)))
    assert {"formula"} == {problem.column for problem in told(place)}

    press(place, "".join(f"c{i},,,p1 + {i},,,,,,,\n" for i in range(COMPUTED_MAX + 1)))
    [problem] = told(place)
    assert str(COMPUTED_MAX) in problem.remedy


def test_devices_of_one_table_share_their_computed_tags(place: Any) -> None:
    press(place, "x,,,p1 + 1,,,,,,,\n")
    place.change(
        "press1,press,tcp://10.0.0.1:502,1\n",
        "a,press,tcp://10.0.0.1:502,1\nb,press,tcp://10.0.0.2:502,1\n",
        "devices.csv",
    )
    first, second = place.load().devices

    assert first.published.tags is second.published.tags
    assert first.published.hash != second.published.hash


def test_formulas_are_read_from_a_workbook(place: Any) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["name", "address", "type", "formula"])
    sheet.append(["run", "10001", "bool", None])
    sheet.append(["flow", "40001", "int16", None])
    sheet.append(["x", None, None, "if(run, flow * 3.6, 0)"])
    book.save(place.folder / "press.xlsx")
    place.change('file = "press.csv"', 'file = "press.xlsx"')

    assert ["if(run, flow * 3.6, 0)"] == [tag.formula for tag in computed(place)]
