"""Tables are read as spreadsheets write them, whichever program and country they come from."""

import io
import subprocess
import sys

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.config import spreadsheet
from tidegate.config.problems import Problems
from tidegate.config.spreadsheet import Sheet

TEXT = "Name,Address,Unit\n温度,40001,°C\n压力,40002,bar\n"


def read(data: bytes, file: str = "t.csv", sheet: str = "") -> tuple[Sheet | None, list[str]]:
    problems = Problems()
    found = spreadsheet.read(data, file, problems, sheet)
    return found, [str(problem) for problem in problems.faults]


def rows(data: bytes, file: str = "t.csv") -> list[tuple[str, ...]]:
    found, problems = read(data, file)
    assert problems == []
    assert found is not None
    return [row.cells for row in found.rows]


def workbook(*lines: tuple[object, ...], title: str = "Tags") -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = title
    for line in lines:
        book.active.append(line)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


EXPECTED = [("温度", "40001", "°C"), ("压力", "40002", "bar")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"], ids=["comma", "semicolon", "tab"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_encodings_separators_and_line_ends_make_no_difference(encoding: str, delimiter: str, end: str) -> None:
    assert rows(TEXT.replace(",", delimiter).replace("\n", end).encode(encoding)) == EXPECTED


def test_a_workbook_reads_like_the_same_table_in_csv() -> None:
    data = workbook(("Name", "Address", "Unit"), ("温度", 40001, "°C"), ("压力", 40002, "bar"))

    assert rows(data, "t.xlsx") == EXPECTED


def test_numbers_of_a_workbook_come_as_they_are_seen() -> None:
    data = workbook(("a", "b", "c", "d"), (0.1, 40001, True, None))

    assert rows(data, "t.xlsx") == [("0.1", "40001", "true", "")]


def test_rows_of_a_workbook_count_from_its_top_even_where_it_is_empty() -> None:
    data = workbook((None,), ("name", "type"), (None, None), ("a", "bool"))
    found, _ = read(data, "t.xlsx")

    assert found is not None
    assert (found.header, [row.number for row in found.rows]) == (2, [4])


def test_a_sheet_that_is_not_there_is_refused_with_those_that_are() -> None:
    _, problems = read(workbook(("name",), title="Tags"), "t.xlsx", sheet="Tag")

    assert len(problems) == 1
    assert "Tags" in problems[0]


def test_a_file_that_only_calls_itself_a_workbook_is_refused() -> None:
    _, problems = read(b"name,type\n", "t.xlsx")

    assert len(problems) == 1
    assert "can't be read" in problems[0]


def test_without_the_library_a_workbook_is_refused_with_how_to_install_it() -> None:
    script = (
        "import sys; sys.modules['python_calamine'] = None\n"
        "from tidegate.config import spreadsheet; from tidegate.config.problems import Problems\n"
        "p = Problems(); spreadsheet.read(b'', 't.xlsx', p); print(p.faults[0])"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert "tidegate[xlsx]" in told


def test_a_csv_table_does_not_load_the_library_for_workbooks() -> None:
    script = (
        "import sys\nfrom tidegate.config import spreadsheet; from tidegate.config.problems import Problems\n"
        "spreadsheet.read(b'name\\na\\n', 't.csv', Problems()); print('python_calamine' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert told.strip() == "False"


def test_comments_and_empty_rows_are_left_out_and_rows_keep_their_numbers() -> None:
    found, problems = read(b"# tags; of the press\n\nname,type\n,\n# later\na,bool\n")

    assert problems == []
    assert found is not None
    assert (found.header, [(row.number, row.cells) for row in found.rows]) == (3, [(6, ("a", "bool"))])


def test_a_cell_of_several_lines_does_not_shift_the_numbers_of_later_rows() -> None:
    found, _ = read(b'name,type\n"a\nb",bool\nc,bool\n')

    assert found is not None
    assert [row.number for row in found.rows] == [2, 4]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (TEXT.encode("utf-16"), "UTF-16"),
        ("Name,Größe\nKühlung,°C\nTürkontakt,m³/h\n".encode("cp1252"), "UTF-8"),
        ("Name,Unit\nKühlung Süd,°C\n".encode("cp1252"), "UTF-8"),
        (b"", "no row"),
        (b"# only words\n", "no row"),
        (b'name,type\n"a,bool\n', "row 2"),
        (b"name,type,name\na,b,c\n", "twice"),
        (b"name,type\na,b,c\n", ":2"),
        (b"name," + b"c," * 300 + b"\n", "columns"),
    ],
    ids=["utf16", "western", "western2", "empty", "comments", "quote", "repeated", "stray", "wide"],
)
def test_what_can_not_be_read_for_sure_is_refused(data: bytes, expected: str) -> None:
    _, problems = read(data)

    assert len(problems) == 1
    assert expected in problems[0]


@pytest.mark.parametrize("first", ["sep=;", '"sep=;"', "SEP=;"])
def test_the_line_that_tells_excel_what_separates_is_left_out_and_rows_keep_their_numbers(first: str) -> None:
    found, problems = read(f"{first}\r\nname;type\r\na;bool\r\n".encode("utf-8-sig"))

    assert found is not None
    assert (found.columns, [(row.number, row.cells) for row in found.rows]) == (("name", "type"), [(3, ("a", "bool"))])
    assert problems == []


def test_a_decimal_comma_is_expected_where_semicolons_separate() -> None:
    semicolon, _ = read(b"a;b\n1;2\n")
    comma, _ = read(b"a,b\n1,2\n")

    assert semicolon is not None
    assert comma is not None
    assert (semicolon.decimal_comma, comma.decimal_comma) == (True, False)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    for file in ("t.csv", "t.xlsx"):
        found, problems = read(data, file)

        assert found is not None or problems
