"""Lines of a table as .xlsx and .csv, every cell as text, so that no answer becomes a formula."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

from connector.targets.table import Line, Table

if TYPE_CHECKING:  # read only where a sheet is written: a server that writes none does without
    from openpyxl import Workbook as Book
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet
    from openpyxl.worksheet.worksheet import Worksheet

_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
)  # a cell that begins so is reckoned by some spreadsheets (OWASP, CSV injection)
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_NOT_IN_SHEET_NAMES = re.compile(r"[\[\]:*?/\\]")
_MOST_SHEET_NAME = 31
_WIDTH = 22


def as_xlsx(sheets: Iterable[tuple[Table, Sequence[Line]]]) -> bytes:
    """A workbook with a sheet for each table, headings in its language, from right to left where that is read so."""
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    for table, lines in sheets:
        _sheet(book, table, lines)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def as_csv(table: Table, lines: Iterable[Line]) -> bytes:
    """UTF-8 with its mark; the header has the columns' keys."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(table.columns)
    writer.writerows([_defused(line.get(column, "")) for column in table.columns] for line in lines)
    return out.getvalue().encode("utf-8-sig")  # with its mark, or Excel shows Arabic as rubbish


def lines_of(data: bytes) -> list[Line]:
    """The lines as they were before `as_csv`; empty cells are absent."""
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    return [{column: _armed(text) for column, text in row.items() if text} for row in rows]


def _defused(text: str) -> str:
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def _armed(text: str) -> str:
    return text.removeprefix("'")


def _sheet(book: Book, table: Table, lines: Iterable[Line]) -> None:
    from openpyxl.utils import get_column_letter

    name = _NOT_IN_SHEET_NAMES.sub(" ", table.words.title)[:_MOST_SHEET_NAME].strip()
    sheet = cast(
        "WriteOnlyWorksheet", book.create_sheet(table.kind[:_MOST_SHEET_NAME] if name in book.sheetnames else name)
    )
    sheet.sheet_view.rightToLeft = table.words.right_to_left
    sheet.freeze_panes = "A2"
    for number in range(1, len(table.columns) + 1):
        cast("Worksheet", sheet).column_dimensions[get_column_letter(number)].width = _WIDTH
    sheet.append([_heading(sheet, text) for text in table.headings])
    for line in lines:
        sheet.append([_cell(sheet, line.get(column)) for column in table.columns])


def _heading(sheet: WriteOnlyWorksheet, text: str) -> object:
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet, value=text)
    cell.font = Font(bold=True)
    return cell


def _cell(sheet: WriteOnlyWorksheet, text: str | None) -> object:
    """Text that stays text: what a spreadsheet could take for a formula, an error or a number is marked as text."""
    from openpyxl.cell import WriteOnlyCell

    if not text:
        return None
    clean = _NOT_IN_XML.sub("", text)
    if clean[:1].isalpha():
        return clean
    cell = WriteOnlyCell(sheet, value=clean)
    cell.data_type = "s"
    cell.number_format = "@"
    return cell
