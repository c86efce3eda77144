"""Reads a workbook that a person edited: every cell as text, and a finding for each one that is none.

Nothing in it is trusted: macros, formulas and files that unpack to something huge are refused before anything is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from openpyxl import load_workbook
from openpyxl.cell.cell import Cell
from openpyxl.worksheet.worksheet import Worksheet

from forms.errors import Finding, FormError

_MOST_UNPACKED = 64 * 1024 * 1024
_MOST_ROWS = 20_000


@dataclass(frozen=True)
class GivenRow:
    """One row that is not empty: its *number* as the spreadsheet counts, and its cells by column."""

    number: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True)
class GivenSheet:
    """A sheet as it was given; *file* names workbook and sheet in findings."""

    file: str
    header: tuple[str, ...]
    rows: tuple[GivenRow, ...]

    def finding(self, row: int, column: str, code: str, message: str, mend: str) -> Finding:
        return Finding(self.file, row, column, code, message, mend)


def read_workbook(path: Path, faults: list[Finding]) -> dict[str, GivenSheet]:
    """Sheet → what stands in it; cells that are no text are added to *faults*.

    Raises:
        FormError: `forms.not_importable`: the file is no .xlsx, has macros, or is too large.
    """
    _refuse_unsafe(path)
    try:
        book = load_workbook(path)
    except (BadZipFile, KeyError, ValueError, OSError) as error:
        raise _unreadable(path, f"It cannot be read ({type(error).__name__}).", "Save it as .xlsx again.") from error
    return {sheet.title: _sheet(sheet, f"{path.name}!{sheet.title}", faults) for sheet in book.worksheets}


def _refuse_unsafe(path: Path) -> None:
    if path.suffix.lower() == ".xlsm":
        raise _unreadable(path, "It has macros.", "Save it as .xlsx, without macros.")
    try:
        with ZipFile(path) as packed:
            names = [one.filename.lower() for one in packed.infolist()]
            size = sum(one.file_size for one in packed.infolist())
    except (BadZipFile, OSError) as error:
        raise _unreadable(path, "It is no .xlsx file.", "Save it as .xlsx (Excel workbook).") from error
    if any(name.endswith("vbaproject.bin") for name in names):
        raise _unreadable(path, "It has macros.", "Save it as .xlsx, without macros.")
    if size > _MOST_UNPACKED:
        raise _unreadable(path, "It is far larger than a form can be.", "Start again from the built form.")


def _unreadable(path: Path, message: str, mend: str) -> FormError:
    return FormError("forms.not_importable", path.name, f"{message} {mend}")


def _sheet(sheet: Worksheet, file: str, faults: list[Finding]) -> GivenSheet:
    lines = sheet.iter_rows(max_row=min(sheet.max_row, _MOST_ROWS))
    header = tuple(_text(cell) or "" for cell in next(lines, ()))
    rows = []
    for number, line in enumerate(lines, start=2):
        cells = dict(_cells(header, line, GivenSheet(file, header, ()), number, faults))
        if cells:
            rows.append(GivenRow(number, cells))
    return GivenSheet(file, tuple(name for name in header if name), tuple(rows))


def _cells(
    header: tuple[str, ...], line: Iterable[object], sheet: GivenSheet, number: int, faults: list[Finding]
) -> Iterable[tuple[str, str]]:
    for column, cell in zip(header, line, strict=False):
        text = _text(cell)
        if text is None:
            mend = "Write the text itself."
            faults.append(sheet.finding(number, column, "cell_not_text", "The cell is a formula or a date.", mend))
        elif text and column:
            yield column, text
        elif text:
            mend = "Give the column a name of XLSForm, or take the cell away."
            faults.append(sheet.finding(number, "", "cell_without_column", "A cell stands under no heading.", mend))


def _text(cell: object) -> str | None:
    """The cell as text; None for formulas, dates and errors. Excel makes 18 of "18" and TRUE of "true": both go back."""
    if not isinstance(cell, Cell) or cell.value is None:
        return ""
    if cell.data_type in ("f", "d", "e"):
        return None
    if isinstance(cell.value, bool):
        return "yes" if cell.value else "no"
    if isinstance(cell.value, float) and cell.value.is_integer():
        return str(int(cell.value))
    return str(cell.value).replace("\r\n", "\n").replace("_x000D_", "").strip()
