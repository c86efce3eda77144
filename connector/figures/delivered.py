"""Services that were delivered already, one a row of a table: what each counts as. Nothing else of a row is read.

| column | holds |
|---|---|
| `id` | the row's own number in the list it comes from; the same number again replaces the row |
| `day` | 2026-01-31 |
| `branch`, `service` | codes |
| `person` | a number that stands for one person in all rows (a case code, a file number); never a name. May be empty |
| `situation` | `prisoner`, `released`, `family`; empty: not recorded |
| `sex`, `age_group` | as in the figures; empty: not recorded |
| `times` | how often; empty: once |
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal
from zipfile import BadZipFile

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from connector.errors import Refused
from connector.figures.facts import BENEFICIARY, NOT_RECORDED, SERVICES, Fact

COLUMNS = ("id", "day", "branch", "service", "person", "situation", "sex", "age_group", "times")
_NEEDED = ("id", "day", "branch", "service")


def _blank(value: object) -> object:
    return None if value is None or not str(value).strip() else value


_Code = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,60}$")]
_Number = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,40}$")]
_AgeGroup = Annotated[str, Field(pattern=r"^([0-9]{1,2}-[0-9]{1,2}|[0-9]{1,2}\+)$")]


class Delivered(BaseModel):
    """One row."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    id: _Number
    day: date
    branch: _Code
    service: _Code
    person: Annotated[_Number | None, BeforeValidator(_blank)] = None
    situation: Annotated[Literal["prisoner", "released", "family"] | None, BeforeValidator(_blank)] = None
    sex: Annotated[Literal["female", "male", "other", "not_recorded"] | None, BeforeValidator(_blank)] = None
    age_group: Annotated[_AgeGroup | None, BeforeValidator(_blank)] = None
    times: Annotated[Annotated[int, Field(ge=1, le=10_000)] | None, BeforeValidator(_blank)] = None

    def facts(self) -> Sequence[Fact]:
        """A service so often as it was given; its person once in it, in all services, and in the situation."""
        service = f"{SERVICES}.{self.service}"
        given = Fact(self.day, self.branch, service, "events", count=self.times or 1)
        if self.person is None:
            return (given,)
        sex, age = self.sex or NOT_RECORDED, self.age_group or NOT_RECORDED
        situation = f"{BENEFICIARY}.{self.situation or NOT_RECORDED}"
        people = (service, SERVICES, situation)
        return (given, *(Fact(self.day, self.branch, one, "people", sex, age, case_code=self.person) for one in people))


def read_delivered(file: Path) -> Iterator[Delivered]:
    """The rows of a .csv or .xlsx, one at a time; raises `Refused`, which names the row and the column, never a cell."""
    readers = {".csv": _csv, ".xlsx": _xlsx}
    reader = readers.get(file.suffix.lower())
    if reader is None:
        raise Refused("delivered.unknown_format", str(file), "Give a table as .csv or .xlsx.")
    seen: set[str] = set()
    for number, row in enumerate(reader(file), 2):
        one = _row(row, number)
        if one.id in seen:
            raise Refused("delivered.twice", f"row {number}, `id`", "Each row has a number of its own.")
        seen.add(one.id)
        yield one


def _row(row: Mapping[str, object], number: int) -> Delivered:
    try:
        return Delivered.model_validate(row)
    except ValidationError as error:
        column = str(error.errors(include_input=False)[0]["loc"][0])
        raise Refused(
            "delivered.bad_row", f"row {number}, `{column}`", "Mend that cell; nothing was counted."
        ) from None


def _csv(file: Path) -> Iterator[Mapping[str, object]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            _has_columns(rows.fieldnames or (), file)
            yield from rows
    except (UnicodeDecodeError, csv.Error):
        raise _unreadable(file) from None


def _xlsx(file: Path) -> Iterator[Mapping[str, object]]:
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, OSError, KeyError, ValueError):
        raise _unreadable(file) from None
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        head = [str(cell or "") for cell in next(rows, ())]
        _has_columns(head, file)
        for row in rows:
            if any(cell is not None for cell in row):
                yield {name: _plain(cell) for name, cell in zip(head, row, strict=False)}
    finally:
        book.close()


def _plain(cell: object) -> object:
    """A date as a day, a whole number as its digits."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if cell is None:
        return ""
    return str(cell)[:10] if hasattr(cell, "isoformat") else str(cell)


def _has_columns(head: Sequence[str], file: Path) -> None:
    missing = [name for name in _NEEDED if name not in head]
    if missing:
        raise Refused("delivered.no_column", f"{file}, `{missing[0]}`", "The first row names the columns.")


def _unreadable(file: Path) -> Refused:
    return Refused("delivered.unreadable", str(file), "Save it again as .xlsx, or as .csv in UTF-8.")
