"""What is said of names of values and bits in a tag table."""

from typing import Any

import pytest

from tidegate.model.names import Names

HEAD = "name,address,type,scale,values,bits\n"


def test_names_are_read_in_any_order_and_with_any_blanks(place: Any) -> None:
    place.write("press.csv", HEAD + 'state,40001,uint16,,"2=Fault;0 = Stopped ; 0x1=Run = yes;",\n'
                "alarms,40002,int16,,,15=Trip; 0=Overload\ndoor,40003,bool,,0=Closed; 1=Open,\n")  # fmt: skip
    names = [tag.names for tag in place.load().devices[0].table.tags]

    assert names == [
        Names(values=((0, "Stopped"), (1, "Run = yes"), (2, "Fault"))),
        Names(bits=((0, "Overload"), (15, "Trip"))),
        Names(values=((0, "Closed"), (1, "Open"))),
    ]


@pytest.mark.parametrize(
    ("line", "column", "expected"),
    [
        ("a,40001,uint16,,Stopped,", "values", "'Stopped' names no value"),
        ("a,40001,uint16,,0=,", "values", "names no value"),
        ("a,40001,uint16,,0=Off; 0x0=On,", "values", "value 0x0 has two names, 'Off' and 'On'"),
        ("a,40001,uint8,,256=Off,", "values", "value 256 is outside of uint8"),
        ("a,40001,uint16,,-1=Off,", "values", "outside of uint16"),
        ("a,40001,int16,,-32769=Off,", "values", "outside of int16"),
        ("a,40001,bool,,2=Off,", "values", "outside of bool"),
        ("a,40001,float32,,0=Off,", "values", "a float32 has no names"),
        ("a,40001,uint16,0.1,0=Off,", "values", "what is scaled is a float64"),
        ("a,40001,uint16,,,16=Trip", "bits", "bit 16 is outside of uint16"),
        ("a,40001,bool,,,0=Trip", "bits", "a bool has one bit"),
        ("a,40001,uint16,,0=Off,1=Trip", "bits", "its values have names already"),
        ("a,40001,uint16,," + ";".join(f"{n}=n" for n in range(257)) + ",", "values", "it has 257 names"),
        ("a,40001,uint16,,0=" + "x" * 129 + ",", "values", "the name of value 0 can't be used"),
    ],
)
def test_names_that_can_not_be_used_are_told_in_their_row(place: Any, line: str, column: str, expected: str) -> None:
    place.write("press.csv", HEAD + line + "\n")
    told = [problem for problem in place.found() if problem.column == column]

    assert [(problem.key, problem.row, bool(problem.remedy)) for problem in told] == [("a", 2, True)]
    assert expected in told[0].what


def test_a_computed_tag_may_name_its_values(place: Any) -> None:
    place.write("press.csv", 'name,address,type,formula,values\na,40001,uint16,,\n'
                'b,,int8,"if(a > 3, 1, 0)",0=Low; 1=High\n')  # fmt: skip
    published = place.load().devices[0].published.tags

    assert Names(values=((0, "Low"), (1, "High"))) == published[1].names
