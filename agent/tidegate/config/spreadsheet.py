"""Reads a CSV file or an Excel sheet into rows of text. It knows about files and rows, and not what they mean.

CSV as spreadsheets write it: UTF-8 with or without BOM, or GB18030; comma, semicolon or tab. The first row is the
header. Rows that are empty, or whose first cell begins with `#`, are left out, and so is Excel's own `sep=;`.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from tidegate.config.problems import Problems
from tidegate.config.quantities import Unfit

ROWS_MAX = 100_000
COLUMNS_MAX = 200
DELIMITERS = ",;\t"
EXCEL = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
AS_UTF8 = "Save it again as `CSV UTF-8`"

# A first line that tells Excel, and nobody else, what separates.
_SEPARATOR = re.compile(rf"\A\"?sep=[{DELIMITERS}]\"?(?=[\r\n])", re.IGNORECASE)
# Lead and trail of a two-byte character of GB18030; a trail below 0x80 is outside of everyday Chinese (GB 2312).
_TWO_BYTES = re.compile(rb"[\x81-\xfe]([\x40-\x7e\x80-\xfe])")

Cells = Sequence[str]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its number in the file from 1, and its cells. `columns` (lower case) are shared by all rows."""

    number: int | None
    columns: tuple[str, ...]
    cells: tuple[str, ...]

    def text(self, column: str) -> str:
        """The cell of a column without surrounding space; "" where there is none."""
        try:
            return self.cells[self.columns.index(column)]
        except ValueError:
            return ""

    def others(self, known: Collection[str]) -> tuple[tuple[str, str], ...]:
        """Column and text of the cells that are filled in, in the columns that are not `known`."""
        return tuple((c, t) for c, t in zip(self.columns, self.cells, strict=True) if t and c not in known)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as read. `decimal_comma`: the file separates cells by semicolons, as where 0,5 means a half."""

    file: str
    header: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    decimal_comma: bool = False


def read(data: bytes, file: str, problems: Problems, sheet: str = "") -> Sheet | None:
    """The rows of a file, or None when nothing can be read in it. `sheet` names one of a workbook ("" = the first)."""
    excel = PurePath(file).suffix.lower() in EXCEL
    try:
        if excel:
            return _sheet(file, _excel_rows(data, sheet), False, problems)
        text = _SEPARATOR.sub("", decode(data))
        delimiter = _delimiter(text)
        return _sheet(file, _csv_rows(text, delimiter), delimiter == ";", problems)
    except Unfit as unfit:
        problems.fault(file, "", unfit.what, unfit.remedy)
        return None


def decode(data: bytes) -> str:
    """The text of a CSV file in UTF-8 (with BOM or not) or GB18030. Raises Unfit for any other encoding."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unfit("the file is UTF-16 text", AS_UTF8)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    # Nearly any bytes decode as GB18030. Western files betray themselves: an accented letter takes the ASCII letter
    # behind it for its second byte, which everyday Chinese never has.
    trails = _TWO_BYTES.findall(data)
    strange = sum(trail < b"\x80" for trail in trails)
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        raise Unfit("the file is neither UTF-8 nor GB18030", AS_UTF8) from None
    if strange * 2 > len(trails):
        raise Unfit("the file is not UTF-8, and does not look like Chinese text in GB18030 either", AS_UTF8)
    return text


def _delimiter(text: str) -> str:
    """The one that the header uses most."""
    for line in text.splitlines():
        if line.strip(DELIMITERS + " ") and not line.lstrip('"').startswith("#"):
            bare = re.sub(r'"[^"]*"', "", line)
            return max(DELIMITERS, key=bare.count)
    return ","


def _csv_rows(text: str, delimiter: str) -> list[tuple[int, Cells]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, Cells]] = []
    number = 1
    try:
        for cells in reader:
            rows.append((number, cells))
            number = reader.line_num + 1
            _refuse_more(rows)
    except csv.Error as error:
        raise Unfit(f"row {number} can't be read: {error}", "Check its quotation marks") from None
    return rows


def _refuse_more(rows: Sequence[object]) -> None:
    if len(rows) > ROWS_MAX:
        raise Unfit(f"there are more than {ROWS_MAX:,} rows", "Split the file into several tables")


def _excel_rows(data: bytes, sheet: str) -> list[tuple[int, Cells]]:
    try:
        # Lazy: only who keeps tables in workbooks needs it, and it is an extra.
        import python_calamine
    except ImportError:
        raise Unfit(
            "Excel files can't be read here, since python-calamine is not installed",
            "Install it with `pip install 'tidegate[xlsx]'`, or save the table as CSV UTF-8",
        ) from None
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        names = book.sheet_names
        if sheet and sheet not in names:
            raise Unfit(f"the workbook has no sheet {sheet!r}", f"Use one of: {', '.join(names)}")
        found = book.get_sheet_by_name(sheet) if sheet else book.get_sheet_by_index(0)
        values = found.to_python(skip_empty_area=False)
    except (python_calamine.CalamineError, OSError, IndexError) as error:
        raise Unfit(f"the workbook can't be read: {error}", "Open it in a spreadsheet and save it again") from None
    _refuse_more(values)
    return [(number, [_cell(value) for value in row]) for number, row in enumerate(values, 1)]


def _cell(value: object) -> str:
    """A cell as a person sees it: Excel keeps 40001 as a float, and 0x10 as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return str(value)


def _sheet(file: str, rows: Sequence[tuple[int, Cells]], decimal_comma: bool, problems: Problems) -> Sheet | None:
    filled = iter((number, [cell.strip() for cell in cells]) for number, cells in rows if _says_something(cells))
    header, titles = next(filled, (0, []))
    if not header:
        problems.fault(file, "", "there is no row in it", "The first row names the columns")
        return None
    if len(titles) > COLUMNS_MAX:
        what = f"there are more than {COLUMNS_MAX} columns"
        problems.fault(file, "", what, "Remove those that are not needed", header)
        return None
    columns = tuple(title.lower() for title in titles)
    for column in dict.fromkeys(c for c in columns if c and columns.count(c) > 1):
        problems.fault(file, "", "the column stands there twice", "Remove one of them", header, column)
    return Sheet(file, header, columns, tuple(_rows(file, columns, filled, problems)), decimal_comma)


def _rows(
    file: str, columns: tuple[str, ...], filled: Iterator[tuple[int, list[str]]], problems: Problems
) -> Iterator[Row]:
    width = len(columns)
    named = {index for index, column in enumerate(columns) if column}
    for number, cells in filled:
        stray = [cell for index, cell in enumerate(cells) if cell and index not in named]
        if stray:
            what = f"{stray[0]!r} stands in a column without a name"
            remedy = "Name the column in the header, or quote a cell that holds a separator"
            problems.fault(file, "", what, remedy, number)
        yield Row(number, columns, tuple(cells[:width] + [""] * (width - len(cells))))


def _says_something(cells: Cells) -> bool:
    return any(cell.strip() for cell in cells) and not cells[0].lstrip().startswith("#")
